"""PKT against loops, and what turning and scaling leave alone."""

import numpy as np
import pytest
import torch

from hviskd.distillation.methods.pkt import PKT, PKTOptions, probability_loss
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, draw_batch, draw_trace


def probabilities(vectors):
    scores = np.array([[(1 + a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) / 2 for b in vectors] for a in vectors])
    return scores / scores.sum(axis=1, keepdims=True)


def test_it_is_the_mean_divergence_over_pairs(setting):
    student, teacher = (
        draw_trace(shapes, seed=seed, dtype=torch.float64)
        for shapes, seed in ((SHAPES_STUDENT, 1), (SHAPES_TEACHER, 2))
    )
    ours, theirs = (probabilities(trace.last.numpy().mean(axis=(2, 3))) for trace in (student, teacher))
    method = PKT(PKTOptions(), setting)
    loss = method(draw_batch(), student, teacher)["pkt"]
    assert loss.item() == pytest.approx((theirs * np.log(theirs / ours)).mean(), rel=1e-5)
    assert method.weights == {"pkt": 30000.0}


def test_turning_a_network_s_vectors_and_scaling_one_tile_s_change_nothing():
    generator = np.random.default_rng(0)
    student, teacher = (torch.from_numpy(generator.normal(size=(6, width))) for width in (7, 9))
    turn = torch.from_numpy(np.linalg.qr(generator.normal(size=(7, 7)))[0])
    sizes = torch.from_numpy(generator.uniform(0.5, 2, (6, 1)))
    loss = probability_loss(student, teacher).item()
    assert probability_loss(sizes * student @ turn, teacher).item() == pytest.approx(loss, rel=1e-9)
    assert probability_loss(student, student).item() == 0


def test_opposite_and_empty_vectors_give_finite_losses_and_gradients():
    student = torch.tensor([[1.0, 0], [-1, 0], [0, 0]], requires_grad=True)
    loss = probability_loss(student, torch.tensor([[1.0, 0], [1, 0], [0, 1]]))
    loss.backward()
    assert loss.isfinite()
    assert student.grad.isfinite().all()
    assert student.grad[2].tolist() == [0, 0]
