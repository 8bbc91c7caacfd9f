"""DIST against NumPy's correlations, and what correlation does not see."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from hviskd.distillation.methods.dist import DIST, DISTOptions, uncorrelated
from tests.distillation.conftest import SHAPES_STUDENT, FakeTrace, draw_batch, draw_trace


def logits(seed, samples=9, classes=5):
    return np.random.default_rng(seed).normal(size=(samples, classes)) * 3


def test_both_parts_are_mean_correlations_of_the_probabilities(setting):
    student, teacher = logits(1), logits(2)
    p_s, p_t = softmax(student / 4, axis=1), softmax(teacher / 4, axis=1)
    inter = 1 - np.mean([np.corrcoef(p_s[b], p_t[b])[0, 1] for b in range(9)])
    intra = 1 - np.mean([np.corrcoef(p_s[:, k], p_t[:, k])[0, 1] for k in range(5)])
    both = (FakeTrace([], None, torch.from_numpy(z)) for z in (student, teacher))
    method = DIST(DISTOptions(), setting)
    losses = method(draw_batch(9), *both)
    assert losses["inter"].item() == pytest.approx(16 * inter, rel=1e-9)
    assert losses["intra"].item() == pytest.approx(16 * intra, rel=1e-9)
    assert method.weights == {"inter": 2.0, "intra": 2.0}


def test_scale_and_shift_of_each_tile_or_class_do_not_matter():
    p_s, p_t = (torch.from_numpy(softmax(logits(seed), axis=1)) for seed in (1, 2))
    scale, shift = torch.rand(9, 1, dtype=torch.float64) + 0.5, torch.rand(9, 1, dtype=torch.float64)
    assert uncorrelated(scale * p_s + shift, p_t).item() == pytest.approx(uncorrelated(p_s, p_t).item(), rel=1e-9)
    scale, shift = scale[:5].T, shift[:5].T
    assert uncorrelated((scale * p_s + shift).T, p_t.T).item() == pytest.approx(
        uncorrelated(p_s.T, p_t.T).item(), rel=1e-9
    )


def test_equal_logits_cost_nothing(setting):
    trace = draw_trace(SHAPES_STUDENT)
    losses = DIST(DISTOptions(), setting)(draw_batch(), trace, trace)
    assert [loss.item() for loss in losses.values()] == pytest.approx([0, 0], abs=1e-5)


def test_a_student_that_says_nothing_costs_one_and_is_not_torn_apart(setting):
    student = torch.zeros(6, 5, requires_grad=True)
    teacher = draw_trace(SHAPES_STUDENT)
    losses = DIST(DISTOptions(temperature=1.0), setting)(draw_batch(), FakeTrace([], None, student), teacher)
    assert [loss.item() for loss in losses.values()] == pytest.approx([1, 1], abs=1e-6)
    sum(losses.values()).backward()
    assert student.grad.abs().max() < 1


def test_a_single_tile_is_no_correlation_over_the_batch(setting):
    student, teacher = (draw_trace(SHAPES_STUDENT, samples=1, seed=seed) for seed in (1, 2))
    losses = DIST(DISTOptions(temperature=1.0), setting)(draw_batch(1), student, teacher)
    assert losses["intra"].item() == pytest.approx(1)
    assert losses["inter"].isfinite()
