"""Multi-level distillation at the level of tiles, batch and classes, the teacher's doubtful tiles left out."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from hviskd.distillation import Batch, View, resolve_methods
from hviskd.distillation.methods.multi_level import MultiLevel, MultiLevelOptions, level_losses, surer_half
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, draw_batch, draw_trace


def logits(seed, samples=6, classes=5):
    return np.random.default_rng(seed).normal(size=(samples, classes)) * 2


def expected_levels(student, teacher, counted):
    """Everything written out with loops."""
    p_s, p_t = softmax(student, axis=1), softmax(teacher, axis=1)
    tiles, classes = student.shape
    instance = (
        sum((p_t[b] * (np.log(p_t[b]) - log_softmax(student[b]))).sum() for b in range(tiles) if counted[b]) / tiles
    )
    kept = [b for b in range(tiles) if counted[b]]
    over_batch = sum((p_s[a] @ p_s[b] - p_t[a] @ p_t[b]) ** 2 for a in kept for b in kept) / tiles
    over_classes = (
        sum(
            (sum(p_s[b, j] * p_s[b, k] - p_t[b, j] * p_t[b, k] for b in kept)) ** 2
            for j in range(classes)
            for k in range(classes)
        )
        / classes
    )
    return instance, over_batch, over_classes


def test_levels_are_those_of_the_formulas():
    student, teacher = logits(1), logits(2)
    counted = np.array([1, 0, 1, 1, 0, 1.0])
    measured = level_losses(*map(torch.from_numpy, (student, teacher, counted)))
    assert [term.item() for term in measured] == pytest.approx(expected_levels(student, teacher, counted), rel=1e-9)


def test_equal_logits_cost_nothing():
    same = torch.from_numpy(logits(1))
    assert all(term.item() == pytest.approx(0, abs=1e-12) for term in level_losses(same, same, torch.ones(6)))


def test_the_surer_half_counts():
    teacher = logits(3, samples=8)
    confidence = softmax(teacher, axis=1).max(axis=1)
    counted = surer_half(torch.from_numpy(teacher)).numpy()
    assert counted.sum() in (4, 5)
    assert confidence[counted == 1].min() >= confidence[counted == 0].max()


def batch_with_view(seed=5):
    view = View(
        torch.zeros(6, 3, 4, 4), draw_trace(SHAPES_STUDENT, seed=seed), draw_trace(SHAPES_TEACHER, seed=seed + 1)
    )
    plain = draw_batch()
    return Batch(plain.images, plain.labels, plain.index, {"strong": view})


def test_temperatures_and_views_add_up(setting):
    method = MultiLevel(MultiLevelOptions(temperatures=(2, 4)), setting)
    student, teacher = draw_trace(SHAPES_STUDENT, seed=1), draw_trace(SHAPES_TEACHER, seed=2)
    batch = batch_with_view()
    view = batch.views["strong"]
    expected = np.zeros(3)
    for ours, theirs in ((student, teacher), (view.student, view.teacher)):
        counted = surer_half(theirs.logits).numpy()
        for temperature in (2, 4):
            terms = expected_levels(ours.logits.numpy() / temperature, theirs.logits.numpy() / temperature, counted)
            expected += np.array(terms) * [temperature**2, 1, 1]
    assert [loss.item() for loss in method(batch, student, teacher).values()] == pytest.approx(expected, rel=1e-4)


def test_whom_the_teacher_doubts_changes_the_paper_s_form_but_not_the_public_one(setting):
    student = draw_trace(SHAPES_STUDENT, seed=1)
    teacher = draw_trace(SHAPES_TEACHER, seed=2)
    batch = batch_with_view()
    counted = surer_half(teacher.logits)
    teacher.logits[counted == 0] *= 0.01  # its answers to the doubtful tiles become other answers, still doubtful
    paper, public = (MultiLevel(MultiLevelOptions(variant=name), setting) for name in ("paper", "public"))
    before = [method(batch, student, teacher)["instance"].item() for method in (paper, public)]
    teacher.logits[counted == 0] *= 0.5
    after = [method(batch, student, teacher)["instance"].item() for method in (paper, public)]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_the_public_form_halves_everything_and_leaves_the_strong_relations_out(setting):
    method = MultiLevel(MultiLevelOptions(variant="public", temperatures=(2, 3)), setting)
    student, teacher, batch = draw_trace(SHAPES_STUDENT, seed=1), draw_trace(SHAPES_TEACHER, seed=2), batch_with_view()
    view = batch.views["strong"]
    everyone = np.ones(6)

    def levels(ours, theirs, temperature):
        return expected_levels(ours.logits.numpy() / temperature, theirs.logits.numpy() / temperature, everyone)

    plain = {temperature: levels(student, teacher, temperature) for temperature in (2, 3)}
    instance = 4 * plain[2][0] * 2 + 9 * (plain[3][0] + levels(view.student, view.teacher, 3)[0])
    losses = method(batch, student, teacher)
    assert losses["instance"].item() == pytest.approx(0.5 * instance, rel=1e-4)
    assert losses["batch"].item() == pytest.approx(0.5 * (plain[2][1] + plain[3][1]), rel=1e-4)
    assert losses["class_relation"].item() == pytest.approx(0.5 * (plain[2][2] + plain[3][2]), rel=1e-4)


def test_mistakes():
    with pytest.raises(RecipeError, match="above zero"):
        resolve_methods({"multi_level": {"temperatures": [0]}})
