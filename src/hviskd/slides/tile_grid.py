"""Where the tiles of a slide lie, by one rule for maps and for cutting.

The µm/px may differ: a map takes that of the slide where it is within 1 % of the Model's, cutting that of its settings.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import Ints
from hviskd.errors import DataError

if TYPE_CHECKING:
    from hviskd.slides.slide import Slide

_COARSEST = 1.5  # a slide this much coarser than the tiles has too little to show in them
_SAME = 1e-6  # relative; a length this near a whole number of px is that number


@dataclass(frozen=True)
class TileGrid:
    """Square tiles at a constant step in both directions, starting at a slide's upper left corner.

    Tiles that would extend beyond the slide are left out. Tiles overlap if the step is smaller than a tile. Sides and
    steps are not rounded, so they may be fractions of a px; each tile begins at the nearest whole px.

    Attributes:
        width_px: Of the slide, level 0.
        height_px: Of the slide, level 0.
        tile0_px: Side of a tile in level-0 px.
        stride0_px: Step in level-0 px; at most `tile0_px`.
    """

    width_px: int
    height_px: int
    tile0_px: float
    stride0_px: float

    @classmethod
    def over(
        cls, size_px: tuple[int, int], slide_mpp: float, *, tile_px: int, mpp: float, stride_px: int | None = None
    ) -> "TileGrid":
        """Make a grid of tiles of `tile_px` at `mpp`, with a step of `stride_px`; adjacent by default."""
        scale = mpp / slide_mpp
        stride_px = tile_px if stride_px is None else stride_px
        return cls(*size_px, _whole_if_near(tile_px * scale), _whole_if_near(stride_px * scale))

    @classmethod
    def on(cls, slide: "Slide", *, tile_px: int, mpp: float, stride_px: int | None = None) -> "TileGrid":
        """Make the grid of an open slide, as `over` does.

        Raises:
            DataError: The slide is much coarser than the tiles, or smaller than one.
        """
        if slide.mpp > mpp * _COARSEST:
            raise DataError(
                f"{slide.path}: {slide.mpp:.4g} µm/px, too coarse for tiles at {mpp:g} µm/px; use a scan at higher "
                "magnification, or tiles at more µm/px"
            )
        grid = cls.over(slide.size, slide.mpp, tile_px=tile_px, mpp=mpp, stride_px=stride_px)
        if not grid.rows or not grid.columns:
            raise DataError(
                f"{slide.path}: {slide.size[0]} × {slide.size[1]} px, smaller than one tile ({grid.tile0_px:.0f} px)"
            )
        return grid

    @property
    def rows(self) -> int:
        """Number of tiles in a column."""
        return self._count(self.height_px)

    @property
    def columns(self) -> int:
        """Number of tiles in a row."""
        return self._count(self.width_px)

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of cells, squares as large as the step, that the tiles cover completely."""
        reach = math.floor(self.tile0_px / self.stride0_px + _SAME) - 1
        rows, columns = self.rows, self.columns
        return (rows + reach, columns + reach) if rows and columns else (0, 0)

    @property
    def side_px(self) -> int:
        """Side of a tile in whole level-0 px; adjacent tiles of this side never overlap."""
        return max(1, math.floor(self.tile0_px))

    def starts_px(self, steps: NDArray[np.integer]) -> Ints:
        """Return where tiles of these rows or columns begin, in level-0 px."""
        return np.floor(steps * self.stride0_px + 0.5).astype(np.int64)

    def places_px(self) -> tuple[Ints, Ints]:
        """Return the left edges (columns,) and the upper edges (rows,) of all tiles, in level-0 px."""
        return self.starts_px(np.arange(self.columns)), self.starts_px(np.arange(self.rows))

    def _count(self, length_px: int) -> int:
        return max(0, math.floor((length_px - self.tile0_px) / self.stride0_px + _SAME) + 1)


def _whole_if_near(number: float) -> float:
    whole = float(round(number))
    return whole if abs(number - whole) < _SAME * number else number
