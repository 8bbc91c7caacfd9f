"""Regions of programs that draw in layers and can cut regions out of others; shared by the readers of their files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely
from shapely import MultiPolygon

from hviskd.annotations.annotation import Region
from hviskd.annotations.drawn import NO_AREA, TEXT_LIMIT, DrawnFile, Outline, ellipse, polygons_of
from hviskd.annotations.legend import Legend
from hviskd.annotations.xml_tree import Element
from hviskd.arrays import Colour

CUT_AWAY = "regions that lie wholly in cut-out ones drawn later left out"
PAIR_LIMIT = 2_000_000  # of a region and what is cut out of it
CUT_LIMIT_POINTS = 10_000_000  # of what is cut, with what is cut out: half a minute
_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Drawn:
    """A region, or, with `cut_out`, a hole to cut out of the surrounding regions."""

    region: Region
    cut_out: bool = False


class LayeredFile(DrawnFile):
    """An annotation file of such a program: the checks of `DrawnFile`, and its shapes.

    Attributes:
        legend: The classes, where given.
    """

    def __init__(self, path: Path, legend: Legend | None = None) -> None:
        super().__init__(path)
        self.legend = legend

    def layer(self, layer: Element, label: str, kinds: Mapping[str, str], place: str) -> list[Drawn]:
        """Return the regions of a layer in Aperio's format: `Regions` of `Vertices`, some of them negative.

        Args:
            layer: The layer.
            label: The label of its regions; if empty, each region's own text is its label.
            kinds: The type of shape, as in `shape`, by the program's name for it in lower case.
            place: The layer's position in the file, for messages.
        """
        found = []
        colour = bgr(layer.attributes.get("LineColor", ""))
        for number, element in enumerate(layer.within("Regions", "Region"), 1):
            at = f"{place}, region {number}"
            kind = element.attributes.get("Type", "").strip().casefold()
            outline = self.shape(kinds.get(kind, "" if kind else "polygon"), element.points, at)
            if outline is not None:
                name = self.text(element.attributes.get("Text", "")[:TEXT_LIMIT], f"{at}, text")
                region = Region(label, outline, name, colour) if label else Region(name, outline, "", colour)
                found.append(Drawn(region, is_true(element.attributes.get("NegativeROA", ""))))
        return found

    def shape(self, kind: str, points: np.ndarray, place: str) -> Outline | None:
        """Return a `polygon`, `rectangle` or `ellipse`; None, and a remark, for what has no area.

        Args:
            kind: One of these three; anything else has no area.
            points: (N, 2) px: corners, or two opposite corners of the box of a rectangle or ellipse.
            place: Where it stands in the file.
        """
        if kind not in ("polygon", "rectangle", "ellipse"):
            self.remarks[NO_AREA] += 1
            return None
        points = self.within_limits(points, place)
        if kind == "polygon" or len(points) < 2 or (kind == "rectangle" and len(points) > 2):
            return self.polygon([points], place)
        low, high = points.min(axis=0), points.max(axis=0)
        if kind == "rectangle":
            return self.outline([shapely.box(*low, *high)], place)
        return self.outline([ellipse((low + high) / 2, (high - low) / 2)], place)

    def cut(self, drawn: list[Drawn]) -> list[Region]:
        """Cut the holes out of the surrounding regions, and return the remaining regions.

        A region that lies wholly in a cut-out one is left out, unless it was drawn later: then it is an island in it.
        """
        regions = [(place, each.region) for place, each in enumerate(drawn) if not each.cut_out]
        holes = [(place, each.region.geometry) for place, each in enumerate(drawn) if each.cut_out]
        if not regions or not holes:
            return [region for _, region in regions]
        hole_at, shapes = np.array([place for place, _ in holes]), np.array([hole for _, hole in holes], dtype=object)
        pairs = self._meetings(np.array([region.geometry for _, region in regions], dtype=object), shapes)
        points_left, left = CUT_LIMIT_POINTS, []
        for (place, region), meeting in zip(regions, pairs, strict=True):
            if not len(meeting):
                left.append(region)
                continue
            outline = region.geometry
            points_left -= int(shapely.get_num_coordinates(shapes[meeting]).sum())
            if points_left < 0:
                raise self.error(f"region '{region.label}'", "too many cut-out regions", "export fewer at a time")
            parts = shapely.get_parts([outline, *shapes[meeting]])
            self._count_crossings(MultiPolygon(parts.tolist()), f"region '{region.label}' and those cut out of it")
            round_it = shapely.covers(shapes[meeting], outline)
            if (round_it & (hole_at[meeting] > place)).any():
                self.remarks[CUT_AWAY] += 1
                continue
            inside = shapes[meeting[~round_it]]
            if len(inside):
                outline = polygons_of(shapely.difference(outline, shapely.union_all(inside)))
            if outline.area > 0:
                left.append(replace(region, geometry=outline))
            else:
                self.remarks[CUT_AWAY] += 1
        return left

    def _meetings(self, outlines: np.ndarray, holes: np.ndarray) -> list[np.ndarray]:
        """Return the indices of the holes that intersect each outline."""
        tree = shapely.STRtree(holes)
        found: list[np.ndarray] = []
        count, step = 0, max(1, _AT_ONCE // len(holes))
        for start in range(0, len(outlines), step):
            chunk = outlines[start : start + step]
            which, hole = tree.query(chunk, predicate="intersects")
            count += len(hole)
            if count > PAIR_LIMIT:
                raise self.error("negative regions", "too many lie on others", "export fewer at a time")
            found += np.split(hole, np.searchsorted(which, np.arange(1, len(chunk))))
        return found


def is_true(text: str) -> bool:
    """Return whether a flag is set, as these programs write it."""
    return text.strip().casefold() in ("1", "true", "yes")


def bgr(number: str) -> Colour | None:
    """Return the colour of a number as Windows writes it, 0xBBGGRR; None for anything else."""
    if not number.isascii() or not number.isdigit() or len(number) > 10:
        return None
    value = int(number)
    return value & 255, value >> 8 & 255, value >> 16 & 255


def rgb(hexadecimal: str) -> Colour | None:
    """Return the colour of #RRGGBB; None for anything else."""
    digits = hexadecimal.removeprefix("#")
    if len(digits) != 6 or not set(digits.lower()) <= set("0123456789abcdef"):
        return None
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue
