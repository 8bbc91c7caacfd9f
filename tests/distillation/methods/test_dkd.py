"""DKD against its formulas written out, and against KD, of which it is the two parts."""

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from hviskd.distillation import Setting
from hviskd.distillation.methods.dkd import DKD, DKDOptions, decoupled_divergences
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, FakeShapes, FakeTrace, draw_batch, draw_trace

TEMPERATURE = 4.0


def logits(seed, samples=6, classes=5, scale=3.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(samples, classes)) * scale)


def written_out(student, teacher, labels):
    """The two divergences of each tile, with loops and no logarithmic tricks."""
    target, others = [], []
    for s, t, y in zip(softmax(student, axis=1), softmax(teacher, axis=1), labels, strict=True):
        target.append(rel_entr([t[y], 1 - t[y]], [s[y], 1 - s[y]]).sum())
        rest_s, rest_t = np.delete(s, y), np.delete(t, y)
        others.append(rel_entr(rest_t / rest_t.sum(), rest_s / rest_s.sum()).sum())
    return np.array(target), np.array(others)


def traces(student, teacher):
    return FakeTrace([], None, student), FakeTrace([], None, teacher)


def test_both_parts_are_those_of_the_paper(setting):
    student, teacher, batch = logits(1), logits(2), draw_batch()
    losses = DKD(DKDOptions(warm_up=0), setting)(batch, *traces(student, teacher))
    target, others = written_out(student.numpy() / TEMPERATURE, teacher.numpy() / TEMPERATURE, batch.labels.numpy())
    assert losses["target"].item() == pytest.approx(TEMPERATURE**2 * target.mean(), rel=1e-10)
    assert losses["others"].item() == pytest.approx(TEMPERATURE**2 * others.mean(), rel=1e-10)


def test_the_others_weighed_by_what_the_teacher_leaves_them_make_kd():
    student, teacher, labels = logits(1), logits(2), draw_batch().labels
    target, others = decoupled_divergences(student, teacher, labels)
    p_student, p_teacher = softmax(student.numpy(), axis=1), softmax(teacher.numpy(), axis=1)
    left = 1 - p_teacher[np.arange(6), labels.numpy()]
    kd = rel_entr(p_teacher, p_student).sum(axis=1)
    np.testing.assert_allclose(target.numpy() + left * others.numpy(), kd, rtol=1e-10)


def test_with_two_classes_it_is_kd_and_finite():
    student, teacher, labels = logits(1, classes=2).requires_grad_(), logits(2, classes=2), draw_batch(classes=2).labels
    target, others = decoupled_divergences(student, teacher, labels)
    assert others.tolist() == [0] * 6
    kd = rel_entr(softmax(teacher.numpy(), axis=1), softmax(student.detach().numpy(), axis=1)).sum(axis=1)
    np.testing.assert_allclose(target.detach().numpy(), kd, rtol=1e-10)
    (target + others).sum().backward()
    assert student.grad.isfinite().all()
    assert (student.grad != 0).any()


def test_equal_logits_cost_nothing(setting):
    same = draw_trace(SHAPES_STUDENT)
    losses = DKD(DKDOptions(warm_up=0), setting)(draw_batch(), same, same)
    assert [loss.item() for loss in losses.values()] == pytest.approx([0, 0], abs=1e-6)


def test_networks_that_are_sure_to_the_last_digit_give_finite_losses_and_gradients():
    labels = torch.tensor([0, 1])
    student = torch.tensor([[200.0, 0, -200], [200, 0, -200]], requires_grad=True)
    target, others = decoupled_divergences(student, torch.tensor([[0.0, 300, 1], [-300, 300, 2]]), labels)
    (target + others).sum().backward()
    assert torch.cat([target, others]).isfinite().all()
    assert student.grad.isfinite().all()


def test_the_loss_keeps_its_precision_in_sixteen_bits(setting):
    student, teacher = logits(1).to(torch.bfloat16), logits(2).to(torch.bfloat16)
    method = DKD(DKDOptions(), setting)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = method(draw_batch(), *traces(student, teacher))
    wide = method(draw_batch(), *traces(student.float(), teacher.float()))
    assert all(narrow[term].dtype == torch.float32 and torch.equal(narrow[term], wide[term]) for term in wide)


@pytest.mark.parametrize(("during", "epoch", "factor"), [((0, 1), 0, 1 / 20), ((0, 1), 9, 0.5), ((0, 1), 19, 1)])
def test_it_starts_slowly_as_the_authors_code(setting, during, epoch, factor):
    batch, both = draw_batch(), traces(logits(1), logits(2))
    method = DKD(DKDOptions(during=during), setting)
    batch.progress = 0.5
    full = method(batch, *both)["others"].item()
    batch.progress = epoch / 240
    assert method(batch, *both)["others"].item() == pytest.approx(factor * full, rel=1e-9)


def test_the_slow_start_begins_where_the_method_does(setting):
    options = DKDOptions(during=(0.5, 1), warm_up=0.1)
    assert options.warmth(0.5) == pytest.approx(0.05)
    assert options.warmth(0.55) == pytest.approx(0.55)
    assert options.warmth(0.6) == 1


def test_weights_are_the_published_ones(setting):
    assert DKD(DKDOptions(weight=2.0), setting).weights == {"target": 2.0, "others": 16.0}


def test_standardised_logits_of_two_classes_are_refused():
    shapes = FakeShapes(SHAPES_STUDENT)
    with pytest.raises(RecipeError, match=r"methods\.dkd\.standardise: with 2 classes"):
        DKD(DKDOptions(standardise=True), Setting(shapes, shapes, 2, torch.zeros(1)))
