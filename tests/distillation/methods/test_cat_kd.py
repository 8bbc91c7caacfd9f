"""CAT-KD against class activation maps computed before pooling, pixel by pixel."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hviskd.distillation import Setting
from hviskd.distillation.methods.cat_kd import CATKD, CATKDOptions, class_activations
from hviskd.errors import RecipeError
from hviskd.networks import create_network
from tests.distillation.conftest import FakeShapes, FakeTrace, draw_batch, draw_trace

STUDENT = [(4, 9, 9), (6, 4, 4)]
TEACHER = [(4, 9, 9), (12, 8, 8)]


def built(**options):
    return CATKD(CATKDOptions(**options), Setting(FakeShapes(STUDENT), FakeShapes(TEACHER), 5, torch.zeros(1)))


def pooled_maps(trace, grid):
    maps, weights = trace.last.numpy(), trace.class_weights.numpy()
    cams = np.stack([[sum(w * c for w, c in zip(row, tile, strict=True)) for row in weights] for tile in maps])
    samples, classes, side, _ = cams.shape
    cell = side // grid
    return cams.reshape(samples, classes, grid, cell, grid, cell).mean(axis=(3, 5)).reshape(samples, classes, -1)


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("grid", [2, 4])
def test_it_is_the_squared_difference_of_pooled_activation_maps(grid, normalise):
    student, teacher = (
        draw_trace(shapes, seed=seed, dtype=torch.float64) for shapes, seed in ((STUDENT, 1), (TEACHER, 2))
    )
    ours, theirs = (pooled_maps(trace, grid) for trace in (student, teacher))
    if normalise:
        ours, theirs = (maps / np.linalg.norm(maps, axis=2, keepdims=True) for maps in (ours, theirs))
    loss = built(grid=grid, normalise=normalise)(draw_batch(), student, teacher)["cat_kd"]
    assert loss.item() == pytest.approx(((ours - theirs) ** 2).mean(), rel=1e-9)


def test_the_maps_average_to_the_logits_of_a_real_network():
    network = create_network("resnet8", 3).eval()
    trace = network.trace(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    maps = class_activations(F.adaptive_avg_pool2d(trace.last, 4), trace.class_weights)
    torch.testing.assert_close(maps.mean(dim=2) + network.head.classifier.bias, trace.logits, atol=1e-4, rtol=1e-4)


def test_normalised_only_where_counts_not_how_much():
    student, teacher = draw_trace(STUDENT, seed=1), draw_trace(TEACHER, seed=2)
    stronger = FakeTrace(student.stages, last=5 * student.last, class_weights=student.class_weights)
    before, after = (built()(draw_batch(), trace, teacher)["cat_kd"].item() for trace in (student, stronger))
    assert after == pytest.approx(before, rel=1e-5)


def test_the_classifier_learns_too_and_maps_without_activation_do_no_harm():
    teacher = draw_trace(TEACHER, seed=2)
    last = draw_trace(STUDENT, seed=1).last
    last[:3] = 0
    last.requires_grad_()
    weights = torch.randn(5, 6, generator=torch.Generator().manual_seed(3)).requires_grad_()
    built()(draw_batch(), FakeTrace([], last=last, class_weights=weights), teacher)["cat_kd"].backward()
    assert weights.grad.isfinite().all()
    assert (weights.grad != 0).any()
    assert last.grad.abs().max() < 1


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_a_grid_head_is_refused(role):
    gap = create_network("resnet8", 3).shapes(32)
    grid = create_network("resnet8", 3, "grid").shapes(32)
    shapes = (grid, gap) if role == "student" else (gap, grid)
    with pytest.raises(RecipeError, match=rf"methods\.cat_kd: the {role}'s classifier .* head: gap"):
        CATKD(CATKDOptions(), Setting(*shapes, 3, torch.zeros(1)))
