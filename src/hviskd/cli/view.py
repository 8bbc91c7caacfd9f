"""`hviskd view`: look at slides in the browser."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from hviskd.cli.slide_options import Icc
from hviskd.cli.spelling import as_options, say
from hviskd.errors import DataError


def view(
    context: typer.Context,
    slides: Annotated[
        list[Path],
        typer.Argument(metavar="SLIDE...", help="Slides, folders of slides, or a CSV with the columns slide[,mpp]."),
    ],
    slide_mpp: Annotated[
        float | None,
        typer.Option("--slide-mpp", help="Pixel size in µm/px, for slides whose metadata lacks it or is wrong."),
    ] = None,
    mpp_csv: Annotated[
        Path | None,
        typer.Option("--mpp-csv", help="CSV with the pixel size of each slide in µm/px: columns slide,mpp."),
    ] = None,
    icc: Icc = False,
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Include slides in subfolders.")] = False,
    port: Annotated[
        int, typer.Option("--port", metavar="N", help="Port to serve the page at.", show_default="any free port")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser, or only print its address.")
    ] = True,
) -> None:
    """View slides in the browser: pan, zoom by power, scale bar.

    The page is served to this computer only, and only to who has the printed address. Nothing is loaded from the
    internet. End it with Ctrl+C. Needs pip install 'hviskd[viewer]'. Research software, not a medical device.

    Examples:

      hviskd view slide.svs

      hviskd view slides/ -r --no-browser
    """
    from hviskd.slides import find_cohort

    found = find_cohort(slides, recursive=recursive, slide_mpp=slide_mpp, mpp_csv=mpp_csv)
    try:
        from hviskd.viewer import open_viewer

        viewer = open_viewer(found, port=port, icc=icc, spell=lambda said: as_options(said, context.command.params))
    except ModuleNotFoundError as error:
        if error.name not in ("anyio", "cachetools", "starlette", "uvicorn"):
            raise
        raise DataError(f"the viewer needs {error.name}; pip install 'hviskd[viewer]'") from error
    with viewer:
        for note in viewer.notes:
            say(f"note: {note}", context)
        typer.echo(f"{len(found)} slide{'s' * (len(found) != 1)} at {viewer.address}")
        typer.echo("End with Ctrl+C.")
        if browser and not viewer.show():
            typer.echo("no browser was found; open the address yourself")
        with suppress(KeyboardInterrupt):
            viewer.wait()
