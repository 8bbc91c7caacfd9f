"""The colours of a map's shares from 0 to 1, for its heat maps and the viewer.

Apart from what draws figures, whose import takes the viewer half a second of a processor.
"""

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from hviskd.arrays import RGB

SCALE = "viridis"


def paint_heat_map(values: NDArray[np.float32], *, opacity: float = 0.7) -> RGB:
    """Colour a heat map to overlay on a slide: violet for 0, yellow for 1, transparent without a tile.

    Args:
        values: float32 (height, width) as `heat_map` gives them.
        opacity: Of what has a value, 0 to 1.

    Returns:
        RGBA, uint8 (height, width, 4).
    """
    colours: RGB = colormaps[SCALE](np.nan_to_num(values), bytes=True)
    colours[..., 3] = np.where(np.isnan(values), 0, round(255 * opacity))
    return colours
