"""A SlideMap: where its tiles lie, what its grids and areas say, and what it refuses to be."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from hviskd.arrays import NO_CLASS_BYTE
from hviskd.segmentation import SlideMap
from tests.html_tables import read_tables
from tests.segmentation.make import CLASSES, map_card, slide_map


def test_tiles_lie_where_their_size_on_the_slide_puts_them():
    found = slide_map([0, 1, 6], [9, 0, 9])
    assert (found.tile0_px, found.stride0_px) == (64, 64)  # 32 px of 0.5 µm are 64 px of 0.25 µm
    assert found.x_px.tolist() == [576, 0, 576]
    assert found.y_px.tolist() == [0, 64, 384]
    assert (found.tile_um, found.stride_um) == (16, 16)
    assert found.grid_shape == (7, 10)


def test_a_step_that_is_no_whole_number_does_not_drift():
    step = 32 * 0.5 / 0.2465  # 64.909 px: a thousand of them are 64,908.7 px
    found = slide_map([0, 0], [0, 999], slide_mpp=0.2465, slide_width_px=64_909, slide_height_px=200)
    assert found.x_px.tolist() == [0, round(999 * step)]
    assert found.grid_shape == (3, 1000)
    with pytest.raises(ValueError, match="outside the grid"):
        slide_map([0], [999], slide_mpp=0.2465, slide_width_px=64_908, slide_height_px=200)


@pytest.mark.parametrize("size", [(640, 448), (641, 449), (703, 511)])
def test_tiles_that_would_stand_out_of_the_slide_are_not_on_the_grid(size):
    found = slide_map([], [], slide_width_px=size[0], slide_height_px=size[1])
    assert found.grid_shape == (7, 10)


def test_without_overlap_a_cell_is_its_tile():
    found = slide_map([0, 2, 2, 6], [1, 0, 5, 9])
    grid = found.grid()
    np.testing.assert_array_equal(grid[found.row, found.column], found.probabilities)
    assert np.isnan(grid).all(axis=-1).sum() == 70 - 4
    classes = found.class_grid()
    assert classes[2, 5] == found.probabilities[2].argmax()
    assert (classes == NO_CLASS_BYTE).sum() == 66


@pytest.mark.parametrize("stride_px", [8, 16, 20, 31])
def test_an_overlapped_cell_is_the_mean_of_the_tiles_over_it_weighted_by_what_they_cover(stride_px):
    card = map_card(stride_px=stride_px)
    empty = slide_map([], [], stride_px=stride_px).tile_grid
    rng = np.random.default_rng(1)
    rows, columns = np.nonzero(rng.random((empty.rows, empty.columns)) < 0.6)
    shares = rng.dirichlet([1, 1, 1], len(rows)).astype(np.float32)
    found = SlideMap(card, columns.astype(np.int32), rows.astype(np.int32), shares)
    fine = 4  # sub-cells a px of the model: every stride is then a whole number of them
    total = np.zeros((448 // 2 * fine, 640 // 2 * fine, 3))
    count = np.zeros((*total.shape[:2], 1))
    for row, column, share in zip(rows, columns, shares, strict=True):
        top, left = row * stride_px * fine, column * stride_px * fine
        total[top : top + 32 * fine, left : left + 32 * fine] += share
        count[top : top + 32 * fine, left : left + 32 * fine] += 1
    grid, side = found.grid(), stride_px * fine
    assert grid.shape[0] * stride_px <= 448 / 2
    for row, column in np.ndindex(*grid.shape[:2]):
        square = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
        if count[square].sum():
            np.testing.assert_allclose(grid[row, column], total[square].sum((0, 1)) / count[square].sum(), atol=1e-5)
        else:
            assert np.isnan(grid[row, column]).all()


def test_areas_are_those_of_the_cells():
    found = slide_map([0, 0, 3], [0, 1, 4])
    names = [CLASSES[place] for place in found.probabilities.argmax(axis=1)]
    assert found.areas_mm2() == {name: pytest.approx(names.count(name) * 0.016**2) for name in CLASSES}


def test_entropy_is_shannons_in_bits():
    found = slide_map([0, 0, 1], [0, 1, 0])
    np.testing.assert_allclose(found.entropy, stats.entropy(found.probabilities, base=2, axis=1), atol=1e-6)
    sure = SlideMap(map_card(), np.zeros(1, np.int32), np.zeros(1, np.int32), np.array([[0, 1, 0]], np.float32))
    assert sure.entropy.tolist() == [0]


def test_a_map_without_tiles_is_a_map():
    found = slide_map([], [])
    assert len(found) == 0
    assert found.grid().shape == (7, 10, 3)
    assert (found.class_grid() == NO_CLASS_BYTE).all()
    assert found.areas_mm2() == dict.fromkeys(CLASSES, 0)
    assert found.to_dataframe().shape == (0, 8 + len(CLASSES))


def test_the_table_has_one_row_a_tile():
    found = slide_map([0, 1], [3, 2])
    table = found.to_dataframe()
    assert table["x_px"].tolist() == [192, 128]
    assert table["class"].tolist() == [CLASSES[place] for place in found.probabilities.argmax(axis=1)]
    np.testing.assert_array_equal(table[[f"prob_{name}" for name in CLASSES]], found.probabilities)


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        ([0, 0], [1, 1], "each once"),
        ([1, 0], [0, 0], "in row order"),
        ([7], [0], "outside the grid"),
        ([0], [-1], "outside the grid"),
    ],
)
def test_tiles_in_disorder_are_refused(row, column, message):
    with pytest.raises(ValueError, match=message):
        slide_map(row, column)


@pytest.mark.parametrize("shares", [[[0.5, 0.2, 0.2]], [[1.5, -0.5, 0]], [[np.nan, 0.5, 0.5]], [[0.5, 0.5]]])
def test_numbers_that_are_no_probabilities_are_refused(shares):
    with pytest.raises(ValueError, match="probabilities"):
        SlideMap(map_card(), np.zeros(1, np.int32), np.zeros(1, np.int32), np.array(shares, np.float32))


@pytest.mark.parametrize(
    "facts",
    [
        {"stride_px": 33},
        {"colours": ((0, 0, 0),)},
        {"classes": (CLASSES[0],) * len(CLASSES)},
        {"slide_mpp": 0},
        {"path": "/home/someone"},
        {"mpp": np.nan},
    ],
)
def test_impossible_cards_are_refused(facts):
    with pytest.raises(ValueError):
        map_card(**facts)


def test_a_notebook_shows_the_classes_at_their_places_and_their_areas():
    found = slide_map([0, 0, 6], [0, 9, 4])
    html = found._repr_html_()
    data = re.search(r'image/png;base64,([^"]*)"', html)[1]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert pixels.shape == (336, 480, 3)  # 48 px a tile of 64
    for row, column, label in zip(found.row, found.column, found.class_index, strict=True):
        assert tuple(pixels[48 * row + 24, 48 * column + 24]) == found.colours[label]
    assert (pixels == 255).all(axis=-1).mean() == pytest.approx(1 - 3 / 70)
    shown = {cells[1]: cells[2] for cells in read_tables(html)[1:]}
    assert {name: float(area) for name, area in shown.items()} == pytest.approx(found.areas_mm2(), rel=1e-3)
    assert "image/png" in slide_map([], [])._repr_html_()
