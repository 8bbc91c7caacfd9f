"""RKD against loops over pairs and triplets, and what turning, moving and scaling leave alone."""

import numpy as np
import pytest
import torch

from hviskd.distillation.methods.rkd import RKD, RKDOptions, relations
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeTrace, draw_batch, draw_trace


def smooth_l1(difference):
    size = np.abs(difference)
    return np.where(size < 1, size**2 / 2, size - 0.5).mean()


def written_out(vectors):
    count = len(vectors)
    distance = np.array([[np.linalg.norm(a - b) for b in vectors] for a in vectors])
    angle = np.zeros((count, count, count))
    for j in range(count):
        for i in range(count):
            for k in range(count):
                if j not in (i, k):
                    a, b = vectors[i] - vectors[j], vectors[k] - vectors[j]
                    angle[j, i, k] = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    return distance / distance[distance > 0].mean(), angle


def vectors(seed, samples=6, width=4):
    return np.random.default_rng(seed).normal(size=(samples, width))


def test_both_losses_are_those_of_the_paper(setting):
    student, teacher = (
        draw_trace(shapes, seed=seed, dtype=torch.float64)
        for shapes, seed in ((SHAPES_STUDENT, 1), (SHAPES_TEACHER, 2))
    )
    method = RKD(RKDOptions(), setting)
    losses = method(draw_batch(), student, teacher)
    ours, theirs = (written_out(trace.last.numpy().mean(axis=(2, 3))) for trace in (student, teacher))
    assert losses["distance"].item() == pytest.approx(smooth_l1(ours[0] - theirs[0]), rel=1e-9)
    assert losses["angle"].item() == pytest.approx(smooth_l1(ours[1] - theirs[1]), rel=1e-9)
    assert method.weights == {"distance": 25.0, "angle": 50.0}


def test_turning_moving_and_scaling_change_nothing():
    plain = vectors(1)
    turn = np.linalg.qr(vectors(2, 4))[0]
    changed = relations(torch.from_numpy(1e-3 * plain @ turn + 5))
    for before, after in zip(relations(torch.from_numpy(plain)), changed, strict=True):
        np.testing.assert_allclose(after.numpy(), before.numpy(), atol=1e-9)


def test_equal_networks_cost_nothing(setting):
    trace = draw_trace(SHAPES_STUDENT)
    assert [loss.item() for loss in RKD(RKDOptions(), setting)(draw_batch(), trace, trace).values()] == [0, 0]


@pytest.mark.parametrize("same", [2, 6], ids=["two tiles coincide", "all coincide"])
def test_coinciding_vectors_have_finite_losses_and_no_harmful_gradient(setting, same):
    student = draw_trace(SHAPES_STUDENT, seed=1).last
    student[:same] = student[0]
    student.requires_grad_()
    losses = RKD(RKDOptions(), setting)(draw_batch(), FakeTrace([], last=student), draw_trace(SHAPES_TEACHER, seed=2))
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert student.grad.abs().max() < 1


def test_a_single_tile_has_no_relations(setting):
    student, teacher = (draw_trace(SHAPES_STUDENT, samples=1, seed=seed) for seed in (1, 2))
    assert [loss.item() for loss in RKD(RKDOptions(), setting)(draw_batch(1), student, teacher).values()] == [0, 0]
