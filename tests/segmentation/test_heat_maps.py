import numpy as np
import pytest
from hypothesis import given, settings
from scipy import ndimage

from hviskd.segmentation import SlideMap
from hviskd.segmentation.heat_colours import paint_heat_map
from hviskd.segmentation.heat_maps import draw_heat_map, heat_map

from .make import CLASSES
from .maps import map_of, maps, no_tiles, random_map

STEP_UM = 16.0  # 32 px at 0.5 µm/px; 64 level-0 px


def enlarged_and_blurred(grid, times, sigma_cells):
    """The usual way: enlarge the cells, blur values and tissue alike with a Gaussian, divide."""
    big = np.kron(np.nan_to_num(grid), np.ones((times, times)))
    there = np.kron(~np.isnan(grid), np.ones((times, times)))
    blur = {"sigma": sigma_cells * times, "mode": "constant", "truncate": 4.0}
    share, total = ndimage.gaussian_filter(big, **blur), ndimage.gaussian_filter(there, **blur)
    return np.where(there > 0, share / np.maximum(total, 1e-9), np.nan)


@pytest.mark.parametrize("sigma_cells", [0.3, 0.75, 2.0])
def test_it_is_what_enlarging_and_blurring_gives(sigma_cells):
    some = random_map(9, 12, density=0.6, seed=3)
    made = heat_map(some, CLASSES[1], (12 * 25, 9 * 25), sigma_um=sigma_cells * STEP_UM)
    usual = enlarged_and_blurred(some.grid()[..., 1].astype(float), 25, sigma_cells)
    np.testing.assert_array_equal(np.isnan(made), np.isnan(usual))
    assert np.nanmax(np.abs(made - usual)) < 2e-3


def test_the_size_of_the_picture_does_not_change_the_values():
    some = random_map(6, 6, density=0.7, seed=1)
    small, large = heat_map(some, CLASSES[0], (18, 18)), heat_map(some, CLASSES[0], (54, 54))
    np.testing.assert_allclose(small, large[1::3, 1::3], rtol=1e-6)  # the middle of 3 × 3 px is where the large px is


def test_a_window_is_cut_out_of_the_whole():
    some = random_map(6, 8, density=0.7, seed=2)
    whole = heat_map(some, CLASSES[2], (80, 60))
    part = heat_map(some, CLASSES[2], (30, 20), window_px=(20 * 6.4, 10 * 6.4, 30 * 6.4, 20 * 6.4))
    np.testing.assert_allclose(part, whole[10:30, 20:50], rtol=1e-5)


def test_outside_the_slide_there_is_nothing():
    made = heat_map(map_of([[0]]), CLASSES[0], (3, 3), window_px=(-64, -64, 192, 192))
    assert np.isfinite(made[1, 1])
    assert np.isnan(made).sum() == 8


def test_glass_beside_tissue_does_not_pale_it():
    some = map_of([[0, -1, -1], [0, 0, -1], [-1, -1, 0]], probability=0.9)
    made = heat_map(some, CLASSES[0], (90, 90), sigma_um=3 * STEP_UM)
    np.testing.assert_allclose(made[~np.isnan(made)], 0.9, rtol=1e-5)
    assert np.isnan(made).mean() == pytest.approx(5 / 9)


def test_without_smoothing_it_is_the_map():
    some = random_map(5, 4, density=0.8)
    made = heat_map(some, CLASSES[1], (4, 5), sigma_um=0)
    np.testing.assert_array_equal(made, some.grid()[..., 1])


@given(maps())
@settings(max_examples=30)
def test_the_classes_of_a_place_still_sum_to_one(some):
    whole = np.stack([heat_map(some, name, (23, 17)) for name in CLASSES])
    sums = whole.sum(axis=0)
    np.testing.assert_allclose(sums[~np.isnan(sums)], 1, atol=1e-5)
    assert ((whole >= 0) & (whole <= 1.00001) | np.isnan(whole)).all()


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("liver", (4, 4), {}),
        (CLASSES[0], (0, 4), {}),
        (CLASSES[0], (4, 4), {"sigma_um": -1}),
        (CLASSES[0], (4, 4), {"sigma_um": float("nan")}),
        (CLASSES[0], (4, 4), {"window_px": (0, 0, 0, 5)}),
    ],
)
def test_what_makes_no_sense_is_refused(name, size, options):
    with pytest.raises(ValueError, match=r"no class|must be positive"):
        heat_map(random_map(2, 2), name, size, **options)


def test_where_there_is_no_tile_the_painting_is_clear():
    painted = paint_heat_map(np.array([[np.nan, 0.0, 1.0]], np.float32), opacity=0.5)
    assert painted[0, :, 3].tolist() == [0, 128, 128]
    assert painted[0, 2, :2].min() > 200  # yellow
    assert painted[0, 1, :3].max() < 100  # dark


def test_a_picture_of_any_map_can_be_drawn():
    some = random_map(3, 20)
    thumbnail = np.full((30, 200, 3), 240, np.uint8)
    for each in (some, SlideMap(some.card, *no_tiles())):
        figure = draw_heat_map(each, CLASSES[0], thumbnail)
        figure.canvas.draw()
        words = " ".join(text.get_text() for text in figure.texts)
        assert "not a medical device" in words.replace("\n", " ")
