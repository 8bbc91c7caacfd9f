import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from shapely import box

from hviskd.agreement.boundary import (
    Profile,
    border,
    boundary_profile,
    distance_edges_um,
    hausdorff95_um,
    mean_profile,
    sample,
    signed_distance_um,
)
from hviskd.annotations import Outlines, Region
from tests.agreement.rectangles import WHOLE, halves_map


def _everywhere(shape: tuple[int, int]) -> np.ndarray:
    return np.ones(shape, bool)


def _rectangle(shape: tuple[int, int], top: int, left: int, bottom: int, right: int) -> np.ndarray:
    inside = np.zeros(shape, bool)
    inside[top:bottom, left:right] = True
    return inside


def test_rectangles_moved_apart_are_as_far_as_they_were_moved() -> None:
    shape = (60, 80)
    here, there = _rectangle(shape, 10, 0, 50, 30), _rectangle(shape, 10, 0, 50, 37)
    only_right = _everywhere(shape)
    only_right[:11] = only_right[49:] = False  # so that no border but the upright one is compared
    assert hausdorff95_um(here, there, only_right, 2.5) == pytest.approx(7 * 2.5)


def test_circles_about_one_centre_are_as_far_as_their_radii_differ() -> None:
    y, x = np.ogrid[:200, :200]
    away = np.hypot(y - 99.5, x - 99.5)
    assert hausdorff95_um(away < 60, away < 80, _everywhere((200, 200)), 0.5) == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize("seed", range(4))
def test_hausdorff_is_that_of_all_pairs_of_border_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second, compared = (rng.random((23, 31)) < share for share in (0.2, 0.1, 0.9))

    def naive_border(area: np.ndarray) -> np.ndarray:
        found = []
        for row, column in np.argwhere(area & compared):
            for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                near = row + down, column + right
                if 0 <= near[0] < 23 and 0 <= near[1] < 31 and compared[near] and not area[near]:
                    found.append((row, column))
                    break
        return np.array(found)

    apart = cdist(naive_border(first), naive_border(second))
    expected = max(np.percentile(apart.min(axis=1), 95), np.percentile(apart.min(axis=0), 95)) * 3
    assert hausdorff95_um(first, second, compared, 3.0) == pytest.approx(expected)
    assert border(first, compared).sum() == len(naive_border(first))


def test_an_area_that_is_missing_or_has_no_border_has_no_distance() -> None:
    some = _rectangle((9, 9), 2, 2, 5, 5)
    assert math.isnan(hausdorff95_um(some, np.zeros((9, 9), bool), _everywhere((9, 9)), 1))
    assert math.isnan(hausdorff95_um(_everywhere((9, 9)), some, _everywhere((9, 9)), 1))


def test_signed_distance_is_to_the_line_between_the_samples_and_negative_inside() -> None:
    inside = _rectangle((5, 10), 0, 0, 5, 4)
    np.testing.assert_allclose(signed_distance_um(inside, 2.0)[2], (np.arange(10) + 0.5 - 4) * 2)
    with pytest.raises(ValueError, match="no outline"):
        signed_distance_um(np.zeros((3, 3), bool), 1)


def test_profile_of_an_upright_outline_is_the_maps_columns() -> None:
    slide_map = halves_map()  # 20 columns of cells of 32 px = 8 µm; probability of class 0 falls from column to column
    drawn = Outlines.of([Region("left", box(0, 0, 320, 448)), Region("right", box(320, 0, 640, 448))], size=WHOLE)
    samples = sample(slide_map, drawn, np.array([0, 1, -1], np.int16))
    edges = distance_edges_um(8, 80)
    profile = boundary_profile(slide_map, samples, 0, edges, slide="s", model="m")
    assert profile is not None
    # Columns' centres lie 4, 12, … µm from the outline at column 10, so each step holds one column of 14 cells.
    np.testing.assert_array_equal(profile.cells, np.full(20, 14))
    np.testing.assert_allclose(profile.mean, slide_map.grid()[0, :, 0], rtol=1e-6)
    assert (
        boundary_profile(slide_map, replace(samples, expert=samples.expert * 0), 0, edges, slide="", model="") is None
    )


def test_samples_divide_cells_evenly_and_are_bounded() -> None:
    slide_map = halves_map()
    drawn = Outlines.of([Region("left", box(0, 0, 320, 448))], size=WHOLE)
    fine = sample(slide_map, drawn, np.array([0, -1], np.int16))
    assert fine.step_px == 4
    assert fine.step_um == 1
    assert fine.mapped.shape == fine.expert.shape == (112, 160)
    np.testing.assert_array_equal(fine.mapped[::8, ::8], slide_map.class_grid())
    coarse = sample(slide_map, drawn, np.array([0, -1], np.int16), limit=100)
    assert coarse.mapped.size < 150


def test_mean_over_slides_and_its_spread_are_numpys() -> None:
    edges = distance_edges_um(10, 20)
    values = np.array([[0.1, 0.5, np.nan, np.nan], [0.3, 0.7, 0.2, np.nan], [0.8, 0.9, 0.6, np.nan]])
    profiles = [Profile(str(at), "m", "a", edges, np.ones(4, np.int64), row) for at, row in enumerate(values)]
    mean = mean_profile(profiles)
    np.testing.assert_array_equal(mean.slides, [3, 3, 2, 0])
    np.testing.assert_allclose(mean.mean[:3], np.nanmean(values[:, :3], axis=0))
    np.testing.assert_allclose(mean.sd[:3], np.nanstd(values[:, :3], axis=0, ddof=1))
    assert np.isnan(mean.mean[3])
    assert np.isnan(mean.sd[3])
    assert np.isnan(mean_profile(profiles[:1]).sd).all()


def test_steps_must_be_positive_and_few() -> None:
    np.testing.assert_array_equal(distance_edges_um(10, 25), np.arange(-30, 31, 10))
    for bad in ((0, 10), (10, math.inf), (1e-6, 1000)):
        with pytest.raises(ValueError, match="must be positive"):
            distance_edges_um(*bad)
