"""Maps whose agreement with simple outlines can be told by hand."""

import numpy as np

from hviskd.segmentation import SlideMap
from tests.segmentation.make import map_card

WHOLE = (640, 448)
CLASSES = ("left", "right")


def two_class_map(left_share: np.ndarray, **facts: object) -> SlideMap:
    """Give a map of cells of 32 px (8 µm); NaN where no tile is wanted, else the probability of `left`."""
    row, column = np.nonzero(~np.isnan(left_share))
    share = left_share[row, column].astype(np.float32)
    content = {"classes": CLASSES, "colours": ((0, 114, 178), (213, 94, 0)), "tile_px": 16, "stride_px": 16} | facts
    probabilities = np.stack([share, 1 - share], axis=1)
    return SlideMap(map_card(**content), column.astype(np.int32), row.astype(np.int32), probabilities)


def halves_map(**facts: object) -> SlideMap:
    """Give a map of 14 × 20 cells, `left` in the ten on the left, less and less probable to the right."""
    return two_class_map(np.tile(np.linspace(0.98, 0.03, 20), (14, 1)), **facts)
