"""Baseline maps without a network: random maps and edge maps."""

import numpy as np
import scipy
from numpy.typing import NDArray

from hviskd.arrays import Floats32

_GRAIN = 1 / 12  # standard deviation of the blur, as a share of the tile: about as smooth as an enlarged stage map
_EDGE_BLUR_PX = 2.0


def random_map(tile_px: int, rng: np.random.Generator) -> Floats32:
    """Return blurred noise (tile_px, tile_px) from 0 to 1."""
    noise = scipy.ndimage.gaussian_filter(rng.standard_normal((tile_px, tile_px)), tile_px * _GRAIN, mode="wrap")
    return _from_0_to_1(noise)


def edge_map(tile: NDArray[np.uint8]) -> Floats32:
    """Return the brightness gradient of an RGB tile (H, W, 3) by Sobel's filter, blurred by 2 px, from 0 to 1.

    A tile of one colour has no edge: zero everywhere.
    """
    brightness = tile.astype(np.float64) @ (0.299, 0.587, 0.114)
    steepness = np.hypot(scipy.ndimage.sobel(brightness, axis=0), scipy.ndimage.sobel(brightness, axis=1))
    return _from_0_to_1(scipy.ndimage.gaussian_filter(steepness, _EDGE_BLUR_PX))


def _from_0_to_1(values: NDArray[np.float64]) -> Floats32:
    spread = np.ptp(values)
    return ((values - values.min()) / (spread if spread > 0 else 1)).astype(np.float32)
