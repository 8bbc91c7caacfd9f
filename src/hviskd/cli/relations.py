"""`hviskd relations`: what relations between tiles hold at each stage of a network."""

from pathlib import Path
from typing import Annotated

import typer

from hviskd.cli.answers import Answer, answering
from hviskd.cli.evaluate import print_table


@answering
def relations(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Model folders or finished runs.")],
    tiles: Annotated[Path, typer.Option("--tiles", metavar="TILESET", help="TileSet to relate tiles of.")],
    student: Annotated[
        str | None,
        typer.Option(
            "--student",
            metavar="NETWORK",
            help="Also measure how far an untrained network's relations are (see `hviskd networks`).",
            show_default="not measured",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for the table and the figure.")] = None,
    split: Annotated[str, typer.Option("--split", help="Split to draw batches from: val, test or train.")] = "val",
    batch_size: Annotated[int, typer.Option("--batch-size", min=2, help="Number of tiles per batch.")] = 64,
    batches: Annotated[int, typer.Option("--batches", min=1, help="Number of batches.")] = 16,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed of batches and of the student.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output folder.")] = False,
) -> Answer:
    """Measure what a teacher's relations between tiles could teach, stage by stage.

    Prints for each stage and form of relation: its spread (how much it varies between pairs), how well it tells pairs
    of one class from pairs of two (AUC), and, with --student, its distance from an untrained student's. A relation
    that hardly varies, does not know the classes, or is nearly the untrained student's own can teach little.

    Examples:

      hviskd relations runs/teacher --tiles tiles

      hviskd relations runs/teacher --tiles tiles --student resnet8 -o results/relations

      hviskd relations runs/teacher runs/student --tiles tiles --split test --batch-size 32
    """
    from hviskd.evaluation import examine_relations, save_relations
    from hviskd.evaluation.relation_files import RELATIONS
    from hviskd.storage import require_free

    if output is not None:
        require_free(output, overwrite=overwrite, replaces=RELATIONS)
    found = examine_relations(
        models, tiles, student=student, split=split, batch_size=batch_size, batches=batches, seed=seed
    )
    print_table(found.summary_table())
    for note in found.notes:
        typer.echo(note)
    if output is not None:
        save_relations(found, output, overwrite=overwrite)
        for file in sorted(output.iterdir()):
            typer.echo(f"  {file}")
    rows = found.table.to_dict("records")
    return Answer({"output": output, "student": found.student, "relations": rows, "notes": found.notes})
