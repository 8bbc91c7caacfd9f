"""Metrics of a classifier's probabilities, under any weighting of the tiles."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hviskd.arrays import Floats
from hviskd.errors import DataError

IndexArray = NDArray[np.intp]

CALIBRATION_BINS = 15


@dataclass(frozen=True, eq=False)
class Metrics:
    """Metrics on N tiles of K classes; shares and areas are from 0 to 1, NaN if undefined.

    The averages over classes (balanced accuracy, macro-F1, macro AUROC) run over the classes that hold tiles.

    Attributes:
        top1: Share of tiles whose most probable class is the true one (the first class wins a tie).
        top3: Share of tiles whose true class is among the three most probable; None for K <= 3.
        balanced_accuracy: Mean recall.
        macro_f1: Mean F1.
        macro_auroc: Mean one-against-rest AUROC, over the classes that have both positives and negatives.
        ece: Expected calibration error of the winning probability.
        recall: Recall of every class, float64 (K,).
        precision: Precision of every class, float64 (K,); NaN for a class that was never predicted.
        f1: F1 of every class, float64 (K,).
        auroc: AUROC of every class against the rest, float64 (K,).
        confusion: Weight of the tiles of each true class (rows) given each class (columns), float64 (K, K).
    """

    top1: float
    top3: float | None
    balanced_accuracy: float
    macro_f1: float
    macro_auroc: float
    ece: float
    recall: Floats
    precision: Floats
    f1: Floats
    auroc: Floats
    confusion: Floats

    def overall(self) -> dict[str, float]:
        """Return the scalar metrics by name, always in the same order, without `top3` if it is None."""
        names = ("top1", "top3", "balanced_accuracy", "macro_f1", "macro_auroc", "ece")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def per_class(self) -> dict[str, Floats]:
        """Return the per-class metrics by name, each float64 (K,), always in the same order."""
        return {"recall": self.recall, "precision": self.precision, "f1": self.f1, "auroc": self.auroc}


def measure(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Metrics:
    """Compute the metrics of class probabilities against true labels.

    Args:
        labels: True class of every tile, integers (N,) in 0 to K - 1.
        probabilities: Class probabilities, floats (N, K).
        weights: Weight of every tile, floats (N,), not negative; each tile counts once where None.

    Raises:
        DataError: Shapes do not fit, a label is no class, a probability is not in 0 to 1, or no tile has weight.
    """
    return Scorer(labels, probabilities).measure(weights)


class Scorer:
    """One model's probabilities and the true labels, sorted once, so that thousands of weightings are cheap."""

    def __init__(self, labels: ArrayLike, probabilities: ArrayLike) -> None:
        truth, shares = _checked(labels, probabilities)
        self.tiles, self.classes = shares.shape
        predicted = shares.argmax(axis=1)
        correct = predicted == truth
        confidence = shares.max(axis=1)
        edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
        self._cell: IndexArray = truth * self.classes + predicted
        self._bin: IndexArray = np.digitize(confidence, edges[1:-1], right=True)
        self._overconfidence: Floats = confidence - correct
        self._in_top3: Floats | None = None
        if self.classes > 3:
            self._in_top3 = (_rank_of_truth(truth, shares) < 3).astype(np.float64)
        self._auroc = [_auroc_of(truth == k, shares[:, k]) for k in range(self.classes)]

    def measure(self, weights: ArrayLike | None = None) -> Metrics:
        """Compute the metrics with the given weight of every tile, floats (N,); see the function `measure`."""
        weight = np.ones(self.tiles) if weights is None else np.asarray(weights, dtype=np.float64)
        if weight.shape != (self.tiles,) or not np.isfinite(weight).all() or (weight < 0).any():
            raise DataError(f"weights: need {self.tiles} finite numbers, none below zero")
        overall, per_class, confusion = self.measure_all(weight[None])
        values: dict[str, Any] = {"top3": None, "confusion": confusion[0]}
        values |= {name: float(value[0]) for name, value in overall.items()}
        values |= {name: value[0] for name, value in per_class.items()}
        return Metrics(**values)

    def measure_all(self, weights: Floats) -> tuple[dict[str, Floats], dict[str, Floats], Floats]:
        """Compute the metrics under R weightings in one pass.

        Args:
            weights: Weight of every tile, float64 (R, N), finite and not negative.

        Returns:
            What `Metrics` calls `overall` and `per_class`, with values (R,) and (R, K), and confusions (R, K, K).

        Raises:
            DataError: No tile has weight.
        """
        total = weights.sum(axis=1)
        if not total.all():
            raise DataError("weights: every tile has weight zero, so there is nothing to measure")
        confusion = _sums(self._cell, weights, self.classes**2).reshape(-1, self.classes, self.classes)
        hits, held, given = np.einsum("rkk->rk", confusion), confusion.sum(axis=2), confusion.sum(axis=1)
        recall = _ratio(hits, held)
        f1 = np.where(held > 0, _ratio(2 * hits, held + given), np.nan)
        auroc = np.stack([area(weights) for area in self._auroc], axis=1)
        gap = _sums(self._bin, weights * self._overconfidence, CALIBRATION_BINS)
        overall = {
            "top1": hits.sum(axis=1) / total,
            "top3": None if self._in_top3 is None else weights @ self._in_top3 / total,
            "balanced_accuracy": _mean_of_defined(recall),
            "macro_f1": _mean_of_defined(f1),
            "macro_auroc": _mean_of_defined(auroc),
            "ece": np.abs(gap).sum(axis=1) / total,
        }
        per_class = {"recall": recall, "precision": _ratio(hits, given), "f1": f1, "auroc": auroc}
        return {name: values for name, values in overall.items() if values is not None}, per_class, confusion


def _sums(group: IndexArray, weights: Floats, groups: int) -> Floats:
    """Sum each row of weights (R, N) over the tiles of each group (N,), as float64 (R, groups)."""
    rows = len(weights)
    places = (np.arange(rows)[:, None] * groups + group).ravel()
    sums: Floats = np.bincount(places, weights.ravel(), rows * groups).astype(np.float64)
    return sums.reshape(rows, groups)


def _auroc_of(positive: NDArray[np.bool_], score: Floats) -> Callable[[Floats], Floats]:
    """Sort one class's scores, and return the function from weights (R, N) to AUROCs (R,), NaN where undefined.

    The AUROC is the probability that a positive outscores a negative, a tie counting one half (Hanley and
    McNeil 1982). For each positive the weight of the negatives below it, and of those not above it, is
    read off one running sum, so that a weighting costs one pass and ties are exact.
    """
    positives, negatives = np.flatnonzero(positive), np.flatnonzero(~positive)
    negatives = negatives[np.argsort(score[negatives])]
    below = np.searchsorted(score[negatives], score[positives], side="left")
    not_above = np.searchsorted(score[negatives], score[positives], side="right")

    def area(weights: Floats) -> Floats:
        running = np.zeros((len(weights), len(negatives) + 1))
        np.cumsum(weights.take(negatives, axis=1), axis=1, out=running[:, 1:])
        of_positives = weights.take(positives, axis=1)
        won = np.einsum("rn,rn->r", of_positives, running.take(below, axis=1) + running.take(not_above, axis=1))
        return _ratio(won, 2 * of_positives.sum(axis=1) * running[:, -1])

    return area


def _rank_of_truth(truth: IndexArray, shares: Floats) -> IndexArray:
    """Count, for every tile, the classes ranked above the true one; ties favour the first class, as in argmax."""
    own = np.take_along_axis(shares, truth[:, None], axis=1)
    earlier = np.arange(shares.shape[1]) < truth[:, None]
    return np.count_nonzero((shares > own) | ((shares == own) & earlier), axis=1)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Divide, with NaN where the denominator is zero."""
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def _mean_of_defined(values: Floats) -> Floats:
    """Average each row over what is not NaN; NaN where nothing is."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1).astype(np.float64))


def _checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[IndexArray, Floats]:
    truth, shares = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if shares.ndim != 2 or truth.shape != shares.shape[:1] or truth.size == 0:
        raise DataError(
            f"labels {truth.shape} and probabilities {shares.shape} do not match; need (N,) and (N, K), N > 0"
        )
    if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= shares.shape[1]:
        raise DataError(f"labels: must be integers from 0 to {shares.shape[1] - 1}, one per class")
    wrong = np.count_nonzero(~((shares >= 0) & (shares <= 1 + 1e-6)).all(axis=1))
    if wrong:
        raise DataError(f"probabilities: {wrong} tiles have a value outside 0 to 1")
    return truth.astype(np.intp), shares
