"""Prints what a cohort is expected to take, for `hviskd segment --plan`."""

from typing import TYPE_CHECKING

import typer

from hviskd.cli.answers import Answer
from hviskd.cli.spelling import say
from hviskd.cli.status import Status

if TYPE_CHECKING:
    from hviskd.segmentation import CohortPlan


def print_plan(plan: "CohortPlan", context: typer.Context) -> Answer:
    """Print a plan, and return it."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Column, Table

    for slide in plan.failed:
        say(f"error: {slide.problem}", context, err=True)
    for note in plan.notes:
        typer.echo(f"note: {note}")
    what, *numbers = plan.HEADER
    table = Table(what, *(Column(name, justify="right") for name in numbers), box=SIMPLE_HEAD, pad_edge=False)
    for row in plan.rows():
        table.add_row(*row)
    console = Console()
    (console if console.is_terminal else Console(width=100)).print(table)
    for statement in plan.statements():
        typer.echo(statement)
    totals = {"tiles": plan.tiles, "map_bytes": plan.map_bytes, "seconds": plan.seconds}
    return Answer({"slides": len(plan.sizes), **totals, "plan": plan}, Status.partly(plan.failed))
