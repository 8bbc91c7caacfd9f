"""`hviskd evaluate`: measure models on tiles, with confidence intervals."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hviskd.cli.answers import Answer, answering

if TYPE_CHECKING:
    from hviskd.evaluation.tables import Table


@answering
def evaluate(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL...",
            help="Model folders or finished runs (selected and last epoch); the first is the reference.",
        ),
    ],
    tiles: Annotated[Path, typer.Option("--tiles", metavar="TILESET", help="TileSet to evaluate on.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the tables and figures.")],
    split: Annotated[str, typer.Option("--split", help="Split to evaluate on: test, val or train.")] = "test",
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Evaluate even if the splits leak; every output will say so.")
    ] = False,
    replicates: Annotated[
        int, typer.Option("--replicates", min=100, help="Number of bootstrap replicates for the confidence intervals.")
    ] = 2000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed of the bootstrap.")] = 0,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", min=1, help="Number of tiles per batch.", show_default="suited to the device"),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="Compute device: auto, cpu, cuda or mps.")] = "auto",
    int8: Annotated[
        bool, typer.Option("--int8", help="Evaluate the int8 variant of every model that has one, on the CPU.")
    ] = False,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness", help="Also evaluate on corrupted tiles: noise, blur, defocus, JPEG, stain, illumination."
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output folder.")] = False,
) -> Answer:
    """Evaluate models on one split of a TileSet, with 95 % confidence intervals over patients.

    Each model is compared with the first one, on the same bootstrap samples.

    Writes tables (md, csv, json), all predictions (parquet), ROC curves, confusion matrices and calibration curves.

    Examples:

      hviskd evaluate runs/student --tiles tiles -o results/student

      hviskd evaluate runs/alone/model runs/kd/model runs/hviskd/model --tiles tiles -o results/compared

      hviskd evaluate runs/kd runs/hviskd --tiles tiles --robustness -o results/robust

      hviskd evaluate student student-int8 --tiles tiles --int8 -o results/int8

      hviskd evaluate model --tiles other-hospital --split test --device cuda -o results/external
    """
    from hviskd.evaluation import evaluate as measure
    from hviskd.evaluation import robustness as measure_again
    from hviskd.evaluation import save_evaluation
    from hviskd.evaluation.files import EVALUATION
    from hviskd.models import Compute, load_models
    from hviskd.storage import require_free
    from hviskd.tiles import TileSet

    require_free(output, overwrite=overwrite, replaces=EVALUATION)
    tileset, loaded = TileSet.open(tiles), load_models(models)
    compute = Compute(precision="int8" if int8 else "auto", device=device, batch_size=batch_size)
    evaluation = measure(
        loaded, tileset, split=split, allow_leak=allow_leak, replicates=replicates, seed=seed, compute=compute
    )
    worse = measure_again(evaluation, loaded, tileset, compute=compute) if robustness else None
    save_evaluation(evaluation, output, robustness=worse, overwrite=overwrite)

    typer.echo(f"{evaluation.verdict}\n")
    print_table(evaluation.summary_table())
    if evaluation.differences:
        print_table(evaluation.difference_table())
    if worse is not None:
        typer.echo("change of top-1 on corrupted tiles, mean over five levels")
        print_table(worse.summary_table())
    for statement in evaluation.statements:
        typer.echo(statement)
    for file in sorted(output.iterdir()):
        typer.echo(f"  {file}")
    more = {} if worse is None else {"robustness": worse.means.to_dict("records")}
    return Answer({"output": output, **evaluation.to_dict(), **more})


def print_table(table: "Table") -> None:
    """Print a table, with each interval below its value; outside a terminal, as wide as needed."""
    import sys

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as RichTable

    header, rows = table
    shown = RichTable(*header)
    for row in rows:
        shown.add_row(*(escape(cell).replace(" (", "\n(") for cell in row))
    Console(width=None if sys.stdout.isatty() else 160).print(shown)
