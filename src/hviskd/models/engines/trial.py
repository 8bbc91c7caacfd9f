"""Finds the faster of two engines by running both for a moment, on this computer and as it is now."""

import time
from collections.abc import Sequence

from hviskd.arrays import RGB
from hviskd.models.engines.engine import Engine

_SECONDS, _FEWEST = 2.0, 3
_MARGIN = 1.1  # less is noise, and no reason to leave what comes first


def fastest(engines: Sequence[Engine], tiles: RGB, *, seconds: float = _SECONDS) -> int:
    """Return which engine is the fastest; the first if tied, or if no other is at least 10 % faster.

    They run in turn, and the fastest run of each counts: whatever else the computer does only ever adds to it.

    Args:
        engines: At least one; first the one to take where speed makes little difference.
        tiles: As many as are given to an engine at a time, uint8 (B, tile_px, tile_px, 3).
        seconds: How long to try; each runs three times at least.
    """
    spent: list[list[float]] = [[] for _ in engines]
    for engine in engines:
        engine(tiles)  # the first run also takes memory and chooses kernels
    while len(spent[-1]) < _FEWEST or sum(map(sum, spent)) < seconds:
        for engine, times in zip(engines, spent, strict=True):
            began = time.perf_counter()
            engine(tiles)
            times.append(time.perf_counter() - began)
    undisturbed = [min(times) for times in spent]
    least = min(undisturbed)
    return undisturbed.index(least) if least * _MARGIN <= undisturbed[0] else 0
