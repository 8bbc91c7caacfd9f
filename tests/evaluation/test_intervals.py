"""Intervals hold the truth as often as they promise when whole patients are resampled, and say when they cannot."""

import numpy as np
import pytest
from scipy import stats

from hviskd.errors import DataError
from hviskd.evaluation import Scorer, bootstrap_weights, measure, percentile_interval, reflected_interval
from hviskd.evaluation.intervals import replicate, resampling_statement


def test_all_tiles_of_a_patient_are_drawn_together():
    patients = np.array(["b", "a", "b", "c", "a", "b"])
    for weights in bootstrap_weights(patients, 50, seed=0):
        assert weights[0] == weights[2] == weights[5]
        assert weights[1] == weights[4]
        assert weights[[1, 0, 3]].sum() == 3  # as many patients drawn as there are


def test_every_patient_is_drawn_once_on_average():
    weights = np.array(list(bootstrap_weights(np.arange(20), 4000, seed=1)))
    assert weights.mean(axis=0) == pytest.approx(np.ones(20), abs=0.07)
    assert weights.var(axis=0).mean() == pytest.approx(1 - 1 / 20, rel=0.05)  # binomial


def test_the_same_seed_gives_the_same_drawings():
    first, again, other = (np.array(list(bootstrap_weights(np.arange(9), 30, seed))) for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(("clusters", "replicates", "seed"), [([5, 5, 5], 10, 0), ([1, 2], 0, 0), ([1, 2], 10, -1)])
def test_what_cannot_be_resampled_is_refused(clusters, replicates, seed):
    with pytest.raises(DataError):
        next(bootstrap_weights(clusters, replicates, seed))


@pytest.mark.slow
def test_agrees_with_scipy_on_a_plain_mean():
    values = np.random.default_rng(0).exponential(size=60)
    draws = np.array([np.average(values, weights=w) for w in bootstrap_weights(np.arange(60), 20_000, seed=0)])
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert percentile_interval(draws) == pytest.approx((theirs.low, theirs.high), abs=0.01)


@pytest.mark.slow
def test_patients_cover_the_truth_where_tiles_do_not():
    """40 patients of 25 tiles whose accuracy varies between patients round a known mean of 0.7."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(40), 25)
    held = {"patient": 0, "tile": 0}
    for trial in range(100):
        accuracy = rng.beta(3.5, 1.5, 40)
        correct = rng.uniform(size=1000) < accuracy[patients]
        for unit, ids in (("patient", patients), ("tile", np.arange(1000))):
            draws = np.array([w @ correct / w.sum() for w in bootstrap_weights(ids, 200, seed=trial)])
            low, high = percentile_interval(draws)
            held[unit] += low <= 0.7 <= high
    assert 0.89 <= held["patient"] / 100 <= 0.99
    assert held["tile"] / 100 < 0.75


def test_a_biased_value_has_scipys_basic_interval():
    """The reflected interval is that which SciPy calls basic; the value here is the distance of a mean from 0."""
    values = np.random.default_rng(0).normal(size=30)
    found = stats.bootstrap((values,), lambda x, axis: np.abs(x.mean(axis=axis)), method="basic", rng=1)
    estimate, ends = abs(values.mean()), found.confidence_interval
    ours = reflected_interval(estimate, found.bootstrap_distribution)
    assert ours == pytest.approx((ends.low, ends.high))
    assert ours.low < 0
    assert reflected_interval(estimate, found.bootstrap_distribution, least=0) == pytest.approx((0, ends.high))


@pytest.mark.parametrize(("estimate", "interval"), [(0.02, (0, 0.02)), (0.5, (0.5, 0.95)), (0.2, (0.05, 0.35))])
def test_a_reflected_interval_holds_its_estimate(estimate, interval):
    draws = np.array([0.05, 0.35]).repeat(500)
    assert reflected_interval(estimate, draws, least=0) == pytest.approx(interval)


def test_what_is_undefined_has_no_reflected_interval():
    assert reflected_interval(np.nan, np.arange(100.0)) is None
    assert reflected_interval(0.5, np.full(100, np.nan)) is None


@pytest.mark.slow
def test_reflection_covers_a_calibration_error_where_percentiles_do_not():
    """20 patients of 30 tiles, and a model of two classes that is overconfident by 0.03 at every stated probability."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(20), 30)
    held = {"reflected": 0, "percentiles": 0}
    for trial in range(80):
        stated = rng.uniform(0.5, 1, 600)
        right = rng.uniform(size=600) < stated - 0.03  # in every bin the same gap, so the true error is 0.03
        scorer = Scorer(1 - right, np.stack([stated, 1 - stated], axis=1))
        (drawn,) = replicate([scorer], bootstrap_weights(patients, 200, seed=trial))
        estimate, draws = scorer.measure().ece, drawn.overall["ece"]
        for name, (low, high) in (
            ("reflected", reflected_interval(estimate, draws, least=0)),
            ("percentiles", percentile_interval(draws)),
        ):
            held[name] += low <= 0.03 <= high
    assert held["reflected"] / 80 > 0.8
    assert held["percentiles"] / 80 < 0.6


def two_models(tiles=400, patients=20):
    """One model, and the same with a twentieth of its mistakes mended."""
    rng = np.random.default_rng(5)
    labels, ids = rng.integers(0, 2, tiles), np.arange(tiles) % patients
    score = np.clip(labels * 0.3 + 0.35 + rng.normal(scale=0.3, size=tiles), 0, 1)
    better = np.where((rng.uniform(size=tiles) < 0.05), labels.astype(float), score)
    return labels, ids, [np.stack([1 - each, each], axis=1) for each in (score, better)]


def test_replicates_are_the_metrics_of_the_resampled_tiles():
    labels, ids, (first, _) = two_models()
    (drawn,) = replicate([Scorer(labels, first)], bootstrap_weights(ids, 5, seed=0))
    for number, weights in enumerate(bootstrap_weights(ids, 5, seed=0)):
        copies = np.repeat(np.arange(len(labels)), weights.astype(int))
        expected = measure(labels[copies], first[copies])
        assert {name: values[number] for name, values in drawn.overall.items()} == pytest.approx(expected.overall())
        for name, values in drawn.per_class.items():
            assert values[number] == pytest.approx(expected.per_class()[name])


def test_a_paired_difference_is_surer_than_the_two_models_apart():
    labels, ids, both = two_models()
    first, second = replicate([Scorer(labels, each) for each in both], bootstrap_weights(ids, 500, seed=0))
    paired = percentile_interval(second.overall["top1"] - first.overall["top1"])
    apart = percentile_interval(second.overall["top1"] - first.overall["top1"][::-1])
    assert 0 < paired.low < paired.high
    assert apart.low < 0 < apart.high
    alone = replicate([Scorer(labels, both[1])], bootstrap_weights(ids, 500, seed=0))[0]
    assert (alone.overall["top1"] == second.overall["top1"]).all()


def test_a_model_does_not_differ_from_itself():
    labels, ids, (first, _) = two_models()
    one, same = replicate([Scorer(labels, first)] * 2, bootstrap_weights(ids, 100, seed=0))
    assert percentile_interval(one.overall["macro_auroc"] - same.overall["macro_auroc"]) == (0, 0)


@pytest.mark.parametrize(("holders", "has_interval"), [(1, False), (2, False), (3, True), (12, True)])
def test_a_class_of_one_or_two_patients_has_no_interval(holders, has_interval):
    rng = np.random.default_rng(0)
    ids = np.repeat(np.arange(24), 10)
    labels = np.where((ids < holders) & (np.arange(240) % 2 == 0), 1, 0)
    probabilities = rng.dirichlet([1, 1], 240)
    (drawn,) = replicate([Scorer(labels, probabilities)], bootstrap_weights(ids, 1000, seed=0))
    assert (percentile_interval(drawn.per_class["auroc"][:, 1]) is not None) == has_interval


def test_no_replicates_no_interval():
    assert percentile_interval(np.array([])) is None
    assert percentile_interval(np.full(100, np.nan)) is None


def test_the_statement_names_unit_and_doubts():
    assert resampling_statement("patient", 12) == "95 % intervals, resampled by patient (12 patients)."
    assert "unreliable" in resampling_statement("patient", 9)
    assert "unreliable" not in resampling_statement("patient", 10)
    assert "too narrow" in resampling_statement("tile", 24_000)
    assert "may be too narrow" in resampling_statement("slide", 80)
    assert "No intervals" in resampling_statement("patient", 1)


def test_weightings_may_be_a_list():
    labels, ids, (first, _) = two_models()
    scorer, drawn = Scorer(labels, first), list(bootstrap_weights(ids, 20, seed=0))
    (listed,), (yielded,) = replicate([scorer], drawn), replicate([scorer], iter(drawn))
    np.testing.assert_array_equal(listed.overall["top1"], yielded.overall["top1"])
    assert len(listed.overall["top1"]) == 20


@pytest.mark.parametrize(("classes", "largest"), [(3, 30), (100, 13), (1000, 1)])
def test_many_classes_are_measured_in_smaller_blocks(classes, largest):
    """A confusion matrix a weighting: 1000 classes take 8 MB each."""
    rng = np.random.default_rng(0)
    scorer, seen = Scorer(rng.integers(classes, size=40), rng.dirichlet(np.ones(classes), 40)), []

    class Watched:
        def __init__(self):
            self.tiles, self.classes = scorer.tiles, scorer.classes

        def measure_all(self, weights):
            seen.append(len(weights))
            return {"top1": weights[:, 0]}, {}, None

    replicate([Watched()], bootstrap_weights(np.arange(40), 30, seed=0))
    assert max(seen) == largest
    assert sum(seen) == 30
