"""VkD: the projection only turns, and stays a rotation while it learns."""

import numpy as np
import pytest
import torch

from hviskd.distillation import Setting
from hviskd.distillation.methods.vkd import VkD, VkDOptions
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeShapes, draw_batch, draw_trace

NARROW = [(4, 9, 9), (5, 3, 3)]
WIDE = [(4, 9, 9), (12, 6, 6)]


def built(student, teacher):
    torch.manual_seed(0)
    return VkD(VkDOptions(), Setting(FakeShapes(student), FakeShapes(teacher), 5, torch.zeros(1)))


def test_it_is_smooth_l1_to_the_standardised_vector():
    method = built(NARROW, WIDE).double()
    student, teacher = (draw_trace(shapes, seed=seed, dtype=torch.float64) for shapes, seed in ((NARROW, 1), (WIDE, 2)))
    ours, theirs = (trace.last.numpy().mean(axis=(2, 3)) for trace in (student, teacher))
    target = (theirs - theirs.mean(axis=1, keepdims=True)) / np.sqrt(theirs.var(axis=1, keepdims=True) + 1e-5)
    size = np.abs(ours @ method.projection.weight.detach().numpy().T - target)
    expected = np.where(size < 1, size**2 / 2, size - 0.5).mean()
    assert method(draw_batch(), student, teacher)["vkd"].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("student", "teacher"), [(NARROW, WIDE), (WIDE, NARROW), (WIDE, WIDE)])
def test_the_projection_stays_orthogonal_while_it_learns(student, teacher):
    method = built(student, teacher)
    before = method.projection.weight.detach().clone()
    optimizer = torch.optim.SGD(method.parameters(), lr=1.0)
    for step in range(5):
        traces = (draw_trace(shapes, seed=10 * step + i) for i, shapes in enumerate((student, teacher)))
        method(draw_batch(), *traces)["vkd"].backward()
        optimizer.step()
    weight = method.projection.weight.detach()
    assert (weight - before).abs().max() > 0.01
    shorter = weight.T @ weight if len(weight) >= weight.shape[1] else weight @ weight.T
    torch.testing.assert_close(shorter, torch.eye(len(shorter)), atol=1e-5, rtol=0)


def test_a_checkpoint_restores_the_projection():
    method, other = (
        built(NARROW, WIDE),
        VkD(VkDOptions(), Setting(FakeShapes(NARROW), FakeShapes(WIDE), 5, torch.zeros(1))),
    )
    assert not torch.equal(method.projection.weight, other.projection.weight)
    other.load_state_dict(method.state_dict())
    assert torch.equal(method.projection.weight, other.projection.weight)


def test_weight_decay_leaves_all_of_it_alone(setting):
    method = VkD(VkDOptions(), setting)
    assert [id(weight) for weight in method.undecayed()] == [id(weight) for weight in method.parameters()]


def test_it_can_be_built_without_content():
    with torch.device("meta"):
        assert built(SHAPES_STUDENT, SHAPES_TEACHER).projection.weight.is_meta
