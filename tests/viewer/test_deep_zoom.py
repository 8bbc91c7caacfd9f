"""The geometry of deep zoom: tiles of a level cover it, each px once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hviskd.viewer.deep_zoom import TILE_PX, DeepZoom

SIDE = st.integers(1, 3000)


@pytest.mark.parametrize(
    ("size", "last"), [((1, 1), 0), ((2, 1), 1), ((256, 100), 8), ((257, 100), 9), ((1000, 3), 10)]
)
def test_the_last_level_is_the_picture_and_the_first_is_one_px(size, last):
    zoom = DeepZoom(*size)
    assert zoom.last_level == last == math.ceil(math.log2(max(size)))
    assert zoom.size(last) == size
    assert zoom.size(0) == (1, 1)


@given(SIDE, SIDE, st.integers(0, 12))
def test_tiles_cover_a_level_without_gap_or_overlap(width_px, height_px, level):
    zoom = DeepZoom(width_px, height_px)
    level = min(level, zoom.last_level)
    columns, rows = (math.ceil(side / TILE_PX) for side in zoom.size(level))
    seen = np.zeros(zoom.size(level)[::-1], int)
    for column in range(columns):
        for row in range(rows):
            place = zoom.tile(level, column, row)
            assert place.reduction == 2 ** (zoom.last_level - level)
            left, top = place.x_px // place.reduction, place.y_px // place.reduction
            seen[top : top + place.height_px, left : left + place.width_px] += 1
            assert place.x_px < width_px
            assert place.y_px < height_px
    assert (seen == 1).all()
    assert zoom.tile(level, columns, 0) is None
    assert zoom.tile(level, 0, rows) is None


@pytest.mark.parametrize("place", [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (99, 0, 0), (10**500, 0, 0), (3, 10**500, 0)])
def test_there_is_no_tile_elsewhere(place):
    assert DeepZoom(1000, 700).tile(*place) is None
