"""Gains, tests and ranks against computations of other kinds."""

import itertools

import numpy as np
import pytest
from scipy import stats

from hviskd.evaluation import significance
from hviskd.evaluation.significance import holm, mean_interval, paired_gain, rank_arms, sign_flip


def trainings(count=4, tiles=60, gain=0.1, seed=0):
    rng = np.random.default_rng(seed)
    clusters = np.array([f"p{i % 10}" for i in range(tiles)])
    reference = [(rng.random(tiles) < 0.6).astype(float) for _ in range(count)]
    ours = [np.where(rng.random(tiles) < gain, 1.0, one) for one in reference]
    return ours, reference, [clusters] * count


def test_gain_and_p_over_trainings_are_those_of_scipy():
    ours, reference, clusters = trainings()
    gain = paired_gain(ours, reference, clusters)
    means = [one.mean() for one in ours], [one.mean() for one in reference]
    assert gain.value == pytest.approx(np.mean(means[0]) - np.mean(means[1]))
    assert gain.p_trainings == pytest.approx(stats.ttest_rel(*means).pvalue)
    assert gain.low < gain.value < gain.high


def test_p_over_patients_is_scipy_s_permutation_test_of_their_sums():
    ours, reference, clusters = trainings(gain=0.05, seed=3)
    difference = np.mean([a - b for a, b in zip(ours, reference, strict=True)], axis=0)
    parts = np.array([difference[clusters[0] == name].sum() for name in np.unique(clusters[0])])
    expected = stats.permutation_test(
        (parts, np.zeros(len(parts))), lambda a, b, axis: (a - b).sum(axis), permutation_type="samples", vectorized=True
    )
    assert paired_gain(ours, reference, clusters).p_patients == pytest.approx(expected.pvalue)


def test_sign_flip_counts_every_sign_of_few_parts():
    parts = np.array([0.5, -0.2, 0.9, 0.4, 0.0])
    sums = [abs(np.dot(signs, parts)) for signs in itertools.product((1, -1), repeat=5)]
    assert sign_flip(parts) == pytest.approx(np.mean(np.array(sums) >= abs(parts.sum()) - 1e-12))


def test_sums_that_are_equal_but_for_rounding_count_as_equal():
    rng = np.random.default_rng(0)
    for _ in range(20):
        whole = rng.integers(-4, 5, size=9)
        signs = np.array(list(itertools.product((1, -1), repeat=9)))
        exact = (np.abs(signs @ whole) >= abs(whole.sum())).mean()  # in whole numbers nothing is rounded
        assert sign_flip(whole / 70) == pytest.approx(exact)


def test_sign_flip_of_many_parts_is_near_the_normal_approximation():
    parts = np.random.default_rng(1).normal(0.1, 1, 400)
    z = abs(parts.sum()) / np.sqrt((parts**2).sum())
    assert sign_flip(parts) == pytest.approx(2 * stats.norm.sf(z), abs=0.02)


def test_no_difference_at_all_is_no_finding():
    ours, _, clusters = trainings()
    gain = paired_gain(ours, ours, clusters)
    assert (gain.value, gain.low, gain.high) == (0, 0, 0)
    assert (gain.p_trainings, gain.p_patients) == (1, 1)


def test_one_training_has_no_p_over_trainings_and_one_patient_no_interval():
    ours, reference, clusters = trainings(count=1)
    assert np.isnan(paired_gain(ours, reference, clusters).p_trainings)
    gain = paired_gain(ours, reference, [np.full(60, "p0")])
    assert np.isnan([gain.low, gain.high, gain.p_patients]).all()


@pytest.mark.slow
def test_the_interval_of_a_mean_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for repeat in range(200):
        patients = rng.normal(0, 1, 40)
        clusters = np.repeat(np.arange(40), 5).astype(str)
        low, high = mean_interval([np.repeat(patients, 5) + rng.normal(0, 1, 200)], [clusters], seed=repeat)
        hits += low <= 0 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_an_interval_does_not_depend_on_how_many_draws_are_in_memory_at_once(monkeypatch):
    ours, _, clusters = trainings()
    expected = mean_interval(ours, clusters)
    monkeypatch.setattr(significance, "_DRAWN_AT_ONCE", 70)  # seven draws of ten patients
    assert mean_interval(ours, clusters) == expected
    assert mean_interval([one > 0.5 for one in ours], clusters) == expected


def test_holm_steps_down():
    # Holm's own procedure: the i-th smallest p is held against alpha / (m - i).
    p = [0.01, 0.04, 0.03, 0.005, float("nan")]
    corrected = holm(p)
    assert corrected[:4] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert np.isnan(corrected[4])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_ranks_friedman_and_the_critical_difference_of_demsar():
    # Demšar (2006), table 6: four classifiers on fourteen data sets; q for four is 2.569, CD = 1.25.
    auc = np.array(
        [
            [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
            [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
            [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
            [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
            [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
        ]
    )  # fmt: skip
    ranks = rank_arms(["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"], auc)
    assert ranks.means == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=1e-3)
    assert ranks.critical_difference == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), rel=1e-3)
    assert ranks.friedman_p == pytest.approx(stats.friedmanchisquare(*auc.T).pvalue)
