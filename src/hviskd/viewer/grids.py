"""The layers of a slide as small grids of bytes, which the page colours: of its maps, its tissue, its disagreement.

A byte is a class (255 where there is none), or 0 where there is no value and otherwise 1 + 254 times a share. Each
grid has smaller versions, as a map's files have, and is sent in tiles of 256 × 256 cells.
"""

import math
import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hviskd.agreement.slide_agreement import sample_both
from hviskd.annotations import Annotation
from hviskd.arrays import NO_CLASS_BYTE
from hviskd.errors import DataError
from hviskd.segmentation import SlideMap
from hviskd.segmentation.pyramid import TILE_PX, halve_classes, halve_stored, pyramid_of
from hviskd.segmentation.slide_map import entropy_bits
from hviskd.slide_frame import SlideFrame
from hviskd.slides import tissue_mask
from hviskd.viewer.drawings import Drawings, FileState
from hviskd.viewer.kept import Kept
from hviskd.viewer.map_shelf import MapShelf, ShelfMap
from hviskd.viewer.shelf import OpenSlides, ShelfSlide

CACHE_BYTES = 64 * 2**20
AGREES, DISAGREES = 0, 1  # of a disagreement grid; NO_CLASS_BYTE where one of both has no class
TISSUE, INK = 0, 1  # of a tissue grid; NO_CLASS_BYTE on glass
_STEPS = 254
_OF_MAP = re.compile(r"(\d{1,3})-(classes|top|entropy|disagreement|class-(\d{1,3}))")

Bytes = NDArray[np.uint8]


class Grid(NamedTuple):
    """A layer's cells.

    Attributes:
        levels: uint8 (rows, columns), each half as large as the one before.
        cell_px: Side of a cell of the first in level-0 px; its first cell begins at the slide's corner.
    """

    levels: list[Bytes]
    cell_px: float

    def tile(self, level: int, column: int, row: int) -> bytes | None:
        """Return the cells of a tile, row by row; None where there is no such tile."""
        if not 0 <= level < len(self.levels):
            return None
        top, left = row * TILE_PX, column * TILE_PX
        cells = self.levels[level]
        if top >= cells.shape[0] or left >= cells.shape[1]:
            return None
        return cells[top : top + TILE_PX, left : left + TILE_PX].tobytes()


class Grids:
    """Makes grids when they are asked for, and keeps the last ones; for any number of threads."""

    def __init__(self, slides: OpenSlides, maps: MapShelf, drawings: Drawings) -> None:
        self._slides, self._maps, self._drawings = slides, maps, drawings
        self._kept: Kept[tuple[str, str, FileState, tuple[int, ...]], Grid] = Kept(
            CACHE_BYTES, lambda grid: sum(level.nbytes for level in grid.levels)
        )

    def grid(self, which: ShelfSlide, layer: str) -> Grid | None:
        """Return a layer by name; None if there is no such layer.

        Args:
            which: The slide.
            layer: `tissue`, or the number of a map and `classes`, `class-K`, `top` (the largest probability),
                `entropy` or `disagreement`, such as `0-class-2`.

        Raises:
            DataError: A file is damaged, or map and annotation have no class in common.
        """
        drawn = self._drawings.state(which) if layer.endswith("disagreement") else (0, 0)
        written = tuple(one.written_ns for one in self._maps.of(which))
        return self._kept.made((which.key, layer, drawn, written), lambda: self._made(which, layer))

    def annotation(self, which: ShelfSlide) -> Annotation:
        """Return what the expert drew on a slide.

        Raises:
            DataError: There is none, or it is damaged.
        """
        return self._drawings.read(which, self.frame(which))

    def frame(self, which: ShelfSlide) -> SlideFrame:
        """Return where annotations of a slide count from.

        Raises:
            DataError: The slide is damaged.
        """
        with self._slides.reading(which) as slide:
            return slide.frame(no_crop=self._drawings.no_crop)

    def _made(self, which: ShelfSlide, layer: str) -> Grid | None:
        maps = self._maps.of(which)
        if layer == "tissue":
            return self._tissue(which, maps)
        asked = _OF_MAP.fullmatch(layer)
        if asked is None or int(asked[1]) >= len(maps):
            return None
        slide_map = self._maps.load(maps[int(asked[1])])
        if asked[3] is not None and int(asked[3]) >= len(slide_map.classes):
            return None
        if asked[2] == "disagreement":
            return _disagreement(slide_map, self.annotation(which))
        return _of_map(slide_map, asked[2], None if asked[3] is None else int(asked[3]))

    def _tissue(self, which: ShelfSlide, maps: tuple[ShelfMap, ...]) -> Grid:
        rule = maps[0].summary.map.tissue_rule if maps else None
        with self._slides.reading(which) as slide:
            found = tissue_mask(slide, rule)
        cells = np.full(found.tissue.shape, NO_CLASS_BYTE, np.uint8)
        cells[found.tissue] = TISSUE
        cells[found.ink] = INK
        return Grid(pyramid_of(cells, halve_classes), found.cell_px)


def _of_map(slide_map: SlideMap, kind: str, place: int | None) -> Grid:
    if kind == "classes":
        return Grid(pyramid_of(slide_map.class_grid(), halve_classes), slide_map.stride0_px)
    shares = slide_map.grid()
    value: NDArray[np.floating]
    if place is not None:
        value = shares[..., place]
    elif kind == "top":
        value = shares.max(axis=-1)
    else:
        value = entropy_bits(shares) / math.log2(len(slide_map.classes))
    return Grid(pyramid_of(as_bytes(value), halve_stored), slide_map.stride0_px)


def as_bytes(value: NDArray[np.floating]) -> Bytes:
    """Return shares from 0 to 1 as 1 + 254 times the share, and NaN as 0."""
    missing = np.isnan(value)
    return np.where(missing, 0, 1 + np.rint(_STEPS * np.where(missing, 0, value))).astype(np.uint8)


def _disagreement(slide_map: SlideMap, annotation: Annotation) -> Grid:
    samples = sample_both(slide_map, annotation)
    cells = np.full(samples.mapped.shape, NO_CLASS_BYTE, np.uint8)
    both = samples.compared
    cells[both] = np.where(samples.mapped[both] == samples.expert[both], AGREES, DISAGREES)
    if not cells.size:
        raise DataError(f"{slide_map.card.slide}: has no place to compare")
    return Grid(pyramid_of(cells, halve_classes), samples.step_px)
