"""What an expert drew on one slide, as labelled regions in level-0 px; tiles are cut under it.

An `Annotation` is either `Outlines` (polygons) or a `LabelMask` (an image of class indices). Both answer one
question, `rasterise`: which class has each cell of a window, at any resolution, without ever building the image of
the whole slide.
"""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon

from hviskd.annotations.hidden import find_hidden
from hviskd.annotations.label_blocks import LabelBlocks
from hviskd.annotations.legend import Legend
from hviskd.annotations.scanline import EdgeTable, fill
from hviskd.arrays import NO_CLASS, NO_CLASS_BYTE, Colour
from hviskd.errors import DataError

UNCLASSIFIED = "unclassified"  # the label of a region drawn without a class
CELL_LIMIT = 2**30  # 2 GiB of int16
_CELLS_AT_ONCE = 8_000_000


@dataclass(frozen=True)
class Region:
    """One outlined region, in level-0 px of the slide.

    Attributes:
        label: Its class, in the expert's words.
        geometry: A valid polygon, holes and several parts allowed.
        name: The expert's name for this region, if any.
        colour: The RGB colour it was drawn in, if recorded.
    """

    label: str
    geometry: Polygon | MultiPolygon
    name: str = ""
    colour: Colour | None = None

    def moved(self, points: Callable[[np.ndarray], np.ndarray]) -> "Region":
        """Return the region with other coordinates, such as `Placement.to_level0` gives."""
        return replace(self, geometry=shapely.transform(self.geometry, points))


@dataclass(frozen=True, eq=False, kw_only=True)
class Annotation(ABC):
    """Labelled regions of one slide.

    Attributes:
        classes: Class names; a class index is a position in it.
        size: Width and height of the slide in level-0 px, where known.
        remarks: What was repaired, left out or unusual when the file was read, and how often.
        source: The file it was read from, for messages.
    """

    classes: tuple[str, ...]
    size: tuple[int, int] | None = None
    remarks: Mapping[str, int] = field(default_factory=dict)
    source: Path | str = "annotation"

    def rasterise(self, x_px: float, y_px: float, width_px: float, height_px: float, px_per_cell: float) -> np.ndarray:
        """Return the class index of every cell of a window; −1 where nothing is labelled and outside the slide.

        A cell has the class that its centre has. The cells cover the window: there are
        ceil(width_px / px_per_cell) columns, and the last may extend beyond it.

        Args:
            x_px: Left border of the window in level-0 px; may be negative.
            y_px: Upper border of the window in level-0 px; may be negative.
            width_px: Width of the window in level-0 px.
            height_px: Height of the window in level-0 px.
            px_per_cell: Side of a cell in level-0 px; 1 is full resolution.

        Returns:
            (rows, columns) int16.

        Raises:
            ValueError: A number is not finite, or the window or the cell has no extent.
            DataError: The window has more than 2³⁰ cells.
        """
        sides = (width_px, height_px, px_per_cell)
        if not all(map(math.isfinite, (x_px, y_px, *sides))) or min(sides) <= 0:
            raise ValueError("a window and its cells need finite numbers and a positive extent")
        # 150 / (150 / 7) is a hair over 7; without the allowance it would make an eighth column.
        columns = max(1, math.ceil(width_px / px_per_cell - 1e-6))
        rows = max(1, math.ceil(height_px / px_per_cell - 1e-6))
        if rows * columns > CELL_LIMIT:
            raise DataError(f"{self.source}: {columns} × {rows} cells are too many; choose more px per cell")
        return self._rasterise(x_px, y_px, rows, columns, px_per_cell)

    @abstractmethod
    def hold_others(self, x_px: np.ndarray, y_px: np.ndarray, side_px: int, labels: np.ndarray) -> np.ndarray:
        """Return which squares contain a level-0 px of a class other than their own; px without a class do not count.

        Args:
            x_px: (N,) left edges in whole level-0 px, rising within a row of squares.
            y_px: (N,) upper edges, rising.
            side_px: Side of the squares in whole level-0 px.
            labels: (N,) class indices.

        Returns:
            (N,) bool.
        """

    @abstractmethod
    def _rasterise(self, x_px: float, y_px: float, rows: int, columns: int, px_per_cell: float) -> np.ndarray:
        """Give the (rows, columns) int16 label image of a window whose numbers have been checked."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Outlines(Annotation):
    """An annotation made of polygons; where two overlap, the later one lies over the earlier one.

    A cell belongs to a polygon when its centre lies inside; `hviskd.annotations.scanline` states what happens to a
    centre that lies exactly on an outline.
    """

    regions: tuple[Region, ...]

    @classmethod
    def of(
        cls,
        regions: Sequence[Region],
        *,
        source: Path | str = "annotation",
        legend: Legend | None = None,
        size: tuple[int, int] | None = None,
        remarks: Mapping[str, int] | None = None,
    ) -> Self:
        """Make an annotation from labelled polygons.

        With a legend its names are the classes, and a region of none of them is left out and remarked; without one
        the classes are the labels in alphabetical order.

        Raises:
            DataError: No region has a class of the legend, none lies on the slide, or there are over 32,767 labels.
        """
        found = Counter(remarks or {})
        kept = list(regions)
        if legend is not None:
            kept = []
            for region in regions:
                index = legend.index(region.label)
                if index is None:
                    found[f"regions labelled '{region.label}', which is not in the legend, left out"] += 1
                else:
                    kept.append(Region(legend.names[index], region.geometry, region.name, region.colour))
            if regions and not kept:
                labels = sorted({region.label for region in regions})
                listed = ", ".join(labels[:5]) + ", …" * (len(labels) > 5)
                raise DataError(
                    f"{source}: none of its labels ({listed}) is in legend {legend.name}; choose another legend"
                )
        classes = legend.names if legend else tuple(sorted({region.label for region in kept}))
        if len(classes) > np.iinfo(np.int16).max:
            raise DataError(f"{source}: {len(classes)} different labels; these are names, not classes")
        if size is not None and kept:
            left, top, right, bottom = shapely.bounds([region.geometry for region in kept]).T
            outside = int(np.sum((right <= 0) | (bottom <= 0) | (left >= size[0]) | (top >= size[1])))
            if outside == len(kept):
                raise DataError(f"{source}: no region lies on a slide of {size[0]} × {size[1]} px; is it this slide's?")
            found["regions outside the slide"] += outside
        drawn_as = np.unique([region.label for region in kept], return_inverse=True)[1]
        hidden = find_hidden(np.array([region.geometry for region in kept], dtype=object), drawn_as)
        found["regions hidden under later ones of another class"] += int(hidden.sum())
        return cls(classes=classes, size=size, remarks=dict(+found), source=source, regions=tuple(kept))

    def hold_others(self, x_px: np.ndarray, y_px: np.ndarray, side_px: int, labels: np.ndarray) -> np.ndarray:
        """See `Annotation.hold_others`; only squares that an outline crosses are examined px by px."""
        squares = shapely.STRtree(shapely.box(x_px, y_px, x_px + side_px, y_px + side_px))
        lines = shapely.boundary(np.array([region.geometry for region in self.regions], dtype=object))
        entered = np.unique(squares.query(lines, predicate="intersects")[1])
        found = np.zeros(len(x_px), np.bool_)
        for place in entered.tolist():
            window = self.rasterise(int(x_px[place]), int(y_px[place]), side_px, side_px, 1)
            found[place] = ((window != labels[place]) & (window >= 0)).any()
        return found

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        counts = Counter(region.label for region in self.regions)
        colours = {region.label: region.colour for region in self.regions if region.colour is not None}
        rows = [(show.swatch(colours[name]) if name in colours else "", name, counts[name]) for name in self.classes]
        size = f"on a slide of {self.size[0]:,} × {self.size[1]:,} px" if self.size else ""
        return (
            show.paragraph(f"{Path(self.source).name}: {len(self.regions):,} regions", size)
            + show.table(("", "class", "regions"), rows, html=(0,))
            + (show.table(("remark", "times"), self.remarks.items()) if self.remarks else "")
        )

    @cached_property
    def _edges(self) -> EdgeTable:
        return EdgeTable.of(np.array([region.geometry for region in self.regions], dtype=object))

    @cached_property
    def _values(self) -> np.ndarray:
        position = {name: index for index, name in enumerate(self.classes)}
        return np.array([position[region.label] for region in self.regions], dtype=np.int16)

    def _rasterise(self, x_px: float, y_px: float, rows: int, columns: int, px_per_cell: float) -> np.ndarray:
        image = np.full((rows, columns), NO_CLASS, dtype=np.int16)
        fill(image, self._edges, self._values, x_px=x_px, y_px=y_px, px_per_cell=px_per_cell)
        return image


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelMask(Annotation):
    """An annotation made of an image of class indices, often smaller than the slide.

    Attributes:
        indices: (H, W) uint8, 255 where nothing is labelled.
        px_per_mask_px: Level-0 px that one mask px is wide and high.
        origin_px: Where the mask begins, x and y in level-0 px.
    """

    indices: np.ndarray | LabelBlocks
    px_per_mask_px: tuple[float, float] = (1.0, 1.0)
    origin_px: tuple[float, float] = (0.0, 0.0)

    def _rasterise(self, x_px: float, y_px: float, rows: int, columns: int, px_per_cell: float) -> np.ndarray:
        height, width = self.indices.shape
        left_px, top_px = x_px - self.origin_px[0], y_px - self.origin_px[1]
        column = np.floor((left_px + (np.arange(columns) + 0.5) * px_per_cell) / self.px_per_mask_px[0])
        row = np.floor((top_px + (np.arange(rows) + 0.5) * px_per_cell) / self.px_per_mask_px[1])
        on_column, on_row = (column >= 0) & (column < width), (row >= 0) & (row < height)
        image = np.full((rows, columns), NO_CLASS, dtype=np.int16)
        if on_column.any() and on_row.any():
            # The cells on the mask are one rectangle of the window, filled some rows at a time for the memory's sake.
            top, left = int(np.argmax(on_row)), int(np.argmax(on_column))
            lines, places = row[on_row].astype(np.int64), column[on_column].astype(np.int64)
            step = max(1, _CELLS_AT_ONCE // len(places))
            for start in range(0, len(lines), step):
                labels = self._at(lines[start : start + step], places)
                part = image[top + start :, left : left + len(places)][: len(labels)]
                np.copyto(part, labels, where=labels != NO_CLASS_BYTE)
        return image

    def hold_others(self, x_px: np.ndarray, y_px: np.ndarray, side_px: int, labels: np.ndarray) -> np.ndarray:
        """See `Annotation.hold_others`; each row of squares is examined at once, in the mask's own px."""
        found = np.zeros(len(x_px), np.bool_)
        if not len(found):
            return found
        for row in np.split(np.arange(len(y_px)), np.flatnonzero(np.diff(y_px)) + 1):
            top, bottom = self._span(y_px[row[0]], y_px[row[0]] + side_px, 1)
            left, right = self._span(x_px[row[0]], x_px[row[-1]] + side_px, 0)
            strip = self._at(np.arange(top, bottom), np.arange(left, right))
            lowest = strip.min(axis=0, initial=NO_CLASS_BYTE)
            highest = (strip + np.uint8(1)).max(axis=0, initial=0)  # no class is 255, and so 0
            for place in row.tolist():
                first, end = self._span(x_px[place], x_px[place] + side_px, 0)
                inside, label = slice(first - left, end - left), labels[place]
                found[place] = (
                    lowest[inside].min(initial=NO_CLASS_BYTE) < label or highest[inside].max(initial=0) > label + 1
                )
        return found

    def _span(self, start_px: int, end_px: int, axis: int) -> tuple[int, int]:
        """Give where the mask's columns (axis 0) or rows (axis 1) that hold the centres of some px begin and end."""
        limit, scale = self.indices.shape[1 - axis], self.px_per_mask_px[axis]
        before = 0.5 - self.origin_px[axis]
        first, last = (math.floor((px + before) / scale) for px in (start_px, end_px - 1))
        return min(max(first, 0), limit), min(max(last + 1, 0), limit)

    def _at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        if isinstance(self.indices, LabelBlocks):
            return self.indices.at(rows, columns)
        labels: np.ndarray = self.indices[np.ix_(rows, columns)]
        return labels
