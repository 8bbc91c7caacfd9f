"""Reads COCO JSON: the objects of one image among several, as polygons, run-length masks or boxes.

A category is a class. Coordinates are px of the image, whose `file_name` is matched with the slide's name and whose
size says how it lies on the slide. The parts of an object are one region, and where they overlap count once, as in the
tools of COCO itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeGuard

import numpy as np
import shapely

from hviskd.annotations.annotation import UNCLASSIFIED, Region
from hviskd.annotations.drawn import COORDINATE_LIMIT_PX, NO_AREA, Outline
from hviskd.annotations.layers import LayeredFile
from hviskd.annotations.run_lengths import decode_runs, runs_of
from hviskd.annotations.tracing import trace
from hviskd.errors import DataError
from hviskd.file_names import slide_names
from hviskd.slide_frame import Placement, SlideFrame

MASK_LIMIT_PX = 256_000_000  # of all masks of an image together, each without what is empty round it
EDGE_LIMIT = 3_000_000  # straight pieces of the borders of all masks together: a minute
BOXES = "boxes of objects without an outline read as rectangles"


@dataclass(frozen=True)
class _Image:
    """An image of a COCO file.

    Attributes:
        identity: Its `id`, by which its objects name it.
        name: Its file's name, without folders.
        size: Its width and height in px, if the file says so.
    """

    identity: object
    name: str
    size: tuple[int, int] | None


def is_coco(document: object) -> TypeGuard[dict[str, object]]:
    """Return whether a JSON document is a COCO data set."""
    return isinstance(document, dict) and {"images", "annotations"} <= document.keys()


def coco_regions(
    document: dict[str, object], file: LayeredFile, frame: SlideFrame | None, slide: str | None
) -> tuple[list[Region], tuple[int, int] | None]:
    """Return the regions of a slide's image in a parsed file, in level-0 px, and the size of the image, if stated.

    Args:
        document: The parsed file.
        file: Its checks.
        frame: The slide's, if known.
        slide: Its name; without it, the file must have only one image.

    Raises:
        DataError: No image or several are the slide's, or it does not fit the slide, or an object of it is damaged.
    """
    image = _image_of(document, file, () if slide is None else slide_names(Path(slide)))
    place = _placement(image, frame, file)
    objects = _Objects(file, image)
    for number, value in enumerate(file.objects(document.get("categories") or [], "categories")):
        objects.add_category(file.mapping(value, f"categories[{number}]"), f"categories[{number}]")
    regions = []
    for number, value in enumerate(file.objects(document["annotations"], "annotations")):
        at = f"annotations[{number}]"
        drawn = file.mapping(value, at)
        if drawn.get("image_id") == image.identity and (outline := objects.outline(drawn, at)) is not None:
            regions.append(Region(objects.label(drawn.get("category_id"), at), outline))
    if place == Placement():
        return regions, image.size
    assert image.size is not None
    width, height = image.size
    file.remarks[f"regions of an image of {width} × {height} px laid on the slide by its size"] += len(regions)
    return [region.moved(place.to_level0) for region in regions], image.size


def _image_of(document: dict[str, object], file: LayeredFile, names: Sequence[str]) -> _Image:
    """Return the image that is called like a slide; without names, the only one."""
    images = [
        _image(file.mapping(value, f"images[{n}]"), file, f"images[{n}]")
        for n, value in enumerate(file.objects(document["images"], "images"))
    ]
    listed = ", ".join(image.name for image in images[:3]) + ", …" * (len(images) > 3) or "none"
    named = [image for image in images if image.name in names]
    named = named or [image for image in images if PurePosixPath(image.name).stem in names]
    if len(images) == 1 and (not names or file.path.stem in names):
        named = images
    if len(named) == 1:
        return named[0]
    if not names:
        raise file.error("images", f"{len(images)} images ({listed})", "name the slide whose to read: `slide=NAME`")
    wrong = f"{len(named)} are called {names[0]}" if named else f"none is called {names[-1]}, but {listed}"
    raise file.error("images", wrong, "call one as the slide, or choose the file of this slide")


def _image(value: dict[str, object], file: LayeredFile, place: str) -> _Image:
    name = file.text(value.get("file_name"), f"{place}.file_name").replace("\\", "/").rpartition("/")[2]
    width, height = value.get("width"), value.get("height")
    if not width or not height:
        return _Image(value.get("id"), name, None)
    return _Image(value.get("id"), name, (_side(width, file, place), _side(height, file, place)))


def _side(value: object, file: LayeredFile, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= COORDINATE_LIMIT_PX:
        raise file.error(place, "width and height must be numbers of px")
    return int(value)


def _placement(image: _Image, frame: SlideFrame | None, file: LayeredFile) -> Placement:
    """Return how an image lies on the slide."""
    if frame is None:
        return Placement()
    if image.size is None:
        if frame.outlines() == Placement():
            return Placement()
        raise file.error("images", f"the size of {image.name} is not stated, so where it lies on the slide is unknown")
    try:
        place = frame.image(image.size)
    except DataError as error:
        raise DataError(f"{file.path}: {error}") from error
    if place is None:
        raise file.error(
            "images",
            f"{image.name} has {image.size[0]} × {image.size[1]} px, but the slide has {frame}",
            "choose the file of this slide",
        )
    return place


class _Objects:
    """Reads one object of an image after the other, and adds up the size of the masks."""

    def __init__(self, file: LayeredFile, image: _Image) -> None:
        self._file, self._image = file, image
        self._labels: dict[object, str] = {}
        self._mask_px_left, self._edges_left = MASK_LIMIT_PX, EDGE_LIMIT

    def add_category(self, value: dict[str, object], place: str) -> None:
        self._labels[_key(value.get("id"))] = self._file.text(value.get("name"), f"{place}.name")

    def label(self, category: object, place: str) -> str:
        if category is None and not self._labels:
            return UNCLASSIFIED
        if _key(category) not in self._labels:
            raise self._file.error(f"{place}.category_id", "is none of the categories")
        return self._labels[_key(category)] or UNCLASSIFIED

    def outline(self, drawn: dict[str, object], place: str) -> Outline | None:
        """Return an object's outline; None, and a remark, if it has no area."""
        shape = drawn.get("segmentation")
        if isinstance(shape, dict):
            return self._mask(shape, f"{place}.segmentation")
        rings = self._file.objects(shape or [], f"{place}.segmentation")
        if rings:
            return self._polygons(rings, f"{place}.segmentation")
        if drawn.get("bbox"):
            return self._box(drawn["bbox"], f"{place}.bbox")
        self._file.remarks[NO_AREA] += 1
        return None

    def _polygons(self, rings: list[object], place: str) -> Outline | None:
        if all(isinstance(value, int | float) for value in rings):
            rings = [rings]  # as some programs write an object of one part
        parts = []
        for ring in rings:
            flat = self._file.objects(ring, place)
            if len(flat) % 2:
                raise self._file.error(place, "has an odd number of coordinates")
            points = self._file.points([list(pair) for pair in zip(flat[::2], flat[1::2], strict=True)], place)
            if (part := self._file.polygon([points], place)) is not None:
                parts += shapely.get_parts(part).tolist()
        if len(parts) < 2:
            return parts[0] if parts else None
        return self._file.outline(parts, place)

    def _box(self, box: object, place: str) -> Outline | None:
        values = self._file.objects(box, place)
        if len(values) != 4:
            raise self._file.error(place, "must be x, y, width and height")
        (x, y), (width, height) = self._file.points([values[:2], values[2:]], place)
        outline = self._file.outline([shapely.box(x, y, x + max(width, 0), y + max(height, 0))], place)
        self._file.remarks[BOXES] += outline is not None
        return outline

    def _mask(self, shape: dict[str, object], place: str) -> Outline | None:
        """Trace a run-length mask along its px."""
        size = shape.get("size")
        if not isinstance(size, list) or len(size) != 2:
            raise self._file.error(place, "a mask needs its size")
        height, width = (_side(side, self._file, place) for side in size)
        if self._image.size not in (None, (width, height)):
            raise self._file.error(place, f"a mask of {width} × {height} px, but its image has another size")
        try:
            runs = runs_of(shape.get("counts"))
            inside, left, top = decode_runs(runs, height, width, limit_px=self._mask_px_left)
            self._mask_px_left -= inside.size
            parts = trace(inside) if inside.size else []
        except ValueError as error:
            raise self._file.error(place, f"a mask that cannot be read ({error})") from error
        self._edges_left -= int(shapely.get_num_coordinates(parts).sum()) if parts else 0
        if self._edges_left < 0:
            raise self._file.error(place, f"the masks up to here have more than {EDGE_LIMIT} edges")
        corner = np.array((left, top))
        moved = [shapely.transform(part, lambda points: points + corner) for part in parts]
        return self._file.outline(moved, place)


def _key(identity: object) -> object:
    """Return an identity that a dictionary takes."""
    return identity if isinstance(identity, int | float | str | None) else repr(identity)[:100]
