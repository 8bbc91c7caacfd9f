"""The cap is shared like water between vessels: nobody gets more than he has, and the least get as much as they can."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hviskd.cutting.fair_draw import draw_tiles, fill_evenly, share_cap


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(0, 20))
def test_no_other_share_gives_the_least_more(available, total):
    given_, order = np.array(available), np.arange(len(available))
    taken = fill_evenly(given_, total, order)
    assert taken.sum() == min(total, sum(available))
    possible = [
        sorted(share)
        for share in itertools.product(*(range(count + 1) for count in available))
        if sum(share) == min(total, sum(available))
    ]
    assert sorted(taken.tolist()) == max(possible)
    assert (taken <= given_).all()


def test_a_rest_goes_to_the_first_in_rank():
    assert fill_evenly(np.array([9, 9, 9]), 10, np.array([2, 0, 1])).tolist() == [3, 4, 3]


def test_patients_share_before_slides_and_unknown_ones_count_as_slides():
    available = np.array([[100, 0], [100, 7], [100, 0], [2, 0]])
    shares = share_cap(available, ["a", "b", "c", "d"], ["P", "P", None, None], 62, seed=0)
    assert shares[:, 0].tolist() == [15, 15, 30, 2]
    assert shares[:, 1].tolist() == [0, 7, 0, 0]
    assert share_cap(available, ["a", "b", "c", "d"], [None] * 4, None, seed=0).tolist() == available.tolist()


def test_the_order_of_the_slides_decides_nothing():
    available = np.array([[50], [60], [70]])
    names = ["a", "b", "c"]
    forward = share_cap(available, names, [None] * 3, 100, seed=3)
    backward = share_cap(available[::-1].copy(), names[::-1], [None] * 3, 100, seed=3)
    assert forward.tolist() == backward[::-1].tolist()
    assert {tuple(share_cap(available, names, [None] * 3, 100, seed=s)[:, 0].tolist()) for s in range(20)} == {
        (33, 33, 34),
        (33, 34, 33),
        (34, 33, 33),
    }


def test_a_slides_tiles_are_drawn_evenly_and_a_larger_share_adds_to_a_smaller_one():
    labels = np.tile(np.array([0, 1], np.int16), 500)
    small = draw_tiles(labels, np.array([10, 100]), "slide", seed=1)
    large = draw_tiles(labels, np.array([20, 100]), "slide", seed=1)
    assert np.bincount(labels[small]).tolist() == [10, 100]
    assert set(small) < set(large)
    assert (np.diff(small) > 0).all()
    assert 350 < small[labels[small] == 1].mean() < 650
    assert draw_tiles(labels, np.array([10, 100]), "other", seed=1).tolist() != small.tolist()
