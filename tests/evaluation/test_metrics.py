"""Every metric agrees with scikit-learn or with a plain loop, weighted or not, and says where it is undefined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    top_k_accuracy_score,
)

from hviskd.errors import DataError
from hviskd.evaluation import Scorer, measure


def some_tiles(classes=8, tiles=600, seed=0, decimals=None):
    """Labels, probabilities and whole-number weights with zeros, as a resampling gives; rounding makes ties."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, tiles)
    logits = rng.normal(size=(tiles, classes))
    logits[np.arange(tiles), labels] += 1.2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if decimals is not None:
        probabilities = probabilities.round(decimals)
    return labels, probabilities.astype(np.float32), rng.poisson(1.0, tiles)


@pytest.mark.parametrize("classes", [2, 3, 5, 8])
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_scikit_learn(classes, weighted):
    labels, probabilities, weights = some_tiles(classes)
    weights = weights if weighted else None
    metrics = measure(labels, probabilities, weights)
    predicted = probabilities.argmax(axis=1)
    every = range(classes)
    assert metrics.top1 == pytest.approx(accuracy_score(labels, predicted, sample_weight=weights))
    assert metrics.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted, sample_weight=weights))
    for ours, theirs in ((metrics.recall, recall_score), (metrics.precision, precision_score), (metrics.f1, f1_score)):
        assert ours == pytest.approx(theirs(labels, predicted, labels=every, average=None, sample_weight=weights))
    assert metrics.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro", sample_weight=weights))
    assert metrics.confusion == pytest.approx(
        confusion_matrix(labels, predicted, labels=every, sample_weight=weights).astype(float)
    )
    areas = [roc_auc_score(labels == k, probabilities[:, k], sample_weight=weights) for k in every]
    assert metrics.auroc == pytest.approx(areas, abs=1e-12)
    assert metrics.macro_auroc == pytest.approx(np.mean(areas), abs=1e-12)
    if classes > 3:
        top3 = top_k_accuracy_score(labels, probabilities, k=3, labels=every, sample_weight=weights)
        assert metrics.top3 == pytest.approx(top3)


def test_top3_is_left_out_where_it_would_say_nothing():
    labels, probabilities, _ = some_tiles(3)
    metrics = measure(labels, probabilities)
    assert metrics.top3 is None
    assert "top3" not in metrics.overall()
    assert list(measure(*some_tiles(4)).overall()) == [
        "top1", "top3", "balanced_accuracy", "macro_f1", "macro_auroc", "ece",
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0, 1, 2]))
def test_auroc_counts_a_tie_as_one_half(seed, decimals):
    labels, probabilities, weights = some_tiles(3, tiles=40, seed=seed, decimals=decimals)
    auroc = measure(labels, probabilities, weights).auroc
    for k in range(3):
        wins = pairs = 0.0
        for i in np.flatnonzero(labels == k):
            for j in np.flatnonzero(labels != k):
                weight = weights[i] * weights[j]
                pairs += weight
                wins += weight * (np.sign(probabilities[i, k] - probabilities[j, k]) + 1) / 2
        assert auroc[k] == pytest.approx(wins / pairs, abs=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_calibration_error_agrees_with_a_loop_over_bins(weighted):
    labels, probabilities, weights = some_tiles(5)
    weights = weights if weighted else np.ones(len(labels))
    error = 0.0
    for b in range(15):
        inside = [i for i in range(len(labels)) if b / 15 < probabilities[i].max() <= (b + 1) / 15]
        if inside and weights[inside].sum():
            correct = np.average([probabilities[i].argmax() == labels[i] for i in inside], weights=weights[inside])
            confidence = np.average([probabilities[i].max() for i in inside], weights=weights[inside])
            error += weights[inside].sum() / weights.sum() * abs(correct - confidence)
    assert measure(labels, probabilities, weights).ece == pytest.approx(error, abs=1e-12)


def test_calibration_error_of_the_calibrated_and_of_the_boaster():
    rng = np.random.default_rng(0)
    winning = rng.uniform(0.5, 1, 50_000)
    labels = (rng.uniform(size=50_000) > winning).astype(int)
    assert measure(labels, np.stack([winning, 1 - winning], axis=1)).ece < 0.015
    certain = np.tile([1.0, 0.0], (4, 1))
    assert measure([0, 0, 0, 1], certain).ece == pytest.approx(0.25)


def test_a_confidence_on_the_edge_of_a_bin_belongs_to_the_bin_below():
    metrics = measure([0, 1], np.array([[0.8, 0.2], [0.78, 0.22]]))  # 0.8 = 12 / 15
    assert metrics.ece == pytest.approx(abs((0.8 - 1) + (0.78 - 0)) / 2)


def test_a_weight_counts_as_that_many_copies_of_the_tile():
    labels, probabilities, weights = some_tiles(5, decimals=1)
    copied = measure(np.repeat(labels, weights), np.repeat(probabilities, weights, axis=0))
    weighted = measure(labels, probabilities, weights)
    assert weighted.overall() == pytest.approx(copied.overall(), abs=1e-12)
    for name, values in weighted.per_class().items():
        assert values == pytest.approx(copied.per_class()[name], abs=1e-12)


def test_a_class_without_tiles_is_undefined_and_left_out_of_the_averages():
    labels, probabilities, _ = some_tiles(5)
    kept = labels != 2
    metrics = measure(labels[kept], probabilities[kept])
    predicted = probabilities[kept].argmax(axis=1)
    others = [0, 1, 3, 4]
    assert [k for k in range(5) if np.isnan(metrics.recall[k])] == [2]
    assert [k for k in range(5) if np.isnan(metrics.auroc[k])] == [2]
    assert metrics.balanced_accuracy == pytest.approx(
        recall_score(labels[kept], predicted, labels=others, average="macro")
    )
    assert metrics.macro_f1 == pytest.approx(f1_score(labels[kept], predicted, labels=others, average="macro"))
    assert metrics.macro_auroc == pytest.approx(metrics.auroc[others].mean())
    assert (predicted == 2).any()  # the class was given by mistake, so the choice of averages matters


def test_a_class_that_vanishes_by_its_weights_is_the_same_as_one_without_tiles():
    labels, probabilities, _ = some_tiles(5)
    by_weight = measure(labels, probabilities, labels != 2)
    by_absence = measure(labels[labels != 2], probabilities[labels != 2])
    assert by_weight.overall() == pytest.approx(by_absence.overall(), abs=1e-12)


def test_one_class_alone_has_no_auroc():
    metrics = measure([1, 1], [[0.2, 0.8], [0.6, 0.4]])
    assert metrics.top1 == 0.5
    assert np.isnan(metrics.auroc).all()
    assert np.isnan(metrics.macro_auroc)


def test_a_model_that_says_the_same_of_every_class_gains_nothing_from_ties():
    labels = np.arange(800) % 8
    metrics = measure(labels, np.full((800, 8), 1 / 8))
    assert metrics.top1 == pytest.approx(1 / 8)
    assert metrics.top3 == pytest.approx(3 / 8)
    assert metrics.auroc == pytest.approx(np.full(8, 0.5))


@pytest.mark.parametrize(
    ("labels", "probabilities", "weights", "says"),
    [
        ([], np.empty((0, 2)), None, "N > 0"),
        ([0, 1, 1], [[0.5, 0.5], [0.5, 0.5]], None, "do not match"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], None, "0 to 1"),
        ([0, -1], [[0.5, 0.5], [0.5, 0.5]], None, "0 to 1"),
        ([0.0, 1.0], [[0.5, 0.5], [0.5, 0.5]], None, "integers"),
        ([0, 1], [[np.nan, 0.5], [0.5, 0.5]], None, "1 tiles"),
        ([0, 1], [[-3.0, 4.0], [2.0, -1.0]], None, "2 tiles"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.5]], [0, 0], "zero"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.5]], [1, -1], "below zero"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.5]], [1], "2 finite"),
    ],
)
def test_impossible_input_is_refused_in_words(labels, probabilities, weights, says):
    with pytest.raises(DataError, match=says):
        measure(labels, probabilities, weights)


def test_a_scorer_can_be_used_again_and_again():
    labels, probabilities, weights = some_tiles(5)
    scorer = Scorer(labels, probabilities)
    first = scorer.measure(weights).overall()
    scorer.measure()
    assert scorer.measure(weights).overall() == first == measure(labels, probabilities, weights).overall()
