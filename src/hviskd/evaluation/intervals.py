"""Confidence intervals by resampling whole patients.

Tiles of one patient resemble each other, so the patient, not the tile, is what a new study would draw anew
(Efron and Tibshirani 1993, chapter 8; Field and Welsh 2007).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hviskd.arrays import Floats
from hviskd.errors import DataError
from hviskd.evaluation.metrics import Scorer

LEVEL = 0.95
FEW_CLUSTERS = 10
DEFINED_SHARE = 0.9  # a class held by one or two clusters is missing from more than a tenth of the replicates
_AT_A_TIME = 2**17  # weights, or cells of confusion matrices, in one pass: 1 MB an array, which caches hold


class Interval(NamedTuple):
    """The ends of a 95 % interval, in the units of its value."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Replicates:
    """One model's metrics in each of R bootstrap replicates.

    Attributes:
        overall: One-number metrics by name, float64 (R,).
        per_class: Metrics with a value a class by name, float64 (R, K).
    """

    overall: dict[str, Floats]
    per_class: dict[str, Floats]


def bootstrap_weights(cluster_ids: ArrayLike, replicates: int, seed: int) -> Iterator[Floats]:
    """Resample clusters with replacement, and return for each replicate how often every tile was drawn.

    Args:
        cluster_ids: The cluster (patient, slide or tile) of every tile, (N,), numbers or text.
        replicates: How many drawings; each draws as many clusters as there are.
        seed: Start of the random numbers; the same seed and clusters give the same drawings.

    Yields:
        Weights, float64 (N,), whole numbers.

    Raises:
        DataError: There are fewer than two clusters, no replicate, or the seed is negative.
    """
    clusters, position = np.unique(np.asarray(cluster_ids), return_inverse=True)
    if len(clusters) < 2:
        raise DataError(f"{len(clusters)} cluster: resampling needs at least two")
    if replicates < 1 or seed < 0:
        raise DataError(f"{replicates} replicates from seed {seed}: need at least 1, and a seed of at least 0")
    generator = np.random.default_rng(seed)
    for _ in range(replicates):
        drawn = generator.integers(len(clusters), size=len(clusters))
        yield np.bincount(drawn, minlength=len(clusters)).astype(np.float64)[position]


def replicate(
    scorers: Sequence[Scorer],
    weightings: Iterable[Floats],
    advance: Callable[[], None] = lambda: None,
) -> list[Replicates]:
    """Measure every model under every weighting, the same for all models, so that differences are paired.

    Args:
        scorers: One for each model, all of the same N tiles in the same order.
        weightings: Weights, float64 (N,) each, as `bootstrap_weights` gives them; at least one.
        advance: Called after each weighting.
    """
    measured: list[list[Replicates]] = [[] for _ in scorers]
    weightings, values = iter(weightings), max(scorers[0].tiles, scorers[0].classes ** 2)  # a weighting's largest array
    while some := list(islice(weightings, max(1, _AT_A_TIME // values))):
        weights = np.stack(some)
        for parts, scorer in zip(measured, scorers, strict=True):
            overall, per_class, _ = scorer.measure_all(weights)
            parts.append(Replicates(overall, per_class))
        for _ in some:
            advance()
    return [
        Replicates(_join(one.overall for one in parts), _join(one.per_class for one in parts)) for parts in measured
    ]


def _join(parts: Iterable[dict[str, Floats]]) -> dict[str, Floats]:
    parts = list(parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def percentile_interval(draws: Floats) -> Interval | None:
    """Return the 2.5 % and 97.5 % points of a value's replicates, float64 (R,), NaN where undefined.

    The percentile interval of Efron and Tibshirani (1993), section 13.3. None where more than a tenth of
    the replicates left the value undefined: then too few clusters hold what it is measured on.
    """
    defined = draws[~np.isnan(draws)]
    if len(defined) == 0 or len(defined) < DEFINED_SHARE * len(draws):
        return None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def reflected_interval(estimate: float, draws: Floats, *, least: float = -math.inf) -> Interval | None:
    """Return the 95 % interval of a value whose replicates are biased, such as a calibration error.

    The basic interval, [2 θ − q97.5, 2 θ − q2.5] for the estimate θ and the percentiles q of its replicates (Davison
    and Hinkley 1997, equation 5.6). A calibration error sums absolute gaps, so that noise can only add to it: the
    estimate lies above the truth, and each replicate above the estimate by about as much. Reflection takes off both.
    Where all percentiles lie on one side of the estimate, the interval is widened to hold it.

    Args:
        estimate: The value on all tiles.
        draws: Its replicates, float64 (R,), NaN where undefined.
        least: The least value possible, where the interval is cut off.

    Returns:
        The interval, which holds the estimate; None where `percentile_interval` gives none, or the estimate is NaN.
    """
    ends = percentile_interval(draws)
    if ends is None or math.isnan(estimate):
        return None
    low, high = 2 * estimate - ends.high, 2 * estimate - ends.low
    return Interval(max(min(low, estimate), least), max(high, estimate))


def metric_interval(metric: str, estimate: float, draws: Floats, *, least: float = -math.inf) -> Interval | None:
    """Return the 95 % interval of a metric, or of a change or difference of it, by the way that suits the metric.

    Reflected for the calibration error; of the others the percentiles. `least` as in `reflected_interval`.
    """
    return reflected_interval(estimate, draws, least=least) if metric == "ece" else percentile_interval(draws)


def resampling_statement(unit: str, clusters: int) -> str:
    """State what was resampled, and what that means for the intervals.

    Args:
        unit: "patient", "slide" or "tile".
        clusters: How many of them the tiles came from.
    """
    if clusters == 1:
        return f"No intervals: all tiles are from one {unit}, so the variation between {unit}s is unknown."
    text = f"95 % intervals, resampled by {unit} ({clusters} {unit}s)."
    if clusters < FEW_CLUSTERS:
        text += f" With fewer than {FEW_CLUSTERS} {unit}s the intervals are unreliable, and likely too narrow."
    if unit == "tile":
        text += " Patients and slides are unknown: the intervals are too narrow, since tiles of one patient are alike."
    if unit == "slide":
        text += " Patients are unknown: the intervals may be too narrow, since slides of one patient are alike."
    return text
