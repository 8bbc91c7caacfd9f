"""Logit standardisation as every method that compares logits offers it."""

import numpy as np
import pytest
import torch

from hviskd.distillation import KD, KDOptions, Setting, build_methods, resolve_methods
from hviskd.distillation.methods.dist import DIST, DISTOptions
from hviskd.distillation.methods.dkd import DKD, DKDOptions
from hviskd.distillation.methods.rld import RLD, RLDOptions
from hviskd.distillation.standardised import standardise
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, FakeShapes, FakeTrace, draw_batch

METHODS = {"kd": (KD, KDOptions), "dkd": (DKD, DKDOptions), "rld": (RLD, RLDOptions), "dist": (DIST, DISTOptions)}


def logits(seed):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(6, 5)) * 3)


def losses_of(method, student, teacher):
    given = method(draw_batch(), FakeTrace([], None, student), FakeTrace([], None, teacher))
    return [loss.item() for loss in given.values()]


def test_rows_have_mean_0_and_deviation_1():
    scores = standardise(logits(1)).numpy()
    np.testing.assert_allclose(scores.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(scores.std(axis=1, ddof=1), 1, rtol=1e-6)


def test_equal_logits_have_no_score_and_no_gradient():
    flat = torch.full((2, 4), 3.0, requires_grad=True)
    scores = standardise(flat)
    scores.square().sum().backward()
    assert scores.tolist() == [[0] * 4] * 2
    assert flat.grad.isfinite().all()


@pytest.mark.parametrize("name", METHODS)
def test_neither_network_s_range_matters(setting, name):
    kind, options = METHODS[name]
    method = kind(options(temperature=2.0, standardise=True), setting)
    before = losses_of(method, logits(1), logits(2))
    assert losses_of(method, 7 * logits(1) + 2, logits(2)) == pytest.approx(before, rel=1e-5)
    assert losses_of(method, logits(1), 0.1 * logits(2) - 5) == pytest.approx(before, rel=1e-5)
    plain = kind(options(temperature=2.0), setting)
    assert losses_of(plain, 7 * logits(1) + 2, logits(2)) != pytest.approx(losses_of(plain, logits(1), logits(2)))


def test_a_student_of_another_range_costs_nothing(setting):
    method = KD(KDOptions(standardise=True), setting)
    assert losses_of(method, 0.2 * logits(1) + 1, logits(1)) == pytest.approx([0], abs=1e-10)


@pytest.mark.parametrize("name", METHODS)
def test_two_classes_are_refused(name):
    kind, options = METHODS[name]
    shapes = FakeShapes(SHAPES_STUDENT)
    with pytest.raises(RecipeError, match=rf"methods\.{name}\.standardise"):
        kind(options(standardise=True), Setting(shapes, shapes, 2, torch.zeros(1)))


def test_the_presets_weigh_as_the_authors_code(setting):
    kd, dkd = (build_methods(resolve_methods(preset), setting)[preset[:-3]] for preset in ("kd-ls", "dkd-ls"))
    assert (kd.weights, kd.options.temperature, kd.options.standardise) == ({"kd": 9.0}, 2.0, True)
    assert (dkd.weights, dkd.options.temperature) == ({"target": 9.0, "others": 72.0}, 2.0)
