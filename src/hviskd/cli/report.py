"""`hviskd report`: folders become one page to read, print and hand on."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...",
            help="Runs, evaluations, comparisons, maps, agreements, attention; or folders that hold such.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.html", help="The page to write.")],
    title: Annotated[
        str | None, typer.Option("--title", help="Its heading.", show_default="the folders' names")
    ] = None,
) -> None:
    """Make one page of what was trained, measured and mapped: tables, pictures, limits, and how to repeat it.

    The page holds its pictures, fetches nothing, and names neither paths nor patients; slides are called by their
    file names.

    Examples:

      hviskd report demo -o report.html

      hviskd report runs evaluation maps -o report.html --title "Gliomas, first try"
    """
    from hviskd.reports.report import write_report

    sections = write_report(folders, output, title=title)
    for section in sections:
        count = len(section.pictures)
        typer.echo(f"  {section.title} ({count} picture{'s' * (count != 1)})")
    typer.echo(f"wrote {output} ({output.stat().st_size / 2**20:.1f} MiB)")
