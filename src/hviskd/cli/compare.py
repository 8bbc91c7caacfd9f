"""`hviskd compare`: run an experiment of many trainings and tabulate the results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from hviskd.cli.answers import Answer, answering
from hviskd.cli.changes import parse_changes
from hviskd.cli.running_options import Retries, Scheduler, cluster
from hviskd.cli.spelling import say
from hviskd.cli.status import Status
from hviskd.cli.turns import in_turn


@answering
@in_turn()
def compare(
    context: typer.Context,
    *,
    experiment: Annotated[
        str, typer.Argument(metavar="EXPERIMENT", help="YAML file, or name of a built-in experiment.")
    ],
    tiles: Annotated[Path, typer.Option("--tiles", metavar="TILESET", help="TileSet to train and evaluate on.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for all runs, tables and figures.")],
    teacher: Annotated[
        Path | None,
        typer.Option(
            "--teacher",
            metavar="DIR",
            help="Finished run or Model that teaches in every pair.",
            show_default="train each pair's own teacher",
        ),
    ] = None,
    allow_weak: Annotated[
        bool,
        typer.Option(
            "--allow-weak-teacher",
            help="Distil even if a teacher is no better than a guess on the validation split; the table says so.",
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Number of trainings to run in parallel on the device.",
            show_default="one per CPU core as far as memory goes; on a GPU 1",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", min=1, help="CPU threads per training.", show_default="1; on a Dask worker all that it has"
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            min=0.1,
            help="Stop after this many minutes; repeat the command to continue.",
            show_default="no limit",
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="Compute device: auto, cpu, cuda or mps.")] = "auto",
    scheduler: Scheduler = None,
    retries: Retries = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a value of the experiment, for example settings.epochs=20."
        ),
    ] = None,
) -> Answer:
    """Train every teacher–student pair with every method and seed, and tabulate which methods helped.

    Baselines are always included: the student alone, trained for twice the epochs, and with label smoothing; KD with
    both common weightings; and HVisKD from an untrained teacher. To continue after an interruption, repeat the command;
    finished trainings are skipped.

    Built-in experiments: laptop, every-method, strongest, table1, ablation, sensitivity.

    Examples:

      hviskd compare laptop --tiles tiles -o comparison

      hviskd compare every-method --tiles tiles -o comparison --set settings.epochs=10 --set 'seeds=[0, 1]' -j 2

      hviskd compare laptop --tiles tiles -o comparison --teacher runs/pretrained

      hviskd compare my-experiment.yaml --tiles tiles -o comparison --minutes 50

      hviskd compare table1 --tiles tiles -o comparison --scheduler scheduler.json
    """
    from hviskd.errors import DataError
    from hviskd.experiments import compare as run
    from hviskd.experiments import load_design
    from hviskd.tiles import TileSet

    if scheduler and jobs:
        raise DataError(f"`jobs={jobs}`: omit it, since each worker of `scheduler` does one training at a time")
    on_cluster = cluster(scheduler, retries)
    tileset = TileSet.open(tiles)
    given: dict[str, str | bool] = {} if teacher is None else {"teacher": str(teacher)}
    given |= {"allow_weak_teacher": True} if allow_weak else {}
    outcome = run(
        load_design(experiment, given | parse_changes(changes, "settings.epochs=20")),
        tileset,
        output,
        jobs=on_cluster or jobs,
        threads=threads,
        minutes=minutes,
        device=device,
    )
    typer.echo(f"{outcome.comparison.verdict}\n")
    _print(*outcome.comparison.summary_table())
    for statement in outcome.comparison.statements:
        typer.echo(statement)
    for title, problem in outcome.failed.items():
        say(f"failed: {title}: {problem}", context)
    if outcome.left:
        typer.echo(f"{outcome.left} trainings remain; repeat the command to continue.")
    for file in sorted(path for path in output.iterdir() if path.suffix in (".md", ".csv", ".tex", ".png")):
        typer.echo(f"  {file}")
    return Answer({"output": output, **outcome.to_dict()}, Status.partly(outcome.failed or outcome.left))


def _print(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the main columns; the files have all."""
    import sys

    from rich.console import Console
    from rich.table import Table

    columns = [header.index(name) for name in ("pair", "arm", "n", "top-1 %, chosen", "last")]
    columns += [header.index("gain over KD, points"), header.index("gain over student, points")]
    table = Table(*(header[column] for column in columns))
    for row in rows:
        table.add_row(*(row[column].replace(" (", "\n(") for column in columns))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
