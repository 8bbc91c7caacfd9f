"""Tile size, µm/px and place on the slide follow from the pictures by plain geometry."""

from pathlib import Path

import pytest

from hviskd.errors import DataError
from hviskd.tiles.fitting import Fit, ImportSettings, settle_fit
from hviskd.tiles.rows import TileSource

FOLDER = Path("photos")


def settle(sizes, tile_px=None, resize=False, mpp=None):
    return settle_fit(FOLDER, sizes, ImportSettings(tile_px=tile_px, resize=resize, mpp=mpp))


def test_the_commonest_square_is_the_tile():
    fit = settle([(20, 30)] * 9 + [(16, 16)] * 5 + [(8, 8)] * 2)
    assert fit.tile_px == 16
    assert fit.misfit((16, 16)) is None
    assert [fit.misfit(size) for size in ((20, 30), (8, 8))] == ["not 16 × 16 px"] * 2


def test_without_squares_or_pictures_there_is_no_tile_size():
    with pytest.raises(DataError, match="`tile_px`"):
        settle([(20, 30)])
    with pytest.raises(DataError, match="photos"):
        settle([])


def test_cutting_keeps_the_scale_and_leaves_small_pictures_out():
    fit = settle([(20, 30), (10, 10)], tile_px=12, mpp=0.5)
    assert fit.mpp == 0.5
    assert fit.misfit((20, 30)) is None
    assert fit.misfit((30, 11)) == "smaller than 12 px"
    assert fit.square((20, 30)) == (4, 9, 12)


def test_resizing_changes_the_scale_with_the_side():
    fit = settle([(224, 224)], tile_px=64, resize=True, mpp=0.5)
    assert fit.mpp == pytest.approx(0.5 * 224 / 64)
    assert settle([(224, 300), (240, 224)], tile_px=64, resize=True, mpp=0.5).mpp == fit.mpp
    assert fit.square((224, 300)) == (0, 38, 224)
    assert fit.misfit((9, 7)) is None


def test_one_scale_for_pictures_of_several_sizes_is_refused():
    sizes = [(224, 224), (150, 150)]
    with pytest.raises(DataError, match="150 to 224"):
        settle(sizes, tile_px=64, resize=True, mpp=0.5)
    assert settle(sizes, tile_px=64, resize=True).mpp is None


@pytest.mark.parametrize(
    ("resize", "side_px", "expected"),
    [
        (False, None, (1005, 2010, 10)),  # at level 0: moved by the margin that is cut away
        (False, 80, (1020, 2040, 40)),  # the CSV's side is that of the shorter side, 20 px: 4 level-0 px a px
        (True, None, (1000, 2005, 20)),
        (True, 80, (1000, 2020, 80)),
    ],
)
def test_the_place_on_the_slide_is_that_of_the_square_taken(resize, side_px, expected):
    fit = Fit(tile_px=10, mpp=None, resize=resize)
    place = fit.on_slide((20, 30), TileSource(slide="s", x_px=1000, y_px=2000, side_px=side_px))
    assert (place.x_px, place.y_px, place.side_px) == expected
    assert place.slide == "s"


def test_one_name_is_not_taken_for_a_list_of_its_letters():
    with pytest.raises(DataError, match=r"`classes='CT'`.*`classes=\['CT'\]`"):
        ImportSettings(classes="CT")
