"""Otsu's threshold, for tissue and for attention maps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 256


def otsu(values: NDArray[np.floating[Any]], span: tuple[float, float] | None = None) -> float:
    """Find the threshold that separates values into the two groups whose means differ most.

    Source: Otsu 1979, equation 18.

    Args:
        values: Any shape.
        span: Range of the 256 bins; by default from the smallest to the largest value.
    """
    counts, edges = np.histogram(values, bins=BINS, range=span)
    centres = (edges[:-1] + edges[1:]) / 2
    below, sums = np.cumsum(counts).astype(np.float64), np.cumsum(counts * centres)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1 + int(np.where(below * above > 0, between, -1.0)[:-1].argmax())])
