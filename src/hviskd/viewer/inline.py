"""The viewer from Python: `hviskd.view`, which a notebook shows inline."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hviskd.annotations import Legend, load_legend
from hviskd.models import AnyModels
from hviskd.models.finding import one_or_several
from hviskd.slides import CohortSlide
from hviskd.viewer.drawings import DrawnBy
from hviskd.viewer.viewing import OnSlides, Viewer, open_viewer

if TYPE_CHECKING:
    from hviskd.tiles import TileSet


def view(
    slides: Path | str | Sequence[Path | str | CohortSlide],
    *,
    maps: Path | str | Sequence[Path | str] = (),
    models: AnyModels = (),
    annotations: Path | str | None = None,
    legend: Legend | Path | str | None = None,
    tiles: "TileSet | Path | str | None" = None,
    icc: bool = False,
    port: int = 0,
) -> Viewer:
    """View slides in the browser, with maps and an expert's outlines as layers on them.

    A notebook on this computer shows the page inline. Elsewhere open `address`, or call `show()`. The viewer runs
    beside your code until `close()`, or until Python ends.

    Args:
        slides: Slides, folders of slides or CSVs, as for `find_cohort`, or its result.
        maps: Folders that `segment_cohort` wrote.
        models: Models, their folders or finished Runs, to ask about any place.
        annotations: What an expert drew: a file, or a folder with one per slide. What you draw is saved there, by
            default beside the slides.
        legend: Classes to draw, or of the annotations; required for colour masks.
        tiles: A TileSet that was cut from the slides, or its folder.
        icc: Convert pixels to sRGB by each slide's ICC profile, if it has one.
        port: On this computer; any free one by default.

    Raises:
        DataError: There are no slides, a folder does not exist, or the port is taken.
        ModelError: A Model is missing or damaged, or does not know its µm/px.
    """
    folders = [maps] if isinstance(maps, Path | str) else list(maps)
    classes = legend if legend is None or isinstance(legend, Legend) else load_legend(legend)
    drawn = DrawnBy(None if annotations is None else Path(annotations), classes)
    shown = OnSlides([Path(folder) for folder in folders], drawn, one_or_several(models), tiles)
    return open_viewer(slides, shown, icc=icc, port=port)
