"""RLD: what the teacher gets wrong is not passed on, what it gets right is passed on as in DKD."""

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from hviskd.distillation.methods.dkd import decoupled_divergences
from hviskd.distillation.methods.rld import RLD, RLDOptions, confidence_divergence, correlation_divergence
from tests.distillation.conftest import SHAPES_STUDENT, FakeTrace, draw_batch, draw_trace


def logits(seed, samples=12, classes=5):
    return np.random.default_rng(seed).normal(size=(samples, classes)) * 2


def test_both_parts_are_those_of_the_paper(setting):
    student, teacher, batch = logits(1), logits(2), draw_batch(12)
    confidence, correlation = [], []
    for s, t, y in zip(student, teacher, batch.labels.numpy(), strict=True):
        p_s, p_t = softmax(s / 4), softmax(t / 4)
        confidence.append(rel_entr([p_t.max(), 1 - p_t.max()], [p_s[y], 1 - p_s[y]]).sum())
        below = t < t[y]
        correlation.append(rel_entr(softmax(t[below] / 4), softmax(s[below] / 4)).sum() if below.any() else 0.0)
    method = RLD(RLDOptions(warm_up=0), setting)
    losses = method(batch, *(FakeTrace([], None, torch.from_numpy(z)) for z in (student, teacher)))
    assert losses["confidence"].item() == pytest.approx(16 * np.mean(confidence), rel=1e-10)
    assert losses["correlation"].item() == pytest.approx(16 * np.mean(correlation), rel=1e-10)
    assert method.weights == {"confidence": 1.0, "correlation": 4.0}


def test_where_the_teacher_is_right_it_is_dkd():
    student, teacher = torch.from_numpy(logits(1)), torch.from_numpy(logits(2))
    labels = teacher.argmax(dim=1)
    target, others = decoupled_divergences(student, teacher, labels)
    torch.testing.assert_close(confidence_divergence(student, teacher, labels), target)
    torch.testing.assert_close(correlation_divergence(student, teacher, labels), others)


def test_a_wrong_first_choice_pulls_the_student_to_the_label():
    student = torch.zeros(1, 3, requires_grad=True)
    teacher = torch.tensor([[6.0, 2.0, 0.0]])  # sure of class 0; the label is 1
    loss = confidence_divergence(student, teacher, torch.tensor([1])) + correlation_divergence(
        student, teacher, torch.tensor([1])
    )
    loss.sum().backward()
    assert student.grad[0, 1] < 0 < student.grad[0, 0]


def test_a_label_that_the_teacher_ranks_last_leaves_no_correlation_and_no_nan():
    student = torch.randn(2, 2, requires_grad=True)
    teacher = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    correlation = correlation_divergence(student, teacher, torch.tensor([1, 0]))
    correlation.sum().backward()
    assert correlation.tolist() == [0, 0]
    assert student.grad.tolist() == [[0, 0], [0, 0]]


def test_a_student_like_a_teacher_that_is_right_costs_nothing(setting):
    trace, batch = draw_trace(SHAPES_STUDENT), draw_batch()
    batch.labels = trace.logits.argmax(dim=1)
    losses = RLD(RLDOptions(warm_up=0), setting)(batch, trace, trace)
    assert [loss.item() for loss in losses.values()] == pytest.approx([0, 0], abs=1e-6)


def test_confidence_may_have_its_own_temperature(setting):
    both = [FakeTrace([], None, torch.from_numpy(logits(seed))) for seed in (1, 2)]
    batch = draw_batch(12)
    at_1, at_4, split = (
        RLD(RLDOptions(temperature=t, confidence_temperature=own), setting)(batch, *both)
        for t, own in ((1.0, None), (4.0, None), (4.0, 1.0))
    )
    assert split["confidence"].item() == at_1["confidence"].item() != at_4["confidence"].item()
    assert split["correlation"].item() == at_4["correlation"].item()
