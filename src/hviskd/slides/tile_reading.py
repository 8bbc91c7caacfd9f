"""Reads many tiles of one slide in threads, several with one read where that is faster.

Whatever way is taken, each tile is pixel for pixel what `slide.read(x_px, y_px, tile_px, tile_px, mpp)` gives.
"""

import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from hviskd.arrays import RGB, Ints
from hviskd.slides import Slide
from hviskd.threads import in_threads

Result = TypeVar("Result")

# What one thread reads at a time, in px of the tiles: 13 × 3 tiles of 150 px.
_BLOCK_WIDTH_PX, _BLOCK_HEIGHT_PX = 2048, 512
_STRIP = 4  # rectangles side by side
_DENSE = 0.4  # share of a neighbourhood to be cut from which on it is read at once
_AHEAD_PER_THREAD = 2


def read_tiles(
    slide: Slide,
    x_px: Ints,
    y_px: Ints,
    *,
    tile_px: int,
    mpp: float,
    threads: int,
    then: Callable[[Ints, RGB], Result],
) -> Iterator[Result]:
    """Read the tiles at the given places, neighbourhood by neighbourhood, and process each.

    Args:
        slide: An open slide.
        x_px: (N,) left edges in level-0 px.
        y_px: (N,) upper edges in level-0 px.
        tile_px: Side of a tile.
        mpp: µm per tile pixel.
        threads: How many read at the same time.
        then: Called in the thread that read them with positions (n,) in `x_px` and their tiles, uint8
            (n, tile_px, tile_px, 3); each position once.

    Yields:
        What `then` gave, neighbourhood by neighbourhood.

    Raises:
        DataError: The slide is damaged.
    """
    at_own_scale = math.isclose(mpp / slide.mpp, 1, rel_tol=1e-6)  # where `read` gives the file's very pixels

    def read(which: Ints) -> Result:
        tiles = np.empty((len(which), tile_px, tile_px, 3), np.uint8)
        left, top = int(x_px[which].min()), int(y_px[which].min())
        width_px = int(x_px[which].max()) + tile_px - left
        height_px = int(y_px[which].max()) + tile_px - top
        if at_own_scale and len(which) * tile_px**2 >= _DENSE * width_px * height_px:
            whole = slide.read(left, top, width_px, height_px, mpp)
            for tile, x, y in zip(tiles, x_px[which] - left, y_px[which] - top, strict=True):
                tile[:] = whole[y : y + tile_px, x : x + tile_px]
        else:
            for tile, x, y in zip(tiles, x_px[which].tolist(), y_px[which].tolist(), strict=True):
                tile[:] = slide.read(x, y, tile_px, tile_px, mpp)
        return then(which, tiles)

    scale = mpp / slide.mpp
    across_px, down_px = (max(1, side // tile_px) * tile_px * scale for side in (_BLOCK_WIDTH_PX, _BLOCK_HEIGHT_PX))
    groups = _neighbourhoods(x_px, y_px, across_px, down_px)
    return in_threads(read, groups, threads=threads, ahead=threads * _AHEAD_PER_THREAD)


def _neighbourhoods(x_px: Ints, y_px: Ints, across_px: float, down_px: float) -> list[Ints]:
    """Group places into rectangles, and these into strips from top to bottom; positions ascend within each.

    A rectangle begins in the middle of the file's own tiles. In a strip, those are still in the slide's cache when the
    rectangle below asks for them; a whole row of a wide slide would have pushed them out.
    """
    if not len(x_px):
        return []
    column, row = (x_px // across_px).astype(np.int64), (y_px // down_px).astype(np.int64)
    order = np.lexsort((column, row, column // _STRIP))
    begins = np.flatnonzero(np.diff(column[order]) | np.diff(row[order])) + 1
    return np.split(order, begins)
