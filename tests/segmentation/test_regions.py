"""A connected area of a map becomes a polygon that covers exactly its cells."""

import numpy as np
import pytest
import shapely

from hviskd.errors import DataError
from hviskd.segmentation import SlideMap
from hviskd.segmentation.regions import region_at
from tests.segmentation.make import map_card

CELL = 64  # level-0 px: tiles of 32 px at 0.5 µm/px on a slide at 0.25
CELLS = np.array(
    [
        [0, 0, 0, 0, 1, 1, 2, 2, 2, -1],
        [0, 1, 1, 0, 1, 0, 2, 1, 2, -1],
        [0, 1, 1, 0, 0, 0, 2, 2, 2, -1],
        [0, 0, 0, 0, 1, 1, 1, 1, 0, -1],
        [1, 1, 1, 1, 0, 0, 0, 0, 0, -1],
        [2, 2, 2, 2, 2, 2, 2, 2, 2, -1],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, -1],
    ]
)


@pytest.fixture
def some():
    row, column = np.nonzero(CELLS >= 0)
    shares = np.full((len(row), 3), 0.2, np.float32)
    shares[np.arange(len(row)), CELLS[row, column]] = 0.6
    return SlideMap(map_card(), column.astype(np.int32), row.astype(np.int32), shares)


def covered(region):
    """The cells whose middles lie in a region."""
    rows, columns = np.indices(CELLS.shape)
    middles = shapely.points((columns + 0.5) * CELL, (rows + 0.5) * CELL)
    return shapely.contains(region.geometry, middles)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 1), (0, 4), (1, 7), (0, 6), (4, 8), (4, 0), (5, 3)])
def test_it_is_what_hangs_together_by_sides(some, row, column):
    region = region_at(some, (column + 0.3) * CELL, (row + 0.9) * CELL)
    mine = {(row, column)}
    while True:  # as one would by hand
        near = {(r + a, c + b) for r, c in mine for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0))}
        more = {
            (r, c)
            for r, c in near
            if 0 <= r < len(CELLS) and 0 <= c < CELLS.shape[1] and CELLS[r, c] == CELLS[row, column]
        }
        if more <= mine:
            break
        mine |= more
    expected = np.zeros(CELLS.shape, bool)
    expected[tuple(zip(*mine, strict=True))] = True
    assert np.array_equal(covered(region), expected)
    assert region.geometry.area == len(mine) * CELL**2
    assert region.geometry.is_valid
    assert (region.label, region.colour) == (some.classes[CELLS[row, column]], some.colours[CELLS[row, column]])


def test_where_there_is_no_tile_there_is_no_region(some):
    for x, y in ((9.5 * CELL, 0), (-1, 5), (5, -1), (1e7, 5), (5, 7 * CELL)):
        assert region_at(some, x, y) is None


def test_a_border_too_ragged_is_left_to_the_hand(some, monkeypatch):
    monkeypatch.setattr("hviskd.annotations.tracing.EDGE_LIMIT", 3)
    with pytest.raises(DataError, match=r"section\.svs: the border .* outline a part of it by hand"):
        region_at(some, 5, 5)
