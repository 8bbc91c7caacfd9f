"""`hviskd report`: one HTML page about any number of result folders."""

from pathlib import Path
from typing import Annotated

import typer

from hviskd.cli.answers import Answer, answering


@answering
def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...",
            help="Folders of runs, evaluations, comparisons, maps, agreement or attention; or their parent folders.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.html", help="HTML file to write.")],
    title: Annotated[
        str | None, typer.Option("--title", help="Title of the page.", show_default="the folders' names")
    ] = None,
) -> Answer:
    """Write a report of runs, evaluations and maps: tables, figures, limitations, and how to reproduce them.

    The report is one HTML page that embeds its images, loads nothing from the network, and contains no paths or
    patients. Slides are identified by their file names.

    Examples:

      hviskd report demo -o report.html

      hviskd report runs evaluation maps -o report.html --title "Gliomas, first try"
    """
    from hviskd.reports.report import write_report

    sections = write_report(folders, output, title=title)
    for section in sections:
        count = len(section.pictures)
        typer.echo(f"  {section.title} ({count} image{'s' * (count != 1)})")
    typer.echo(f"wrote {output} ({output.stat().st_size / 2**20:.1f} MiB)")
    told = [{"title": each.title, "verdict": each.verdict, "images": len(each.pictures)} for each in sections]
    return Answer({"output": output, "sections": told})
