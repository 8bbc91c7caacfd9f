"""AB: the boundary loss entry by entry, what it ignores, its scale and the stage before."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hviskd.distillation import Setting, resolve_methods
from hviskd.distillation.methods.ab import AB, ABOptions, boundary_loss
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeShapes, FakeTrace, draw_batch, draw_trace
from tests.distillation.methods.by_hand import mixed, numbers, of_one_size


def boundary(teacher, student, margin):
    total = 0.0
    for t, s in zip(teacher.flat, student.flat, strict=True):
        if t <= 0 and s > -margin:
            total += (s + margin) ** 2
        if t > 0 and s <= margin:
            total += (s - margin) ** 2
    return total / len(teacher)


@pytest.mark.parametrize("margin", [0.5, 1.0])
def test_counts_what_is_on_the_wrong_side_of_the_margin(margin):
    teacher, student = (np.random.default_rng(seed).normal(size=(3, 2, 4, 4)) for seed in (1, 2))
    measured = boundary_loss(*map(torch.from_numpy, (teacher, student)), margin)
    assert measured.item() == pytest.approx(boundary(teacher, student, margin), rel=1e-12)


def test_only_the_side_of_the_teachers_response_matters():
    teacher, student = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    assert boundary_loss(teacher, student, 1.0) == boundary_loss(teacher.sign() * 9, student, 1.0)


def test_beyond_the_margin_on_the_teachers_side_there_is_nothing_to_learn():
    teacher = torch.randn(3, 2, 4, 4)
    student = (1.5 * teacher.sign()).requires_grad_()
    loss = boundary_loss(teacher, student, 1.0)
    loss.backward()
    assert loss == 0
    assert not student.grad.any()


def test_deeper_pairs_count_twice_as_much_and_images_of_32_px_as_published(setting):
    method = AB(ABOptions(), setting).double().eval()
    student, teacher = (draw_trace(shapes, seed=3, dtype=torch.float64) for shapes in (SHAPES_STUDENT, SHAPES_TEACHER))
    expected = 0.0
    for position, stage in enumerate((1, 2, 3)):
        theirs, ours = of_one_size(teacher.stages[stage].numpy(), student.stages[stage].numpy())
        adapted = mixed(ours, numbers(method.connectors[position][0].weight)) / np.sqrt(1 + 1e-5)
        expected += (1 / 4, 1 / 2, 1)[position] * boundary(theirs, adapted, 1.0)
    for image_px in (32, 96):
        batch = replace(draw_batch(), images=torch.zeros(6, 3, image_px, image_px))
        measured = method(batch, student, teacher)["ab"].item()
        assert measured == pytest.approx(expected * (32 / image_px) ** 2, rel=1e-9)
    bare = AB(ABOptions(rescaled=False), setting).double().eval()
    bare.load_state_dict(method.state_dict())
    assert bare(batch, student, teacher)["ab"].item() == pytest.approx(expected, rel=1e-9)


def test_maps_of_equal_shape_need_no_connector():
    same = Setting(FakeShapes(SHAPES_TEACHER), FakeShapes(SHAPES_TEACHER), 5, torch.zeros(1))
    method = AB(ABOptions(), same)
    assert all(isinstance(connector, nn.Identity) for connector in method.connectors)
    assert not list(method.parameters())


def test_the_preset_learns_it_before_all_else():
    options = resolve_methods("ab")
    at_start, later = ([name for name in options if options[name].counts_at(share)] for share in (0.1, 0.125))
    assert (at_start, later) == (["ab"], ["cross_entropy"])


def test_gradients_are_finite_on_constant_maps(setting):
    zeros = [torch.zeros(6, *shape, requires_grad=True) for shape in SHAPES_STUDENT]
    teacher = FakeTrace([], preactivations=[torch.zeros(6, *shape) for shape in SHAPES_TEACHER])
    AB(ABOptions(), setting)(draw_batch(), FakeTrace([], preactivations=zeros), teacher)["ab"].backward()
    assert all(map_.grad.isfinite().all() for map_ in zeros[1:])


def test_a_stage_that_is_not_there(setting):
    with pytest.raises(RecipeError, match=r"methods\.ab\.stages"):
        AB(ABOptions(stages=((1, 4),)), setting)
