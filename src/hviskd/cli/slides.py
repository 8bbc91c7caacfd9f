"""`hviskd slides`: inspect slides before anything is done with them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hviskd.cli.answers import Answer, answering
from hviskd.cli.running_options import Retries, Scheduler, cluster
from hviskd.cli.slide_options import Icc, MppCsv, Recursive, SlideMpp, SlidesArgument
from hviskd.cli.spelling import say
from hviskd.cli.status import Status
from hviskd.cli.tissue_options import KeepInk, TissueArea, TissueDensity, TissueHole, TissueMpp, TissueSaturation
from hviskd.slides import TissueRule

if TYPE_CHECKING:
    from hviskd.slides import Survey

slides_app = typer.Typer(no_args_is_help=True, help="Inspect whole slides.")


@slides_app.callback()
def _top() -> None:
    """Inspect whole slides."""


@slides_app.command()
@answering
def info(
    context: typer.Context,
    slides: SlidesArgument,
    slide_mpp: SlideMpp = None,
    mpp_csv: MppCsv = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Folder for an image of each slide with its tissue outlined."
        ),
    ] = None,
    icc: Icc = False,
    recursive: Recursive = False,
    scheduler: Scheduler = None,
    retries: Retries = None,
    tissue_mpp: TissueMpp = TissueRule.mpp,
    tissue_density: TissueDensity = TissueRule.density,
    tissue_saturation: TissueSaturation = TissueRule.saturation,
    tissue_min_area_um2: TissueArea = TissueRule.min_area_um2,
    tissue_min_hole_um2: TissueHole = TissueRule.min_hole_um2,
    tissue_keep_ink: KeepInk = TissueRule.keep_ink,
) -> Answer:
    """Show size, µm/px, magnification and levels of slides, and list those that cannot be used.

    With -o, writes a PNG of each slide with its tissue outlined and a scale bar. The exit status is 1 if any slide
    cannot be used.

    Examples:

      hviskd slides info slide.svs

      hviskd slides info slides/ -o slides-info

      hviskd slides info sections/*.jpg --slide-mpp 0.5 -o slides-info

      hviskd slides info slides/ -r -o slides-info --scheduler local:4

      hviskd slides info pale.svs -o slides-info --tissue-density 0.02 --tissue-area 50000
    """
    from hviskd.errors import DataError
    from hviskd.slides import find_cohort, survey

    rule = TissueRule(
        tissue_mpp, tissue_density, tissue_saturation, tissue_min_area_um2, tissue_min_hole_um2, tissue_keep_ink
    )
    if output is None and rule != TissueRule():
        raise DataError("--tissue-… and --keep-ink need -o DIR: tissue is detected only to draw it")
    on_cluster = cluster(scheduler, retries)
    found = find_cohort(slides, recursive=recursive, slide_mpp=slide_mpp, mpp_csv=mpp_csv)
    reports = survey(found, pictures=output, tissue_rule=rule, icc=icc, running=on_cluster)
    _print_reports(reports, context, icc=icc)
    if pictures := sum(report.picture is not None for report in reports):
        typer.echo(f"{pictures} image{'s' * (pictures > 1)} in {output}")
    return Answer(
        {"output": output, "slides": reports, "notes": reports.notes},
        Status.partly(any(report.problem for report in reports)),
    )


def _print_reports(reports: "Survey", context: typer.Context, *, icc: bool) -> None:
    """Print a table of the usable slides, their notes, and one line for each slide that cannot be used."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from hviskd.slides.icc import colour_note

    table = Table(*reports.HEADER, box=SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow, table.columns[0].min_width = "fold", 16
    for column in table.columns[1:]:
        column.no_wrap = True
    for row in reports.rows():
        table.add_row(*map(escape, row))
    if table.rows:
        console = Console()
        (console if console.is_terminal else Console(width=160)).print(table)
    for report in reports:
        for note in report.facts["notes"] if report.facts else ():
            say(f"note: {report.path}: {note}", context)
    for note in reports.notes:
        typer.echo(f"note: {note}")
    if note := colour_note((report.facts["icc"] for report in reports if report.facts), applied=icc):
        say(f"note: {note}", context)
    for report in reports:
        if report.problem:
            say(f"error: {report.problem}", context, err=True)
