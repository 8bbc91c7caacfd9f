"""What NumPy alone finds in masks is what SciPy finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from hviskd import mask_shapes
from hviskd.mask_shapes import depth, drop_small, grown, holes, smooth_in_place, widened

SHAPES = st.tuples(st.integers(1, 14), st.integers(1, 14))
masks = arrays.arrays(np.bool_, SHAPES, elements=st.booleans())


def blobs(share, shape=(150, 210), seed=0):
    """A mask of some large shapes with holes in them, beside specks."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 2)
    return noise > np.quantile(noise, 1 - share)


LARGE = [blobs(0.5), blobs(0.9), blobs(0.1), np.ones((40, 50), bool), np.zeros((40, 50), bool)]


def both(check):
    """Check small masks of any kind, and large ones that look like tissue."""
    given(masks)(check)()
    for mask in LARGE:
        check(mask)


@pytest.mark.parametrize("least", [0, 1, 2, 7.5])
def test_small_components_are_dropped(least):
    def check(mask):
        labels, _ = ndimage.label(mask, np.ones((3, 3)))
        large = np.bincount(labels.ravel()) >= least
        large[0] = False
        np.testing.assert_array_equal(drop_small(mask, least), large[labels])

    both(check)


def test_holes_are_what_filling_adds():
    def check(mask):
        np.testing.assert_array_equal(holes(mask), ndimage.binary_fill_holes(mask) & ~mask)

    both(check)


def test_a_spiral_is_one_component_and_its_inside_is_no_hole():
    spiral = np.zeros((401, 401), bool)
    row, column, left, turn = 200, 200, 2, 0
    while 2 <= row < 399 and 2 <= column < 399:
        for _ in range(left):
            spiral[row, column] = True
            row, column = row + (0, 1, 0, -1)[turn % 4], column + (1, 0, -1, 0)[turn % 4]
            if not (0 <= row < 401 and 0 <= column < 401):
                break
        turn, left = turn + 1, left + 2
    np.testing.assert_array_equal(drop_small(spiral, spiral.sum()), spiral)
    assert not holes(spiral).any()


@given(st.data())
def test_seeds_grow_as_far_as_they_may(data):
    within = data.draw(masks)
    seeds = within & data.draw(arrays.arrays(np.bool_, within.shape, elements=st.booleans()))
    np.testing.assert_array_equal(grown(seeds, within), ndimage.binary_propagation(seeds, mask=within))


@pytest.mark.parametrize("px", [1, 3])
def test_a_mask_is_widened(px):
    both(lambda mask: np.testing.assert_array_equal(widened(mask, px), ndimage.binary_dilation(mask, iterations=px)))


def test_depth_is_the_distance_to_the_outside():
    def check(mask):
        expected = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        np.testing.assert_array_equal(depth(mask), expected)

    both(check)


@pytest.mark.parametrize("large", [False, True])
def test_depth_is_the_same_whether_numpy_or_scipy_finds_it(monkeypatch, large):
    monkeypatch.setattr(mask_shapes, "_MANY", 0 if large else 10**9)
    test_depth_is_the_distance_to_the_outside()


def test_only_a_large_mask_is_left_to_scipy(monkeypatch):
    asked = []
    monkeypatch.setattr(ndimage, "distance_transform_edt", lambda framed: asked.append(framed.shape) or framed * 2.0)
    mask = blobs(0.7, (400, 300))
    np.testing.assert_array_equal(depth(mask), mask * 2.0)
    depth(mask[:300])
    assert asked == [(402, 302)]


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 40, 3), (300, 500, 3), (31, 3, 3)])
@pytest.mark.parametrize("sigma", [0.3, 0.75, 3.0])
def test_smoothing_gives_the_very_numbers(shape, sigma):
    image = np.random.default_rng(0).random(shape, np.float32)
    expected = ndimage.gaussian_filter(image, (sigma, sigma, 0))
    np.testing.assert_array_equal(smooth_in_place(image, sigma), expected)
