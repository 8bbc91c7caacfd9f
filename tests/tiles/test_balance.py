"""Whole groups are shared out as well as trying every possibility would, where that can be tried."""

from itertools import product
from time import process_time

import numpy as np
import pytest

from hviskd.tiles.balance import share_out

FRACTIONS = np.array([0.7, 0.15, 0.15])


def deviation(counts, fractions, splits):
    """The sum over splits and classes of the squared relative deviation, term by term."""
    total = 0.0
    for split, fraction in enumerate(fractions):
        for column in counts.T:
            total += (column[splits == split].sum() / (fraction * column.sum()) - 1) ** 2
    return total


def lacks(counts, splits):
    """Pairs of split and class where the split has no tile of the class."""
    return sum(int((counts[splits == split].sum(axis=0) == 0).sum()) for split in range(3))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_as_good_as_trying_everything(seed):
    """All 3⁸ divisions are tried; those that leave train without a class are worse than any other."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 60, (8, 3)) * rng.integers(0, 2, (8, 3))
    counts[np.arange(8), np.arange(8) % 3] += 1
    tried = np.array(list(product(range(3), repeat=8)))
    sums = np.stack([(tried == split) @ counts for split in range(3)], axis=1)  # (division, split, class)
    allowed = [(tried == split).any(axis=1) for split in range(3)]
    sums = sums[np.logical_and.reduce(allowed) & sums[:, 0].all(axis=1)]
    deviations = ((sums / (FRACTIONS[:, None] * counts.sum(axis=0)) - 1) ** 2).sum(axis=(1, 2))
    best = min(zip((sums == 0).sum(axis=(1, 2)).tolist(), deviations.tolist(), strict=True))
    found = share_out(counts, FRACTIONS, seed=0)
    assert lacks(counts, found) == best[0]
    assert deviation(counts, FRACTIONS, found) == pytest.approx(best[1])


def test_equal_groups_are_shared_exactly():
    splits = share_out(np.full((20, 4), 10), FRACTIONS, seed=0)
    assert np.bincount(splits).tolist() == [14, 3, 3]


def test_no_split_stays_empty_even_with_one_giant_group():
    counts = np.array([[10_000, 10_000], [1, 0], [0, 1]])
    assert sorted(share_out(counts, FRACTIONS, seed=0)) == [0, 1, 2]


def test_a_class_of_one_group_goes_to_train():
    counts = np.array([[10, 0]] * 9 + [[10, 5]])
    assert share_out(counts, FRACTIONS, seed=3)[9] == 0


def test_a_class_of_three_groups_stands_in_every_split():
    counts = np.array([[50, 0]] * 12 + [[0, 90], [0, 5], [0, 5]])
    assert set(share_out(counts, FRACTIONS, seed=0)[12:]) == {0, 1, 2}


@pytest.mark.slow
def test_the_seed_decides():
    counts = np.random.default_rng(0).integers(1, 100, (30, 4))
    assert (share_out(counts, FRACTIONS, seed=5) == share_out(counts, FRACTIONS, seed=5)).all()


@pytest.mark.slow
@pytest.mark.parametrize("groups", [90, 400, 5000])
def test_many_groups_come_close_in_seconds(groups):
    counts = np.random.default_rng(1).integers(0, 80, (groups, 8))
    start = process_time()
    splits = share_out(counts, FRACTIONS, seed=0)
    assert process_time() - start < 20
    assert deviation(counts, FRACTIONS, splits) < 0.02
