"""Significance of a gain: intervals over patients and trainings, paired tests, Holm's correction, ranks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from hviskd.arrays import Bools, Floats
from hviskd.evaluation.intervals import percentile_interval

_REPLICATES = 2000
_FLIPS = 9999
_DRAWN_AT_ONCE = 2**22  # numbers in memory, whatever the number of patients
LEAST_PAIRS = 3  # fewer say nothing about how they vary


@dataclass(frozen=True)
class Gain:
    """The gain of an arm over a reference.

    Attributes:
        value: Mean difference over tiles and trainings.
        low, high: 95 % interval, patients and trainings both resampled; NaN if there is nothing to resample.
        p_trainings: Two-sided paired t-test over trainings (seeds and folds); NaN for fewer than three.
        p_patients: Two-sided sign-flip test over patients (or slides, or tiles) of the mean over trainings.
    """

    value: float
    low: float
    high: float
    p_trainings: float
    p_patients: float


def paired_gain(
    right: Sequence[Floats | Bools],
    reference: Sequence[Floats | Bools],
    clusters: Sequence[NDArray[np.str_]],
    *,
    seed: int = 0,
) -> Gain:
    """Compare two arms whose trainings are paired: same seed, same fold, same teacher.

    Args:
        right: Of every training, which of its unseen tiles (N,) were right, 1 or 0.
        reference: The same of the reference.
        clusters: Of every training, the patient (slide, tile) of each of these tiles.
        seed: Of the draws.
    """
    differences = [np.subtract(*both, dtype=np.float64) for both in zip(right, reference, strict=True)]
    by_training = np.array([difference.mean() for difference in differences])
    low, high = mean_interval(differences, clusters, seed=seed)
    return Gain(
        value=float(by_training.mean()),
        low=low,
        high=high,
        p_trainings=paired_t(by_training),
        p_patients=clustered_p(differences, clusters, seed=seed),
    )


def clustered_p(differences: Sequence[Floats], clusters: Sequence[NDArray[np.str_]], *, seed: int = 0) -> float:
    """Return the two-sided p of the sign-flip test over patients (slides, tiles) of the mean over trainings.

    Args:
        differences: Of every training, the difference on each of its unseen tiles (N,).
        clusters: Of every training, the patient (slide, tile) of each of these tiles.
        seed: Of the draws.

    Returns:
        NaN where all tiles come from one patient.
    """
    names, sums, weights = _by_cluster(differences, clusters)
    return sign_flip(sums / weights.sum(), seed=seed) if len(names) > 1 else float("nan")


def paired_t(differences: Floats) -> float:
    """Give the two-sided p of the paired t-test from the pairs' differences; NaN for fewer than three pairs."""
    if len(differences) < LEAST_PAIRS:
        return float("nan")
    if np.ptp(differences) == 0:  # the t-statistic is 0 / 0, or infinite
        return 1.0 if differences[0] == 0 else 0.0
    return float(scipy.stats.ttest_1samp(differences, 0.0).pvalue)


def mean_interval(
    values: Sequence[Floats | Bools], clusters: Sequence[NDArray[np.str_]], *, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of a mean over tiles and trainings, resampling both patients and trainings.

    Args:
        values: Of every training, a value for each of its unseen tiles (N,).
        clusters: Of every training, the patient (slide, tile) of each of these tiles.
        seed: Of the draws.

    Returns:
        Both ends; NaN where all tiles come from one patient.
    """
    rng = np.random.default_rng(seed)
    summed = [_by_cluster([value], [own]) for value, own in zip(values, clusters, strict=True)]
    if all(len(names) < 2 for names, _, _ in summed):
        return float("nan"), float("nan")
    means = np.empty((len(values), _REPLICATES))
    chunk = max(1, _DRAWN_AT_ONCE // max(len(names) for names, _, _ in summed))
    for start in range(0, _REPLICATES, chunk):
        part = means[:, start : start + chunk]
        drawn: dict[bytes, Floats] = {}  # trainings on one test split see the same draw of patients
        for training, (names, sums, sizes) in enumerate(summed):
            if (key := names.tobytes()) not in drawn:
                even = np.full(len(sums), 1 / len(sums))
                drawn[key] = rng.multinomial(len(sums), even, size=part.shape[1]).astype(np.float64)
            part[training] = (drawn[key] @ sums) / (drawn[key] @ sizes)
    trainings = rng.integers(len(values), size=(_REPLICATES, len(values)))
    interval = percentile_interval(means[trainings, np.arange(_REPLICATES)[:, None]].mean(axis=1))
    return (float("nan"), float("nan")) if interval is None else (interval.low, interval.high)


def _by_cluster(
    values: Sequence[Floats | Bools], clusters: Sequence[NDArray[np.str_]]
) -> tuple[NDArray[np.str_], Floats, Floats]:
    """Return the clusters' names, the sum of their values over all trainings, and their numbers of tiles."""
    names, position = np.unique(np.concatenate(list(clusters)), return_inverse=True)
    joint = np.concatenate(list(values))
    sums = np.bincount(position, weights=joint, minlength=len(names)).astype(np.float64)
    return names.astype(np.str_), sums, np.bincount(position, minlength=len(names)).astype(np.float64)


def sign_flip(parts: Floats, *, seed: int = 0) -> float:
    """Return the two-sided p of Σ parts = 0 under random signs; exact for up to 13 parts, and for parts of one size.

    Fisher's randomisation test for pairs (1935); parts are independent units, such as patients. Of parts of one size,
    such as single tiles, it is the sign test (McNemar's exact test): counting signs takes no draws.
    """
    parts = parts[parts != 0]
    if len(parts) < 2:  # either sign is as far from 0
        return 1.0
    if np.ptp(np.abs(parts)) == 0:
        return float(scipy.stats.binomtest(int((parts > 0).sum()), len(parts)).pvalue)
    found = scipy.stats.permutation_test(
        (parts / np.abs(parts).sum(),),
        lambda signed, axis: signed.sum(axis).round(12),  # sums in another order differ by rounding
        permutation_type="samples",
        n_resamples=_FLIPS,
        batch=500,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct for multiple tests (Holm 1979); NaN (not tested) stays NaN and does not count."""
    values = np.asarray(p_values, np.float64)
    corrected = np.full(len(values), np.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    steps = values[order] * (len(order) - np.arange(len(order)))
    corrected[order] = np.minimum(1, np.maximum.accumulate(steps)) if len(order) else steps
    return [float(value) for value in corrected]


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of arms over blocks (pair, fold and seed); 1 is best.

    Attributes:
        names: The arms.
        means: (A,) mean ranks.
        blocks: Number of blocks in which every arm was measured.
        friedman_p: Friedman's test that all arms are alike; NaN for fewer than three arms or two blocks.
        critical_difference: Mean ranks nearer than this do not differ at 5 % (Nemenyi; Demšar 2006, eq. 6).
    """

    names: tuple[str, ...]
    means: Floats
    blocks: int
    friedman_p: float
    critical_difference: float


def rank_arms(names: Sequence[str], values: Floats) -> Ranks:
    """Rank arms by values (blocks, arms), higher is better; ties share a rank."""
    blocks, arms = values.shape
    ranks = scipy.stats.rankdata(-values, axis=1)
    tested = arms > 2 and blocks > 1
    p = float(scipy.stats.friedmanchisquare(*values.T).pvalue) if tested and np.ptp(ranks) else np.nan
    studentised = scipy.stats.studentized_range.ppf(0.95, arms, np.inf) / np.sqrt(2)
    return Ranks(
        names=tuple(names),
        means=ranks.mean(axis=0),
        blocks=blocks,
        friedman_p=p,
        critical_difference=float(studentised * np.sqrt(arms * (arms + 1) / (6 * blocks))),
    )
