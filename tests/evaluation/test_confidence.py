"""Risk, coverage and reliability are those of plain loops, and the bins are those of the calibration error."""

import numpy as np
import pandas as pd
import pytest

from hviskd.evaluation import evaluate, save_evaluation
from hviskd.evaluation.confidence import reliability, risk_coverage
from hviskd.evaluation.metrics import CALIBRATION_BINS, measure


def test_risk_and_coverage_are_those_of_a_plain_loop_ties_together():
    rng = np.random.default_rng(2)
    shares = np.round(rng.dirichlet(np.ones(3), 200), 1) + 1e-3
    shares /= shares.sum(axis=1, keepdims=True)
    labels = rng.integers(0, 3, 200)
    curve = risk_coverage(labels, shares)
    confidence, wrong = shares.max(axis=1), shares.argmax(axis=1) != labels
    assert np.array_equal(curve.threshold, np.unique(confidence)[::-1])
    for threshold, coverage, risk in zip(*curve, strict=True):
        kept = confidence >= threshold
        assert coverage == pytest.approx(kept.mean())
        assert risk == pytest.approx(wrong[kept].mean())
    assert curve.coverage[-1] == 1
    assert 0 < curve.area < 1


def test_reliability_is_what_the_calibration_error_sums_up():
    rng = np.random.default_rng(3)
    shares = rng.dirichlet(np.ones(4) * 0.4, 500)
    labels = rng.integers(0, 4, 500)
    found = reliability(labels, shares)
    assert found.tiles.sum() == 500
    filled = found.tiles > 0
    gap = np.abs(found.stated - found.right)[filled] * found.tiles[filled]
    assert gap.sum() / 500 == pytest.approx(measure(labels, shares).ece)
    confidence, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    for step in np.flatnonzero(filled):
        inside = (confidence > step / CALIBRATION_BINS) & (confidence <= (step + 1) / CALIBRATION_BINS)
        assert found.tiles[step] == inside.sum()
        assert found.stated[step] == pytest.approx(confidence[inside].mean())
        assert found.right[step] == pytest.approx(right[inside].mean())
    assert np.isnan(found.right[~filled]).all()


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_an_evaluation_writes_how_far_it_can_be_believed(model, half_blind, tileset, tmp_path):
    evaluation = evaluate([model, half_blind], tileset, replicates=100)
    folder = save_evaluation(evaluation, tmp_path / "evaluation")
    steps = pd.read_csv(folder / "reliability.csv")
    curves = pd.read_csv(folder / "risk-coverage.csv")
    for result in evaluation.models:
        own = steps[steps["model"] == result.name]
        assert own["tiles"].sum() == len(evaluation.labels)
        last = curves[curves["model"] == result.name].iloc[-1]
        assert last["coverage"] == 1
        assert last["risk"] == pytest.approx(1 - result.metrics.top1, abs=1e-6)
