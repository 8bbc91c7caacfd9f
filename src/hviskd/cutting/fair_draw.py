"""Distributes the capped number of tiles of a class over patients and slides, and draws them.

Patients share the cap evenly, slides the share of their patient, and tiles of a slide are drawn by chance. Whoever
has too few gives them all, and the others share what is left, like water that fills vessels of different height.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import Ints


def fill_evenly(available: Ints, total: int, ranks: Ints) -> Ints:
    """Divide `total` so that nobody gets more than is available and the smallest get as much as possible.

    Args:
        available: (N,) how much each has.
        total: How much to take of all together; if that is more than there is, all is taken.
        ranks: (N,) who comes first (the lowest) where a rest of single pieces is left.

    Returns:
        (N,) int64; no two that have more to give differ by more than 1.
    """
    if available.sum() <= total:
        return available.copy()
    low, high = 0, int(available.max())
    while high - low > 1:  # the level at which the water stands: the last that does not need more than there is
        middle = (low + high) // 2
        low, high = (middle, high) if np.minimum(available, middle).sum() <= total else (low, middle)
    taken = np.minimum(available, low)
    above = np.flatnonzero(available > low)
    taken[above[np.argsort(ranks[above], kind="stable")][: total - taken.sum()]] += 1
    return taken


def share_cap(
    available: Ints, slides: Sequence[str], patients: Sequence[str | None], cap: int | None, seed: int
) -> Ints:
    """Return how many tiles of each class to cut from every slide.

    Args:
        available: (S, K) tiles that each slide could give of each class.
        slides: (S,) names; the draw depends on them and not on their order.
        patients: (S,) names; a slide of an unknown patient stands for itself.
        cap: The most tiles of one class; None for no limit.
        seed: Of the draw.

    Returns:
        (S, K) int64.
    """
    quotas = available.copy()
    if cap is None:
        return quotas
    owners = [
        f"slide {slide}" if who is None else f"patient {who}" for slide, who in zip(slides, patients, strict=True)
    ]
    names = sorted(set(owners))
    owner = np.array([names.index(name) for name in owners], dtype=np.int64)
    for label in range(available.shape[1]):
        having = np.bincount(owner, weights=available[:, label], minlength=len(names)).astype(np.int64)
        shares = fill_evenly(having, cap, _ranks(names, label, seed))
        for number, share in enumerate(shares):
            mine = np.flatnonzero(owner == number)
            ranks = _ranks([slides[place] for place in mine.tolist()], label, seed)
            quotas[mine, label] = fill_evenly(available[mine, label], int(share), ranks)
    return quotas


def draw_tiles(labels: NDArray[np.int16], quota: Ints, slide: str, seed: int) -> Ints:
    """Draw tiles of one slide at random, `quota[label]` of each class.

    Args:
        labels: (N,) class index of each tile there is.
        quota: (K,) how many to choose.
        slide: Its name; with the seed it settles the draw, so that other slides do not change it.
        seed: Of the draw.

    Returns:
        Rising positions in `labels`. A larger quota chooses the same tiles and more.
    """
    chosen = []
    for label, count in enumerate(quota.tolist()):
        rng = np.random.default_rng(_number(f"{seed}/{label}/{slide}"))
        chosen.append(rng.permutation(np.flatnonzero(labels == label))[:count])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _ranks(names: Sequence[str], label: int, seed: int) -> Ints:
    return np.array([_number(f"{seed}/{label}/{name}") for name in names], dtype=np.int64)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=7).digest())
