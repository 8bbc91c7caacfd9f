"""Conversion to CIE Lab under D65, for Reinhard's stain statistics and their transfer."""

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import Floats

# sRGB (IEC 61966-2-1) to XYZ, divided by the white of D65; and Lab from the cube roots of those.
_RGB_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
RGB_TO_XYZ: Floats = _RGB_TO_XYZ / np.array([[0.95047], [1.0], [1.08883]])
ROOTS_TO_LAB: Floats = np.array([[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]])
LAB_OFFSET: Floats = np.array([-16.0, 0.0, 0.0])


def linear_levels() -> Floats:
    """Return the linear light, 0 to 1, of each of the 256 grey levels of sRGB, float64 (256,)."""
    level = np.arange(256) / 255
    return np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)


def levels_of(light: Floats) -> Floats:
    """Return the grey levels, 0 to 255 and not rounded, of linear light; the inverse of `linear_levels`."""
    light = np.clip(light, 0, 1)
    return 255 * np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)


def roots_of(xyz: Floats) -> Floats:
    """Return CIE's f(t): the cube root, and a straight line near black."""
    return np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)


def rgb_to_lab(pixels: NDArray[np.uint8]) -> Floats:
    """Convert RGB uint8 (N, 3) to Lab, float64 (N, 3): L from 0 to 100, a and b from about −100 to 100."""
    return roots_of(linear_levels()[pixels] @ RGB_TO_XYZ.T) @ ROOTS_TO_LAB.T + LAB_OFFSET
