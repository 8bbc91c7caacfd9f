"""Counts the codes of a mask's pixels: colours, or class numbers."""

import numpy as np

from hviskd.annotations.colours import TRANSPARENT
from hviskd.arrays import Ints

_SMALL_PX = 1_000_000  # below this, sorting the pixels is faster than walking through all codes there are


class CodeCounts:
    """How many px have each code, in memory bounded by the 2²⁴ possible ones."""

    def __init__(self, total_px: int) -> None:
        """Count nothing yet of a mask of so many px."""
        self._small = total_px <= _SMALL_PX
        self._kept: list[Ints] = []
        self._counts: Ints | None = None

    def add(self, codes: Ints) -> None:
        """Count pixels of some codes, of any shape."""
        if self._small:
            self._kept.append(codes.ravel())
        elif codes.size:
            if self._counts is None:
                self._counts = np.zeros(TRANSPARENT + 1, dtype=np.int64)  # pages never touched take no memory
            np.add.at(self._counts, codes, 1)

    def found(self) -> tuple[Ints, Ints]:
        """Return the codes in ascending order (K,), and the px of each (K,), both int64."""
        if self._counts is not None:
            seen = np.flatnonzero(self._counts)
            return seen, self._counts[seen]
        kept = np.concatenate(self._kept) if self._kept else np.empty(0)
        seen, counts = np.unique(kept, return_counts=True)
        return seen.astype(np.int64), counts
