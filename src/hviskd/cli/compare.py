"""`hviskd compare`: an experiment of many trainings becomes one table."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    experiment: Annotated[
        str, typer.Argument(metavar="EXPERIMENT", help="YAML file, or the name of an experiment that comes along.")
    ],
    tiles: Annotated[Path, typer.Option("--tiles", metavar="TILESET", help="The TileSet to train and measure on.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of all runs, tables and pictures.")],
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Trainings side by side on the device.")] = 1,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Processor threads of each training.")] = 1,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0.1, help="Stop after this time; the same command goes on.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value, as settings.epochs=20.")
    ] = None,
) -> None:
    """Train pairs × methods × seeds, and say in one table which way of training the student helped.

    The baselines (student alone, for twice the epochs, with label smoothing, KD with both usual weightings, and a
    teacher that never learned) are always there. Killed and started again, it does only what is missing.

    Experiments that come along: laptop, every-method, table1, ablation, sensitivity.

    Examples:

      hviskd compare laptop --tiles tiles -o comparison

      hviskd compare every-method --tiles tiles -o comparison --set settings.epochs=10 --set 'seeds=[0, 1]' -j 2

      hviskd compare my-experiment.yaml --tiles tiles -o comparison --minutes 50
    """
    from hviskd.errors import RecipeError
    from hviskd.experiments import compare as run
    from hviskd.experiments import load_design
    from hviskd.experiments.comparison_files import explain, table_cells
    from hviskd.tiles import TileSet
    from hviskd.training.recipe import parse_value

    parsed = {}
    for change in changes or []:
        key, equals, value = change.partition("=")
        if not equals:
            raise RecipeError(f"--set {change}: write KEY=VALUE, as settings.epochs=20")
        parsed[key] = parse_value(value)
    tileset = TileSet.open(tiles)
    outcome = run(
        load_design(experiment, parsed),
        tileset,
        output,
        jobs=jobs,
        threads=threads,
        minutes=minutes,
        device=device,
    )
    _print(*table_cells(outcome.comparison))
    for note in (*outcome.comparison.notes, *explain()):
        typer.echo(note)
    for title, problem in outcome.failed.items():
        typer.echo(f"failed: {title}: {problem}")
    if outcome.left:
        typer.echo(f"{outcome.left} trainings are left; run the same command again.")
    for file in sorted(path for path in output.iterdir() if path.suffix in (".md", ".csv", ".tex", ".html", ".png")):
        typer.echo(f"  {file}")
    if outcome.failed or outcome.left:
        raise typer.Exit(1)


def _print(header: tuple[str, ...], rows: list[list[str]]) -> None:
    """Print what fits beside each other; the files hold every column."""
    import sys

    from rich.console import Console
    from rich.table import Table

    columns = [header.index(name) for name in ("pair", "arm", "n", "top-1 %, chosen", "last")]
    columns += [header.index("gain over KD, points"), header.index("gain over student, points")]
    table = Table(*(header[column] for column in columns))
    for row in rows:
        table.add_row(*(row[column].replace(" (", "\n(") for column in columns))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
