"""Reads Labelme JSON as `Outlines`, and writes `Outlines` as a file for Labelme.

The shapes are pixels of the image the file was drawn on, so that image must be the slide at full resolution. Polygons,
rectangles, upright or turned, circles and masks are read; points and lines have no area, and other shapes are not
known. Neighbouring shapes of one label and one `group_id` are parts of one region. An image embedded in the file is
ignored.
"""

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import shapely

from hviskd.annotations.annotation import UNCLASSIFIED, Outlines, Region
from hviskd.annotations.colours import TRANSPARENT
from hviskd.annotations.drawn import COORDINATE_LIMIT_PX, NO_AREA, DrawnFile, Outline, ellipse
from hviskd.annotations.legend import Legend
from hviskd.annotations.png import png_codes, png_size
from hviskd.annotations.tracing import trace
from hviskd.annotations.written import bridged, numbers, rounded
from hviskd.errors import DataError
from hviskd.slide_frame import Placement, SlideFrame
from hviskd.storage import atomic_file

MASK_LIMIT_PX = 64_000_000  # of all mask shapes of a file together
TURNED = ("oriented_rectangle", "rotation")  # by their four corners, as Labelme and X-AnyLabeling call them
WITHOUT_AREA = ("point", "points", "line", "linestrip")


def parse_labelme(
    document: dict[str, object], path: Path, *, legend: Legend | None, frame: SlideFrame | None
) -> Outlines:
    """Read the shapes of a parsed Labelme file; `frame` is the slide's, if known.

    Raises:
        DataError: The file is not what Labelme writes, was drawn on an image of another size than the slide or its
            scan, or does not say the size of its image where it matters.
    """
    drawn_size = _image_size(document, path)
    place = _placement(frame, drawn_size, path)
    reader = _Shapes(path)
    found = (
        reader.shape(shape, f"shapes[{position}]", position)
        for position, shape in enumerate(reader.objects(document["shapes"], "shapes"))
    )
    shapes = [shape for shape in found if shape is not None]
    regions = []
    for (label, _), together in groupby(shapes, key=lambda shape: (shape.label, shape.group)):
        first, *others = together
        parts = [part for shape in (first, *others) for part in shapely.get_parts(shape.outline).tolist()]
        outline = reader.outline(parts, first.place) if others else first.outline
        if outline is not None:
            region = Region(label, outline, first.name)
            regions.append(region if place == Placement() else region.moved(place.to_level0))
    size = drawn_size if frame is None else frame.size
    return Outlines.of(regions, source=path, legend=legend, size=size, remarks=reader.remarks)


def _placement(frame: SlideFrame | None, drawn_size: tuple[int, int] | None, path: Path) -> Placement:
    """Return the position of the annotated image on the slide."""
    if frame is None:
        return Placement()
    if drawn_size is None:
        if frame.outlines() == Placement():
            return Placement()
        x, y = frame.origin_px
        raise DataError(
            f"{path}: does not state the size of the image it was drawn on, so it may count from the slide's corner or "
            f"from that of the scanned part, at px {x}, {y}; open and save it in Labelme"
        )
    place = frame.drawing(drawn_size)
    if place is None:
        raise DataError(
            f"{path}: drawn on an image of {drawn_size[0]} × {drawn_size[1]} px, but the slide has {frame}; draw at "
            "full resolution, or choose the right slide"
        )
    return place


def _image_size(document: dict[str, object], path: Path) -> tuple[int, int] | None:
    width, height = document.get("imageWidth"), document.get("imageHeight")
    if width is None and height is None:
        return None
    for side in (width, height):
        if not isinstance(side, int) or isinstance(side, bool) or not 0 < side <= COORDINATE_LIMIT_PX:
            raise DataError(f"{path}: imageWidth and imageHeight must be integers in px; correct the file")
    assert isinstance(width, int)
    assert isinstance(height, int)
    return width, height


@dataclass(frozen=True)
class _Shape:
    label: str
    name: str
    group: str  # alike for shapes that are parts of one region
    outline: Outline
    place: str


class _Shapes(DrawnFile):
    """Reads the shapes of a file, and limits the total size of their masks."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._mask_px_left = MASK_LIMIT_PX
        self._mask_edges = 0

    def shape(self, value: object, place: str, position: int) -> _Shape | None:
        """Return a shape; None, and a remark, if it has no area."""
        shape = self.mapping(value, place)
        label = self.text(shape.get("label"), f"{place}.label") or UNCLASSIFIED
        name = self.text(shape.get("description"), f"{place}.description")
        group = shape.get("group_id")
        if isinstance(group, float) and group.is_integer():
            group = int(group)
        if not isinstance(group, int | str | None):
            raise self.error(f"{place}.group_id", "must be a number or null")
        outline = self._outline_of(shape, place)
        if outline is None:
            return None
        return _Shape(label, name, f"alone {position}" if group is None else f"group {group}", outline, place)

    def _outline_of(self, shape: dict[str, object], place: str) -> Outline | None:
        kind = self.text(shape.get("shape_type"), f"{place}.shape_type") or "polygon"
        if kind not in ("polygon", "rectangle", "circle", "mask", *TURNED):
            unread = f"shapes of type '{kind}', which is not read, left out"
            self.remarks[NO_AREA if kind in WITHOUT_AREA else unread] += 1
            return None
        points = self.points(shape.get("points"), f"{place}.points")
        # Programs that descend from Labelme give an upright rectangle by its four corners too.
        if kind in ("polygon", *TURNED) or (kind == "rectangle" and len(points) == 4):
            return self.polygon([points], place)
        if len(points) != 2:
            raise self.error(place, f"a {kind} needs two points but has {len(points)}")
        if kind == "rectangle":
            return self.outline([shapely.box(*points.min(axis=0), *points.max(axis=0))], place)
        if kind == "circle":
            centre, edge = points
            return self.outline([ellipse(centre, np.full(2, np.hypot(*(edge - centre))))], place)
        return self._mask(shape.get("mask"), np.trunc(points), place)  # whole px, as Labelme itself takes them

    def _mask(self, encoded: object, corners: np.ndarray, place: str) -> Outline | None:
        """Trace a mask shape: an image at the corner of a box that includes its corner px."""
        if not isinstance(encoded, str):
            raise self.error(place, "a mask needs its image as base64 text")
        try:
            inside = self._decode(base64.b64decode(encoded, validate=True), corners)
            polygons = np.array(trace(inside, before=self._mask_edges), dtype=object)
        except ValueError as error:
            raise self.error(place, f"a mask that cannot be read ({error})") from error
        # Each piece of the border is an edge of just one polygon, and each ring repeats its first point.
        self._mask_edges += int(shapely.get_num_coordinates(polygons).sum()) - len(shapely.get_rings(polygons))
        return self.outline(shapely.transform(polygons, lambda points: points + corners.min(axis=0)).tolist(), place)

    def _decode(self, content: bytes, corners: np.ndarray) -> np.ndarray:
        """Return the (h, w) bool image of a mask shape; ValueError if damaged, too large, or not of its box's size."""
        stream = io.BytesIO(content)
        width, height = png_size(stream)
        box_width, box_height = np.abs(corners[1] - corners[0]) + 1
        if (width, height) != (box_width, box_height):
            raise ValueError(f"its image has {width} × {height} px, but its box {box_width:.0f} × {box_height:.0f}")
        self._mask_px_left -= width * height
        if self._mask_px_left < 0:
            raise ValueError(f"more than {MASK_LIMIT_PX // 10**6} million px of masks in one file")
        return np.concatenate([(codes != 0) & (codes != TRANSPARENT) for _, codes in png_codes(stream)])


def write_labelme(annotation: Outlines, path: Path | str, *, image_path: str) -> Path:
    """Write a file that Labelme opens for the image `image_path`, and return its path.

    Coordinates are rounded to a millionth of a px. Labelme knows no holes, so a hole is joined to its border by a cut
    that encloses nothing; the parts of a region share a `group_id`. Reading the file gives the regions back, without
    their colours.
    """
    path = Path(path)
    width, height = annotation.size or (None, None)
    head: dict[str, object] = {"version": "5.4.1", "flags": {}, "imagePath": image_path, "imageData": None}
    head |= {"imageHeight": height, "imageWidth": width}
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "shapes": [')
        for position, shape in enumerate(_shapes_of(annotation)):
            stream.write(",\n" if position else "\n")
            json.dump(shape, stream, ensure_ascii=False, allow_nan=False)
        stream.write("\n]}\n")
    return path


def _shapes_of(annotation: Outlines) -> Iterator[dict[str, object]]:
    for group, region in enumerate(annotation.regions):
        parts = shapely.get_parts(rounded(region.geometry)).tolist()
        for part in parts:
            yield {
                "label": region.label,
                "points": numbers(bridged(part)),
                "group_id": group if len(parts) > 1 else None,
                "description": region.name,
                "shape_type": "polygon",
                "flags": {},
            }
