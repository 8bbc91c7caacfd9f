"""`hviskd view`: look at slides in the browser."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from hviskd.cli.annotation_options import NoCrop, Tolerance
from hviskd.cli.slide_options import Icc, MppCsv, Recursive, SlideMpp, SlidesArgument
from hviskd.cli.spelling import as_options, say
from hviskd.errors import DataError


def view(
    context: typer.Context,
    slides: SlidesArgument,
    maps: Annotated[
        list[Path] | None,
        typer.Option(
            "--maps", metavar="DIR", help="Folder written by `hviskd segment`; repeat it for maps of several models."
        ),
    ] = None,
    models: Annotated[
        list[Path] | None,
        typer.Option(
            "-m",
            "--model",
            metavar="MODEL",
            help="Model folder or finished run, to ask about any place and see where it looks; repeat it for several.",
        ),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            "--annotations",
            metavar="FILE|DIR",
            help="Expert's outlines or colour masks, named like the slides (STEM.geojson, STEM_L.jpg …). What you draw "
            "is saved there.",
            show_default="beside the slides",
        ),
    ] = None,
    legend: Annotated[
        str | None,
        typer.Option(
            "--legend",
            metavar="NAME|FILE",
            help="Classes to draw, or of the annotations, and their colours; required for colour masks.",
            show_default="labels of the outlines",
        ),
    ] = None,
    tiles: Annotated[
        Path | None,
        typer.Option("--tiles", metavar="TILESET", help="TileSet cut from the slides, whose tiles are shown in place."),
    ] = None,
    tolerance: Tolerance = 20.0,
    no_crop: NoCrop = False,
    slide_mpp: SlideMpp = None,
    mpp_csv: MppCsv = None,
    icc: Icc = False,
    recursive: Recursive = False,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="HOST",
            help="Address of this computer to serve the page at, for other computers too; 0.0.0.0 for all of them. "
            "They need the printed address, and what is sent is not encrypted: prefer an SSH tunnel.",
            show_default="this computer only",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", help="Port to serve the page at.", show_default="any free port")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser, or only print its address.")
    ] = True,
) -> None:
    """View slides in the browser, with maps and an expert's outlines as layers on them; draw and correct outlines.

    The page is served to this computer only, unless --host is given, and only to whoever has the printed address.
    Nothing is loaded from the internet. End it with Ctrl+C. Needs pip install 'hviskd[viewer]'. Research software, not
    a medical device.

    Examples:

      hviskd view slide.svs

      hviskd view slides/ --legend my.yaml

      hviskd view slides/ --maps maps -m runs/hviskd

      hviskd view slides/ --maps maps-alone --maps maps-hviskd --annotations masks --legend ivygap
    """
    from hviskd.annotations import load_legend
    from hviskd.slides import find_cohort

    found = find_cohort(slides, recursive=recursive, slide_mpp=slide_mpp, mpp_csv=mpp_csv)
    try:
        from hviskd.viewer import DrawnBy, OnSlides, open_viewer

        drawn = DrawnBy(annotations, load_legend(legend) if legend else None, tolerance, no_crop)
        shown = OnSlides(tuple(maps or ()), drawn, tuple(models or ()), tiles)
        viewer = open_viewer(
            found, shown, host=host, port=port, icc=icc, spell=lambda said: as_options(said, context.command.params)
        )
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
