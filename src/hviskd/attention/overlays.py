"""Maps laid over their tiles, and which tiles are shown."""

import matplotlib as mpl
import numpy as np
import scipy
from numpy.typing import NDArray

from hviskd.colours import hex_to_rgb

COLOURS = "cividis"  # read alike with any colour vision
OUTLINE = "#00E5FF"  # no stain comes near it
SHADE = 0.55


def overlay(
    tile: NDArray[np.uint8], scaled: NDArray[np.float32], outline: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Overlay a map on its tile at full resolution, with the expert's outline, as the figures do.

    Args:
        tile: uint8 (H, W, 3).
        scaled: The map as shares of its largest value, float32 (H, W).
        outline: bool (H, W), true inside.

    Returns:
        The picture, uint8 (H, W, 3).
    """
    colours = mpl.colormaps[COLOURS](scaled)[..., :3]
    mixed = np.round((1 - SHADE) * tile + SHADE * 255 * colours).astype(np.uint8)
    if outline is not None:
        mixed[outline & ~scipy.ndimage.binary_erosion(outline, border_value=1)] = hex_to_rgb(OUTLINE)
    return mixed


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Return at most so many positions, evenly spread from the first to the last of `count`."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(np.int64))
