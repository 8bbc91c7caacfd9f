"""Assigns whole groups of tiles to splits so that every class comes close to its requested share.

Dividing groups exactly is a number partitioning problem, so this searches from many starts, the largest groups first
and then divisions by chance, each mended by moving single groups and swapping pairs until nothing helps.
"""

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import Floats

_STEPS = 3000  # starts times groups: many starts for few groups, few starts for many
_MOST_STARTS = 200
_MOST_GROUPS_SWAPPED = 96  # pairs grow with the square; above it single moves are fine enough

_Mended = tuple[NDArray[np.int64], float]


def share_out(counts: NDArray[np.int64], fractions: NDArray[np.float64], *, seed: int) -> NDArray[np.int64]:
    """Assign a split to every group.

    Minimised is the sum over splits and classes of ((tiles − wanted) / wanted)². Before that counts, in this order,
    that no split is empty, that the first split holds every class, and that the others do.

    Args:
        counts: (G, K) tiles of each class in each group, with at least as many groups as splits.
        fractions: (S,) wanted share of each split, above 0, summing to 1; the first is the one to train on.
        seed: The same seed gives the same answer.

    Returns:
        (G,) int64, the split of each group.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(counts))  # which of several equal groups goes where is left to chance
    cost = _Cost(counts[order], fractions)
    best, lowest = np.zeros(len(counts), dtype=np.int64), np.inf
    mended: dict[bytes, _Mended] = {}
    for start in range(int(np.clip(_STEPS // len(counts), 2, _MOST_STARTS))):
        by_chance = rng.choice(len(fractions), size=len(counts), p=fractions)
        splits, total = _mend(cost, by_chance if start else _largest_first(cost), mended)
        if total < lowest:
            best[order], lowest = splits, total
    return best


class _Cost:
    """The cost of the splits' contents; the costs of all splits add up."""

    def __init__(self, counts: NDArray[np.int64], fractions: NDArray[np.float64]) -> None:
        present = counts.sum(axis=0) > 0
        self.counts: Floats = counts[:, present].astype(np.float64)
        self.wanted: Floats = fractions[:, None] * self.counts.sum(axis=0)
        # A lack must outweigh the largest deviation there can be, and a graver lack all lesser ones.
        splits, classes = self.wanted.shape
        lack = 1 + classes * float((1 / fractions**2).sum())
        self._class_lacks = np.full(splits, lack)
        self._class_lacks[0] = lack * (1 + splits * classes)
        self._empty = lack * (1 + splits * classes) ** 2

    def held(self, splits: NDArray[np.int64]) -> Floats:
        """Return (S, K): tiles of each class in each split."""
        held = np.zeros_like(self.wanted)
        np.add.at(held, splits, self.counts)
        return held

    def total(self, splits: NDArray[np.int64]) -> float:
        """Return the cost of a complete assignment."""
        return float(self.of(self.held(splits)).sum())

    def of(self, held: Floats, splits: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.float64]:
        """Return the cost (…, S) of contents (…, S, K), or of contents (…, K) of the given `splits`, as (…)."""
        deviation = (((held - self.wanted[splits]) / self.wanted[splits]) ** 2).sum(axis=-1)
        lacks = (held == 0).sum(axis=-1)
        return np.asarray(deviation + self._class_lacks[splits] * lacks + self._empty * (lacks == held.shape[-1]))


def _largest_first(cost: _Cost) -> NDArray[np.int64]:
    """Assign each group, largest first, to the split where it lowers the cost most."""
    held = np.zeros_like(cost.wanted)
    splits = np.zeros(len(cost.counts), dtype=np.int64)
    for group in np.argsort(-cost.counts.sum(axis=1), kind="stable"):
        splits[group] = np.argmin(cost.of(held + cost.counts[group]) - cost.of(held))
        held[splits[group]] += cost.counts[group]
    return splits


def _mend(cost: _Cost, splits: NDArray[np.int64], mended: dict[bytes, _Mended]) -> _Mended:
    """Apply the best single move, or else the best swap, until neither lowers the cost; return splits and cost.

    What becomes of divisions of few groups is kept in `mended`, since many starts come to the same ones.
    """
    few = len(splits) <= _MOST_GROUPS_SWAPPED
    ways = (_moved, _swapped) if few else (_moved,)
    passed = []
    lowest = cost.total(splits)
    while (found := mended.get(splits.tobytes())) is None:
        passed += [splits.tobytes()] if few else []
        for way in ways:
            changed = way(cost, splits)
            total = cost.total(changed)
            if total < lowest:
                splits, lowest = changed, total
                break
        else:
            found = splits, lowest
            break
    mended |= dict.fromkeys(passed, found)
    return found


def _moved(cost: _Cost, splits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Make the one move of a group that lowers the cost most, or raises it least."""
    held = cost.held(splits)
    now = cost.of(held)
    leaving = cost.of(held[splits] - cost.counts, splits) - now[splits]
    change = leaving[:, None] + cost.of(held + cost.counts[:, None]) - now
    change[np.arange(len(splits)), splits] = np.inf
    group, target = np.unravel_index(np.argmin(change), change.shape)
    changed = splits.copy()
    changed[group] = target
    return changed


def _swapped(cost: _Cost, splits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Make the one swap of two groups that lowers the cost most, or raises it least."""
    held = cost.held(splits)
    without = held[splits] - cost.counts
    one_side = np.stack([cost.of(without + other, splits) for other in cost.counts], axis=1)
    one_side -= cost.of(held)[splits][:, None]
    change = np.where(splits[:, None] == splits, np.inf, one_side + one_side.T)
    one, other = np.unravel_index(np.argmin(change), change.shape)
    changed = splits.copy()
    changed[[one, other]] = splits[[other, one]]
    return changed
