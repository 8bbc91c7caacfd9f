"""Where the tiles of a map lie on a slide; segmenting lays the grid, and a SlideMap is read by it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SAME = 1e-6  # relative; a step this near a whole number of px is that number


@dataclass(frozen=True)
class MapGrid:
    """Squares of one size, one step apart in both directions, from a slide's upper left corner on.

    Tiles that would stand out of the slide are left off. Where the step is smaller than a tile they overlap. The step
    is as large as it is in truth, so it may be no whole number of px; each tile begins at the nearest whole px, as it
    does in `hviskd tiles cut`.

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
    def over(cls, size_px: tuple[int, int], slide_mpp: float, *, tile_px: int, mpp: float, stride_px: int) -> "MapGrid":
        """Lay a grid of tiles of `tile_px` at `mpp`, `stride_px` of the same px apart, over a slide."""
        scale = mpp / slide_mpp
        return cls(*size_px, _whole_if_near(tile_px * scale), _whole_if_near(stride_px * scale))

    @property
    def tile_rows(self) -> int:
        """How many tiles begin one below the other."""
        return self._count(self.height_px)

    @property
    def tile_columns(self) -> int:
        """How many tiles begin side by side."""
        return self._count(self.width_px)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells, squares as large as the step, that the tiles cover wholly."""
        reach = math.floor(self.tile0_px / self.stride0_px + _SAME) - 1
        rows, columns = self.tile_rows, self.tile_columns
        return (rows + reach, columns + reach) if rows and columns else (0, 0)

    def starts_px(self, steps: NDArray[np.integer]) -> NDArray[np.int64]:
        """Give where tiles of these rows or columns begin, in level-0 px."""
        return np.floor(steps * self.stride0_px + 0.5).astype(np.int64)

    def _count(self, length_px: int) -> int:
        return max(0, math.floor((length_px - self.tile0_px) / self.stride0_px + _SAME) + 1)


def _whole_if_near(number: float) -> float:
    whole = float(round(number))
    return whole if abs(number - whole) < _SAME * number else number
