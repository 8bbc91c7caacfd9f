"""Hinton's KD and cross-entropy against SciPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr, softmax

from hviskd.distillation import KD, CrossEntropy, CrossEntropyOptions, KDOptions
from hviskd.distillation.methods.dml import DML, DMLOptions
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, draw_batch, draw_trace


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_is_the_softened_divergence_times_t_squared(setting, temperature):
    student, teacher = (draw_trace(SHAPES_STUDENT, seed=seed, dtype=torch.float64) for seed in (1, 2))
    loss = KD(KDOptions(temperature=temperature), setting)(draw_batch(), student, teacher)["kd"]
    ours, theirs = (softmax(trace.logits.numpy() / temperature, axis=1) for trace in (student, teacher))
    assert loss.item() == pytest.approx(temperature**2 * rel_entr(theirs, ours).sum(axis=1).mean(), rel=1e-12)


def test_kd_of_equal_logits_is_zero(setting):
    trace = draw_trace(SHAPES_STUDENT)
    assert KD(KDOptions(), setting)(draw_batch(), trace, trace)["kd"].item() == pytest.approx(0, abs=1e-6)


def test_kd_gradient_hardly_depends_on_temperature_for_small_logits(setting):
    sizes = []
    for temperature in (4.0, 16.0):
        student, teacher = (draw_trace(SHAPES_STUDENT, seed=seed, dtype=torch.float64) for seed in (1, 2))
        logits = (student.logits * 1e-3).requires_grad_()
        small = type(student)(student.stages, student.embedding, logits)
        target = type(student)(teacher.stages, teacher.embedding, teacher.logits * 1e-3)
        KD(KDOptions(temperature=temperature), setting)(draw_batch(), small, target)["kd"].backward()
        sizes.append(logits.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-2)


def test_kd_may_count_on_unlabelled_tiles_alone(setting):
    student, teacher = (draw_trace(SHAPES_STUDENT, seed=seed, dtype=torch.float64) for seed in (1, 2))
    method, batch = KD(KDOptions(tiles="unlabelled"), setting), replace(draw_batch(), labelled=4)
    ours, theirs = (softmax(trace.logits.numpy()[4:] / 4, axis=1) for trace in (student, teacher))
    expected = 16 * rel_entr(theirs, ours).sum(axis=1).mean()
    assert method(batch, student, teacher)["kd"].item() == pytest.approx(expected, rel=1e-12)
    with pytest.raises(RecipeError, match=r"methods.kd.tiles: there are no unlabelled tiles"):
        method(draw_batch(), student, teacher)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(setting, smoothing):
    trace, batch = draw_trace(SHAPES_STUDENT, dtype=torch.float64), draw_batch()
    method = CrossEntropy(CrossEntropyOptions(label_smoothing=smoothing), setting)
    target = np.full((6, 5), smoothing / 5) + (1 - smoothing) * np.eye(5)[batch.labels]
    expected = -(target * log_softmax(trace.logits.numpy(), axis=1)).sum(axis=1).mean()
    assert method(batch, trace, None)["cross_entropy"].item() == pytest.approx(expected, rel=1e-12)


def test_cross_entropy_weighs_labels_if_classes_are_balanced(setting):
    trace, batch = draw_trace(SHAPES_STUDENT, dtype=torch.float64), draw_batch()
    weights = np.array([0.5, 2.0, 1.0, 3.0, 0.25])
    balanced = replace(setting, label_weights=torch.from_numpy(weights))
    each = -log_softmax(trace.logits.numpy(), axis=1)[range(6), batch.labels]
    expected = np.average(each, weights=weights[batch.labels])
    loss = CrossEntropy(CrossEntropyOptions(), balanced)(batch, trace, None)["cross_entropy"]
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    peer = DML(DMLOptions(), balanced)(batch, trace, trace)["peer_from_labels"]
    assert peer.item() == pytest.approx(expected, rel=1e-9)
