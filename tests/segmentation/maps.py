"""Maps with chosen classes or probabilities, for the tests of the files that a map is written to."""

import numpy as np
from hypothesis import strategies as st

from hviskd.segmentation import SlideMap

from .make import CLASSES, map_card

EMPTY = -1


def random_map(rows, columns, *, density=0.8, seed=0, **facts):
    """A map of a slide with room for rows × columns tiles of 64 px, some of them empty."""
    sides = {"slide_width_px": 64 * columns, "slide_height_px": 64 * rows}
    card = map_card(**sides | facts)
    rng = np.random.default_rng(seed)
    whole = SlideMap(card, *no_tiles())
    row, column = np.nonzero(rng.random((whole.tile_grid.rows, whole.tile_grid.columns)) < density)
    shares = rng.dirichlet([0.5] * len(card.classes), len(row)).astype(np.float32)
    return SlideMap(card, column.astype(np.int32), row.astype(np.int32), shares)


def map_of(labels, *, probability=0.8, **facts):
    """A map whose tiles have these classes, (rows, columns); −1 where there is none."""
    labels = np.asarray(labels)
    sides = {"slide_width_px": 64 * labels.shape[1], "slide_height_px": 64 * labels.shape[0]}
    row, column = np.nonzero(labels != EMPTY)
    shares = np.full((len(row), len(CLASSES)), (1 - probability) / (len(CLASSES) - 1), np.float32)
    shares[np.arange(len(row)), labels[row, column]] = probability
    return SlideMap(map_card(**sides | facts), column.astype(np.int32), row.astype(np.int32), shares)


def no_tiles():
    return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros((0, len(CLASSES)), np.float32)


def maps():
    """Random maps of up to 9 × 9 tiles, with and without overlap, at whole and broken steps."""
    side = st.integers(1, 9)
    return st.builds(
        random_map,
        side,
        side,
        density=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
        seed=st.integers(0, 2**31),
        stride_px=st.sampled_from([32, 16, 11]),
        slide_mpp=st.sampled_from([0.25, 0.2527]),
    )
