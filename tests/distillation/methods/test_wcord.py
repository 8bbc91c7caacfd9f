"""WCoRD's transport is the entropic optimum, and its embeddings have bounded slope."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from hviskd.distillation.methods.wcord import WCoRD, WCoRDOptions, transport_cost, transport_plan
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, draw_batch, draw_trace


def costs(size=7, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).uniform(0, 2, (size, size)))


def test_the_plan_has_even_marginals():
    plan = transport_plan(costs(), 0.05, 200)
    for side in (0, 1):
        assert plan.sum(dim=side).numpy() == pytest.approx(np.full(7, 1 / 7), abs=1e-3)


def test_with_little_entropy_the_cost_is_that_of_the_best_assignment():
    cost = costs()
    rows, columns = linear_sum_assignment(cost.numpy())
    assert transport_cost(cost, 0.005, 3000).item() == pytest.approx(cost.numpy()[rows, columns].mean(), abs=1e-3)


def test_it_is_the_fixed_point_of_scaling_in_plain_numbers():
    cost = costs().numpy()
    kernel = np.exp(-cost / 0.2)
    u = np.ones(7)
    for _ in range(500):
        v = (1 / 7) / (kernel.T @ u)
        u = (1 / 7) / (kernel @ v)
    expected = u[:, None] * kernel * v
    assert transport_plan(torch.from_numpy(cost), 0.2, 500).numpy() == pytest.approx(expected, rel=1e-6)


def test_equal_sets_cost_nothing_without_entropy():
    vectors = torch.nn.functional.normalize(torch.randn(6, 4, dtype=torch.float64), dim=1)
    assert transport_cost(1 - vectors @ vectors[torch.randperm(6)].T, 1e-3, 2000).item() == pytest.approx(0, abs=1e-4)


def test_the_gradient_is_the_plan():
    cost = costs().requires_grad_()
    transport_cost(cost, 0.1, 100).backward()
    torch.testing.assert_close(cost.grad, transport_plan(cost.detach(), 0.1, 100))


def test_weights_and_slopes_are_bounded(setting):
    torch.manual_seed(0)
    method = WCoRD(WCoRDOptions(width=8, negatives=20, weight=2), setting)
    assert method.weights == {"contrast": 1.6, "transport": 0.1}
    batch = draw_batch()
    for _ in range(20):  # power iterations settle
        losses = method(batch, draw_trace(SHAPES_STUDENT), draw_trace(SHAPES_TEACHER, seed=1))
    for embed in (method.contrast.embed_teacher, method.contrast.embed_student):
        assert torch.linalg.matrix_norm(embed.weight, 2).item() == pytest.approx(1, abs=0.05)
    torch.stack(list(losses.values())).sum().backward()
    assert all(weight.grad.isfinite().all() for weight in method.parameters())
