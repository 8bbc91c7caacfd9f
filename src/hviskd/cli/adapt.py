"""`hviskd adapt`: adapt a student to slides of another place, without labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hviskd.cli.answers import Answer, answering
from hviskd.cli.evaluate import print_table
from hviskd.cli.option_groups import with_groups
from hviskd.cli.train import RecipeOptions, TeachingOptions
from hviskd.cli.turns import in_turn

if TYPE_CHECKING:
    from hviskd.tiles import TileSet

_CAP = 4000  # tiles


@answering
@in_turn()
@with_groups
def adapt(
    student: Annotated[Path, typer.Argument(metavar="STUDENT", help="Student: a Model folder or a finished run.")],
    tileset: Annotated[
        Path, typer.Argument(metavar="TILESET", help="Labelled tiles the student learned from, with their splits.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the training, the table and the figure.")],
    *,
    teacher: Annotated[Path, typer.Option("--teacher", help="Teacher: a Model folder or a finished run.")],
    slides: Annotated[
        list[Path] | None,
        typer.Option(
            "--slides",
            help="Slides of the new place, or folders of them, to cut unlabelled tiles from; repeatable. Instead of "
            "--unlabelled.",
        ),
    ] = None,
    patients: Annotated[
        str | None,
        typer.Option("--patients", help="Patients of these slides, as for hviskd tiles cut.", show_default="unknown"),
    ] = None,
    cap: Annotated[
        int | None,
        typer.Option("--cap", min=1, help="Maximum number of tiles cut from them.", show_default=f"{_CAP}"),
    ] = None,
    measure: Annotated[
        Path | None,
        typer.Option(
            "--measure",
            metavar="TILESET",
            help="Labelled tiles of the new place; their test split shows what was gained.",
            show_default="not measured there",
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="Compute device: auto, cpu, cuda or mps.")] = "auto",
    recipe: RecipeOptions,
    teaching: TeachingOptions,
) -> Answer:
    """Adapt a student to another laboratory or scanner with its slides alone; no label of the new place is read.

    The training goes on from the student. A quarter of each batch are tiles of the new place, on which the student
    learns what the teacher answers; the others are labelled tiles from home, so that it does not forget. The table
    tells what was gained at the new place (with --measure) and what it cost at home; so does the Model's card.

    To continue after an interruption, repeat the command.

    Examples:

      hviskd adapt runs/student tiles --teacher runs/teacher --slides new-slides/ -o runs/adapted

      hviskd adapt runs/student tiles --teacher runs/teacher --unlabelled there --measure there -o runs/adapted

      hviskd segment new-slides/ --model runs/adapted/adapted -o maps
    """
    from dataclasses import asdict, replace

    from hviskd.errors import RecipeError
    from hviskd.experiments import adapt as run
    from hviskd.tiles import TileSet
    from hviskd.training import Teaching

    if bool(slides) == bool(teaching.unlabelled):
        raise RecipeError("give either --slides or --unlabelled")
    if not slides and (patients is not None or cap is not None):
        raise RecipeError("--patients and --cap are for --slides; omit them with --unlabelled, whose tiles are cut")
    home = TileSet.open(tileset)
    if slides:
        cut = _cut_like(home, slides, output / "new-tiles", patients, cap or _CAP)
        teaching = replace(teaching, unlabelled=cut)
    given = recipe if recipe.recipe else replace(recipe, recipe="adapt")
    found = run(
        student,
        home,
        output,
        teaching=Teaching(teacher, **asdict(teaching)),
        measured=measure,
        recipe=given.load("distilled student", start=str(student)),
        device=device,
    )
    print_table(found.summary_table())
    for statement in found.statements:
        typer.echo(statement)
    for path in (found.run.folder, output / "adaptation.md", output / "adaptation.png", output / "adaptation.json"):
        typer.echo(f"  {path}")
    return Answer({"output": output, "run": found.run.folder, **found.to_dict()})


def _cut_like(home: "TileSet", slides: list[Path], output: Path, patients: str | None, cap: int) -> Path:
    """Cut unlabelled tiles of the same size, µm/px, stain and colours as those from home, unless it was done before."""
    from hviskd.cutting import CutSettings, cut_slides
    from hviskd.errors import DataError
    from hviskd.tiles import TileSet
    from hviskd.tiles.card import CARD_FILE

    if (output / CARD_FILE).is_file():
        _require_cut_from(output, slides, {"patients": patients, "cap": cap})
        typer.echo(f"{len(TileSet.open(output)):,} tiles are there already: {output}")
        return output
    card = home.card
    if home.mpp is None:
        raise DataError(f"{home.folder}: has no µm/px to cut slides at; cut tiles yourself and give `unlabelled`")
    settings = CutSettings(tile_px=home.tile_px, mpp=home.mpp, cap=cap, stain=card.stain, icc=card.icc)
    found = cut_slides(slides, output, annotations=None, legend=None, patients=patients, settings=settings)
    typer.echo(f"{len(found):,} tiles cut from these slides: {output}")
    return output


def _require_cut_from(output: Path, slides: list[Path], options: dict[str, object]) -> None:
    """Reject tiles that were cut from other slides than those given now, or with other options."""
    from hviskd.cutting import read_report
    from hviskd.errors import DataError
    from hviskd.file_names import qc_folder
    from hviskd.slides import find_cohort

    report = read_report(qc_folder(output))
    others = {Path(each.path).name for each in report.slides} != {each.path.name for each in find_cohort(slides)}
    changed = ["slides"] * others + [name for name, value in options.items() if report.options[name] != value]
    if changed:
        raise DataError(f"{output}: was cut with other `{changed[0]}`; choose another `output`, or delete this folder")
