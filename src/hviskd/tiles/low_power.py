"""Tiles at low power: the same field at twice the µm/px, in a quarter of the px."""

import numpy as np
from PIL import Image

from hviskd.arrays import RGB

_LEAST_PX = 64  # of which half is the least that a network reads


def has_low_power(tile_px: int) -> bool:
    """Return whether tiles of this side can be read at low power: an even number of px, 64 or more."""
    return tile_px >= _LEAST_PX and tile_px % 2 == 0


def at_low_power(tiles: RGB) -> RGB:
    """Return uint8 tiles (N, H, W, 3), of even sides, as (N, H/2, W/2, 3): each px the mean of four, rounded."""
    count, height, width, _ = tiles.shape
    if not count:
        return np.empty((0, height // 2, width // 2, 3), np.uint8)
    column = Image.fromarray(tiles.reshape(count * height, width, 3))
    return np.array(column.reduce(2)).reshape(count, height // 2, width // 2, 3)
