"""Calibration curves, and the error rate as a function of coverage."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hviskd.arrays import Floats
from hviskd.evaluation.metrics import CALIBRATION_BINS


class Reliability(NamedTuple):
    """Stated probability against accuracy, in the bins of the calibration error (Guo et al. 2017, section 2).

    Attributes:
        tiles: Tiles whose most probable class has a probability in each of B equal steps of 0 to 1, int64 (B,).
        stated: Mean of that probability, float64 (B,); NaN where no tile is.
        right: Share of these tiles whose most probable class is the true one, float64 (B,); NaN where no tile is.
    """

    tiles: NDArray[np.int64]
    stated: Floats
    right: Floats


class RiskCoverage(NamedTuple):
    """Error rate when the least probable tiles are rejected (El-Yaniv and Wiener 2010), float64 (M,) each.

    Attributes:
        threshold: Probability of the most probable class, falling.
        coverage: Share of the tiles that are at least that probable.
        risk: Share of those whose class is wrong.
    """

    threshold: Floats
    coverage: Floats
    risk: Floats

    @property
    def area(self) -> float:
        """Mean risk over all coverages, with equal weight per tile; 0 is best."""
        return float(np.average(self.risk, weights=np.diff(self.coverage, prepend=0.0)))


def reliability(labels: NDArray[np.int64], probabilities: ArrayLike) -> Reliability:
    """Return stated probability against accuracy for labels (N,) and probabilities (N, K)."""
    shares = np.asarray(probabilities, np.float64)
    confidence, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    steps = np.digitize(confidence, np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1], right=True)
    tiles = np.bincount(steps, minlength=CALIBRATION_BINS).astype(np.int64)
    empty = np.full(CALIBRATION_BINS, np.nan)
    stated, hits = (np.bincount(steps, values, CALIBRATION_BINS) for values in (confidence, right))
    filled = tiles > 0
    return Reliability(
        tiles,
        np.divide(stated, tiles, out=empty.copy(), where=filled),
        np.divide(hits, tiles, out=empty, where=filled),
    )


def risk_coverage(labels: NDArray[np.int64], probabilities: ArrayLike) -> RiskCoverage:
    """Return risk against coverage; tiles of equal probability are kept or rejected together."""
    shares = np.asarray(probabilities, np.float64)
    confidence, wrong = shares.max(axis=1), shares.argmax(axis=1) != labels
    order = np.argsort(-confidence, kind="stable")
    confidence, mistakes = confidence[order], np.cumsum(wrong[order])
    last = np.flatnonzero(np.append(confidence[1:] != confidence[:-1], True))
    taken = last + 1
    return RiskCoverage(confidence[last], taken / len(labels), mistakes[last] / taken)
