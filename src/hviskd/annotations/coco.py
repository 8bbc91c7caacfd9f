"""Reads COCO JSON: the objects of one image among several, as polygons, run-length masks or boxes.

A category is a class. Coordinates are px of the image, whose `file_name` is matched with the slide's name and whose
size says how it lies on the slide. The parts of an object are one region, and where they overlap count once, as in the
tools of COCO itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import numpy as np
import shapely

from hviskd.annotations.annotation import UNCLASSIFIED, Outlines, Region
from hviskd.annotations.documents import read_document
from hviskd.annotations.drawn import COORDINATE_LIMIT_PX, NO_AREA, Outline
from hviskd.annotations.layers import LayeredFile
from hviskd.annotations.legend import Legend
from hviskd.annotations.run_lengths import decode_runs, runs_of
from hviskd.annotations.tracing import trace
from hviskd.errors import DataError
from hviskd.slide_frame import Placement, SlideFrame

MASK_LIMIT_PX = 256_000_000  # total of an image's masks, each cropped to its content
EDGE_LIMIT = 3_000_000  # straight pieces of the borders of all masks together: a minute
BOXES = "boxes of objects without an outline read as rectangles"


@dataclass(frozen=True)
class _Image:
    """An image of a COCO file.

    Attributes:
        identity: Its `id`, by which its objects name it.
        path: Its `file_name`, with folders.
        name: The same without folders.
        size: Its width and height in px, if the file says so.
    """

    identity: object
    path: str
    name: str
    size: tuple[int, int] | None


def is_coco(document: object) -> TypeGuard[dict[str, object]]:
    """Return whether a JSON document is a COCO data set."""
    return isinstance(document, dict) and {"images", "annotations"} <= document.keys()


def read_coco(path: Path) -> "CocoFile":
    """Read a COCO file.

    Raises:
        DataError: It is damaged, or no COCO file.
    """
    document = read_document(path)
    if not is_coco(document):
        raise DataError(f"{path}: no COCO data set; export one with images, annotations and categories")
    return CocoFile(path, document)


class CocoFile:
    """A parsed COCO file, which gives the outlines of any of its images.

    Args:
        path: The file.
        document: Its parsed content.

    Raises:
        DataError: It is damaged.
    """

    def __init__(self, path: Path, document: dict[str, object]) -> None:
        self.path, file = path, LayeredFile(path)
        self._images = [
            _image(file.mapping(value, f"images[{n}]"), file, f"images[{n}]")
            for n, value in enumerate(file.objects(document["images"], "images"))
        ]
        self._called: dict[str, list[_Image]] = {}
        for image in self._images:
            bare = (name.rpartition(".")[0] or name for name in (image.path, image.name))
            for name in {image.path, image.name, *bare}:
                self._called.setdefault(name, []).append(image)
        self._labels: dict[object, str] = {}
        for n, value in enumerate(file.objects(document.get("categories") or [], "categories")):
            category = file.mapping(value, f"categories[{n}]")
            self._labels[_key(category.get("id"))] = file.text(category.get("name"), f"categories[{n}].name")
        self._drawn: dict[object, list[tuple[str, dict[str, object]]]] = {}
        for n, value in enumerate(file.objects(document["annotations"], "annotations")):
            drawn = file.mapping(value, f"annotations[{n}]")
            self._drawn.setdefault(_key(drawn.get("image_id")), []).append((f"annotations[{n}]", drawn))
        known = {_key(image.identity) for image in self._images}
        self._of_no_image = sum(len(drawn) for image, drawn in self._drawn.items() if image not in known)

    def outlines(self, names: Sequence[str], *, legend: Legend | None, frame: SlideFrame | None) -> Outlines:
        """Return what is outlined in a slide's image, in level-0 px.

        Args:
            names: What its image may be called, the most telling first; if empty, the file must have only one.
            legend: The classes, if known.
            frame: The slide's, if known.

        Raises:
            DataError: No image or several are the slide's, or it does not fit the slide, or an object is damaged.
        """
        file = LayeredFile(self.path)
        image = self._image_of(file, names)
        place = _placement(image, frame, file)
        objects = _Objects(file, image, self._labels)
        regions = [
            Region(objects.label(drawn.get("category_id"), at), outline)
            for at, drawn in self._drawn.get(_key(image.identity), [])
            if (outline := objects.outline(drawn, at)) is not None
        ]
        file.remarks["objects of images that the file does not list left out"] += self._of_no_image
        if place != Placement():
            assert image.size is not None
            width, height = image.size
            file.remarks[f"regions of an image of {width} × {height} px, scaled to the slide"] += len(regions)
            regions = [region.moved(place.to_level0) for region in regions]
        size = image.size if frame is None else frame.size
        return Outlines.of(regions, source=self.path, legend=legend, size=size, remarks=file.remarks)

    def has(self, names: Sequence[str]) -> bool:
        """Return whether an image has one of some names."""
        return any(name in self._called for name in names)

    def _image_of(self, file: LayeredFile, names: Sequence[str]) -> _Image:
        images = self._images
        named = next((self._called[name] for name in names if name in self._called), [])
        if len(images) == 1 and (not names or self.path.stem in names):
            named = images
        if len(named) == 1:
            return named[0]
        listed = ", ".join(image.name for image in images[:3]) + ", …" * (len(images) > 3) or "none"
        if not names:
            raise file.error("images", f"{len(images)} images ({listed})", "say which one to read with `slide='NAME'`")
        wrong = f"{len(named)} are called {names[0]}" if named else f"none is called {names[-1]}, but {listed}"
        raise file.error("images", wrong, "call one as the slide, or choose the file of this slide")


def _image(value: dict[str, object], file: LayeredFile, place: str) -> _Image:
    path = file.text(value.get("file_name"), f"{place}.file_name").replace("\\", "/")
    width, height = value.get("width"), value.get("height")
    known = bool(width and height)
    size = (_side(width, file, place), _side(height, file, place)) if known else None
    return _Image(value.get("id"), path, path.rpartition("/")[2], size)


def _side(value: object, file: LayeredFile, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= COORDINATE_LIMIT_PX:
        raise file.error(place, "width and height must be numbers of px")
    return int(value)


def _placement(image: _Image, frame: SlideFrame | None, file: LayeredFile) -> Placement:
    """Return the position and scale of an image on the slide."""
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
    """Reads the objects of an image, and limits the total size of their masks."""

    def __init__(self, file: LayeredFile, image: _Image, labels: Mapping[object, str]) -> None:
        self._file, self._image, self._labels = file, image, labels
        self._mask_px_left, self._edges_left = MASK_LIMIT_PX, EDGE_LIMIT

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
    """Return an `id` as a dictionary key, even if the file uses a list or an object."""
    return identity if isinstance(identity, int | float | str | None) else repr(identity)[:100]
