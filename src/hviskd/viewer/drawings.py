"""What an expert drew on the slides of a viewer, as outlines that the page can draw."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely

from hviskd.annotations import (
    DEFAULT_TOLERANCE,
    Annotation,
    LabelMask,
    Legend,
    Outlines,
    Region,
    read_annotation,
    to_outlines,
)
from hviskd.arrays import Colour
from hviskd.colours import class_colours
from hviskd.errors import DataError
from hviskd.slide_frame import SlideFrame
from hviskd.viewer.drawing_places import DrawingPlaces
from hviskd.viewer.kept import Kept
from hviskd.viewer.shelf import ShelfSlide

FileState = tuple[int, int]  # size, and time of the last change in ns

CACHE_BYTES = 96 * 2**20
_CORNER_BYTES, _REGION_BYTES = 64, 1024  # of outlines, with what is looked up in them
_TRACED_CELLS = 4_000_000  # of a mask; finer borders are traced coarser
_COARSEST = 6  # doublings


@dataclass(frozen=True)
class DrawnBy:
    """Where annotations are, and how they are read.

    Attributes:
        annotations: One file, or a folder with one per slide; None: only what is drawn in the viewer.
        legend: The classes; a mask needs one, and outlines that are drawn in the viewer are of one of them.
        tolerance: As in `read_annotation`.
        no_crop: See `SlideFrame`.
    """

    annotations: Path | None = None
    legend: Legend | None = None
    tolerance: float = DEFAULT_TOLERANCE
    no_crop: bool = False


class Drawings:
    """Annotations, read when they are looked at; for any number of threads."""

    def __init__(self, drawn: DrawnBy | None, slides: Iterable[Path] = ()) -> None:
        self.places = DrawingPlaces(None if drawn is None else drawn.annotations, slides)
        self._drawn = drawn
        self._kept: Kept[tuple[str, FileState], Annotation] = Kept(CACHE_BYTES, _bytes_of)

    def there(self, which: ShelfSlide) -> bool:
        """Return whether there is an annotation of a slide; it is not read."""
        try:
            return self.places.annotation(which).is_file()
        except DataError:
            return False

    def state(self, which: ShelfSlide) -> FileState:
        """Return the size and time of the annotation of a slide, which change when it does; zeros where none is."""
        try:
            found = self.places.annotation(which).stat()
        except (DataError, OSError):
            return 0, 0
        return found.st_size, found.st_mtime_ns

    def read(self, which: ShelfSlide, frame: SlideFrame) -> Annotation:
        """Return the annotation of a slide, given the slide's frame.

        Raises:
            DataError: There is none, or it is damaged or does not fit the slide.
        """
        return self._kept.made((which.key, self.state(which)), lambda: self._read(which, frame))

    @property
    def no_crop(self) -> bool:
        """Whether px count from the slide's corner in every format."""
        return self._drawn is not None and self._drawn.no_crop

    @property
    def legend(self) -> Legend | None:
        """The classes, where they were given."""
        return None if self._drawn is None else self._drawn.legend

    def _read(self, which: ShelfSlide, frame: SlideFrame) -> Annotation:
        tolerance = DEFAULT_TOLERANCE if self._drawn is None else self._drawn.tolerance
        return read_annotation(
            self.places.annotation(which), legend=self.legend, frame=frame, slide=which.path.name, tolerance=tolerance
        )


def _bytes_of(annotation: Annotation) -> int:
    """Return about how much memory an annotation takes."""
    if isinstance(annotation, LabelMask):
        return annotation.indices.nbytes
    assert isinstance(annotation, Outlines)
    corners = shapely.get_num_coordinates([region.geometry for region in annotation.regions]).sum()
    return int(_CORNER_BYTES * corners + _REGION_BYTES * len(annotation.regions))


def as_page(annotation: Annotation, legend: Legend | None, known: Mapping[str, Colour]) -> dict[str, Any]:
    """Return an annotation for the page: classes with colours, and regions with rings of x, y, x, y … in level-0 px.

    Args:
        annotation: The annotation; a mask is traced, coarser if its borders are ragged.
        legend: Its legend, if it has one.
        known: Colours of classes that are on the screen already, by name.

    Raises:
        DataError: A mask cannot be traced.
    """
    outlines = _traced(annotation, legend)
    colours = _colours(outlines, legend, known)
    return {
        "classes": [{"name": name, "colour": colours[name]} for name in outlines.classes],
        "regions": [
            {"class": outlines.classes.index(region.label), "name": region.name, "rings": list(_rings(region))}
            for region in outlines.regions
        ],
        "remarks": [f"{remark} ({times:,})" for remark, times in outlines.remarks.items()],
    }


def _traced(annotation: Annotation, legend: Legend | None) -> Outlines:
    if isinstance(annotation, Outlines):
        return annotation
    width, height = annotation.size or (0, 0)
    px_per_cell = max(1.0, math.sqrt(width * height / _TRACED_CELLS))
    for doubling in range(_COARSEST):
        try:
            return to_outlines(annotation, legend, px_per_cell=px_per_cell * 2**doubling)
        except DataError:
            if annotation.size is None:
                raise
    return to_outlines(annotation, legend, px_per_cell=px_per_cell * 2**_COARSEST)


def _colours(outlines: Outlines, legend: Legend | None, known: Mapping[str, Colour]) -> dict[str, Colour]:
    """Return a colour for each class: that of the map, else of the legend, else as drawn, else of the palette."""
    places = {name.casefold(): colour for name, colour in known.items()}
    drawn = {region.label: region.colour for region in outlines.regions if region.colour is not None}
    palette = class_colours(len(outlines.classes))
    colours = {}
    for place, name in enumerate(outlines.classes):
        at = None if legend is None else legend.index(name)
        own = None if legend is None or at is None else legend.colours[at]
        colours[name] = places.get(name.casefold()) or own or drawn.get(name) or palette[place]
    return colours


def _rings(region: Region) -> Iterator[list[float]]:
    for polygon in shapely.get_parts(region.geometry):
        for ring in (polygon.exterior, *polygon.interiors):
            yield [round(each, 1) for point in ring.coords for each in point[:2]]
