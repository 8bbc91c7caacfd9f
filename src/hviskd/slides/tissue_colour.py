"""Distinguishes tissue from glass and from marker ink by colour.

All is done in optical density, log10(glass / light), in which the colours of one stain lie on one line.
"""

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import Bools, Floats32
from hviskd.mask_shapes import drop_small, grown, smooth_in_place, widened
from hviskd.thresholds import otsu

_Image = TypeVar("_Image", NDArray[np.uint8], NDArray[np.float32])

# Otsu's threshold is believed only within these bounds. On a slide that is all glass it would part noise from noise,
# on one that is all tissue pale from dark.
DENSITY_BOUNDS = (0.025, 0.04)
SATURATION_BOUNDS = (0.025, 0.04)
# A slide without any glass must not have its palest tissue taken for glass: glass is bright, and hardly tinted.
_DIMMEST_GLASS = 225
_MOST_TINTED_GLASS = 0.97  # a channel's share of the brightest one
_PURE_WHITE = 254
_SMOOTH_UM = 6.0  # bridges the clear gaps within loose tissue, and evens out the blocks of a JPEG


class Thresholds(NamedTuple):
    """Thresholds of mean optical density and saturation of tissue."""

    density: float
    saturation: float


def optical_density(image: NDArray[np.uint8]) -> Floats32:
    """Return log10(glass / light) of each channel, at least zero.

    Args:
        image: uint8 (height, width, 3).

    Returns:
        float32 (height, width, 3); glass, taken to be the brightest hundredth of each channel, is at zero. Pure
        white, which scanners put where they did not scan, does not count.
    """
    scanned = image[_least(image) < _PURE_WHITE]
    glass = np.percentile(scanned, 99, axis=0) if len(scanned) else np.full(3, 255.0)
    glass = np.maximum(glass, _MOST_TINTED_GLASS * max(glass.max(), _DIMMEST_GLASS))
    table = np.log10(glass / np.maximum(np.arange(256), 1)[:, None]).clip(0).astype(np.float32)  # (256, 3)
    density = np.empty(image.shape, np.float32)  # filled in place: a large slide's view has millions of px
    for channel in range(3):
        density[..., channel] = table[:, channel].take(image[..., channel])
    return density


def smoothed(density: Floats32, mpp: float) -> Floats32:
    """Blur optical density, float32 (height, width, 3) at `mpp` µm/px, in place, before tissue and ink are detected."""
    return smooth_in_place(density, _SMOOTH_UM / mpp)


def find_tissue(
    smooth: Floats32, *, density: float | None = None, saturation: float | None = None
) -> tuple[Bools, Thresholds]:
    """Find pixels that are both dense and coloured; grey shadows, dust and pencil are only dense.

    Args:
        smooth: What `smoothed` gave, float32 (height, width, 3).
        density: Threshold of the mean optical density; found by itself if None.
        saturation: Threshold of the saturation, likewise.

    Returns:
        Tissue, bool (height, width), and the thresholds.
    """
    dense, coloured = smooth.mean(axis=-1), _saturation(smooth)
    thresholds = Thresholds(
        _threshold(dense, DENSITY_BOUNDS) if density is None else density,
        _threshold(coloured, SATURATION_BOUNDS) if saturation is None else saturation,
    )
    return (dense > thresholds.density) & (coloured > thresholds.saturation), thresholds


def find_ink(smooth: Floats32, mpp: float) -> Bools:
    """Find blue, green, black and red marker ink.

    Haematoxylin and eosin absorb green the most; blue and green ink absorb red more than green. How much more is
    measured by the section's own ratio of red to green, since on a bluish stain dense nuclei, too, absorb red as much
    as green and more. Black ink absorbs all alike or lets nothing through; red ink absorbs blue about as much as
    green, or at least half as much where it is dense, and next to no red.

    Each is grown from where it is beyond doubt into its paler margin, and widened by 25 µm for its blurred edge. What
    is beyond doubt on less than 0.02 mm² is taken for a speck in the tissue. Thick blood may pass for red ink; thin
    red ink, violet ink and, on a very blue stain, pale blue ink for tissue: look at the picture.

    Args:
        smooth: What `smoothed` gave, float32 (height, width, 3).
        mpp: µm a px.

    Returns:
        Ink, bool (height, width).
    """
    red, green, blue = (smooth[..., channel] for channel in range(3))
    mean, least, most = smooth.mean(axis=-1), _least(smooth), _most(smooth)
    bluish, dense_bluish = _bluish(red, green, mean)
    cold = ((red > 0.2) & (red > bluish * green)) | ((red > 0.9) & (red > dense_bluish * green))
    black = ((mean > 0.5) & (most < 1.25 * least)) | (least > 0.7)
    warm = (red < 0.15 * green) & (((green > 0.5) & (blue > 0.85 * green)) | ((green > 0.7) & (blue > 0.55 * green)))
    margins = (
        (cold, (mean > 0.03) & (red > 0.9 * bluish * green)),
        (black, (mean > 0.1) & (most < 1.25 * least)),
        (warm, (green > 0.2) & (blue > 0.55 * green) & (red < 0.2 * green)),
    )
    ink = np.zeros(mean.shape, np.bool_)
    for certain, margin in margins:
        large = drop_small(certain, 20_000 / mpp**2)
        if large.any():
            ink |= grown(large, large | margin)
    return widened(ink, max(1, round(25 / mpp)))


def _bluish(red: Floats32, green: Floats32, mean: Floats32) -> tuple[float, float]:
    """Return the ratios of red to green above which pale and dense px are bluer than any tissue of this section.

    The factors and bounds were chosen on sections and tiles of brain, colon, glands and lung under 36 changes of their
    stain: none of these has a px of ink, and blue and green ink of any paleness is found beside all of them.
    """
    stained = mean > 0.08
    typical = float(np.median(red[stained] / np.maximum(green[stained], 1e-6))) if stained.any() else 0.0
    return float(np.clip(1.7 * typical, 1.2, 1.45)), float(np.clip(1.35 * typical, 1.0, 1.3))


def _threshold(values: Floats32, bounds: tuple[float, float]) -> float:
    return float(np.clip(otsu(values), *bounds))


def _saturation(density: Floats32) -> Floats32:
    """Saturation of the colour of light of this density: (max − min) / max of red, green, blue."""
    return 1 - 10 ** (_least(density) - _most(density))


def _least(image: _Image) -> _Image:
    """Return the smallest of the three channels of each px; numpy's `min` takes ten times as long on so few."""
    red, green, blue = np.moveaxis(image, -1, 0)
    least: _Image = np.minimum(np.minimum(red, green), blue)
    return least


def _most(image: _Image) -> _Image:
    red, green, blue = np.moveaxis(image, -1, 0)
    most: _Image = np.maximum(np.maximum(red, green), blue)
    return most
