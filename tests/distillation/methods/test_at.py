"""AT: the formula, what it does not depend on, and the public form that shrinks with the map."""

import pytest
import torch

from hviskd.distillation import resolve_methods
from hviskd.distillation.methods.at import AT, ATOptions
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeTrace, draw_batch, draw_trace
from tests.distillation.methods.by_hand import attention, of_one_size


def traces(dtype=torch.float64):
    return draw_trace(SHAPES_STUDENT, seed=1, dtype=dtype), draw_trace(SHAPES_TEACHER, seed=2, dtype=dtype)


def loss_of(setting, student, teacher, **options):
    return AT(ATOptions(**options), setting)(draw_batch(), student, teacher)["at"].item()


@pytest.mark.parametrize("power", [1, 2, 4])
@pytest.mark.parametrize("variant", ["paper", "public"])
def test_is_the_squared_distance_of_the_unit_attention_maps(setting, power, variant):
    student, teacher = traces()
    expected = 0.0
    for stage in (1, 2, 3):
        maps = of_one_size(teacher.stages[stage].numpy(), student.stages[stage].numpy())
        theirs, ours = (attention(map_, power) for map_ in maps)
        squares = (theirs - ours) ** 2
        expected += squares.mean() if variant == "public" else squares.sum(axis=1).mean() / 256
    measured = loss_of(setting, student, teacher, power=power, variant=variant)
    assert measured == pytest.approx(expected, rel=1e-9)


def enlarged(trace, factor):
    return FakeTrace([map_.repeat_interleave(factor, 2).repeat_interleave(factor, 3) for map_ in trace.stages])


def test_the_size_of_the_maps_changes_nothing_but_the_public_form(setting):
    student = traces()[0]
    teacher = draw_trace(SHAPES_STUDENT, seed=2, dtype=torch.float64)
    larger = enlarged(student, 3), enlarged(teacher, 3)
    assert loss_of(setting, *larger) == pytest.approx(loss_of(setting, student, teacher), rel=1e-9)
    public = loss_of(setting, student, teacher, variant="public")
    assert loss_of(setting, *larger, variant="public") == pytest.approx(public / 9, rel=1e-9)


def test_both_forms_agree_on_maps_of_16_by_16(setting):
    student, teacher = (draw_trace([(4, 16, 16)] * 4, seed=seed, dtype=torch.float64) for seed in (1, 2))
    paper, public = (loss_of(setting, student, teacher, variant=variant) for variant in ("paper", "public"))
    assert paper == pytest.approx(public, rel=1e-12)


def test_neither_strength_nor_sign_nor_order_of_channels_matters(setting):
    student, teacher = traces()
    other = FakeTrace([-3 * map_.flip(1) for map_ in student.stages])
    assert loss_of(setting, other, teacher) == pytest.approx(loss_of(setting, student, teacher), rel=1e-9)


@pytest.mark.parametrize("power", [1, 2, 3])
def test_equal_and_empty_maps_cost_nothing_with_finite_gradients(setting, power):
    method = AT(ATOptions(power=power), setting)
    for content in (draw_trace(SHAPES_STUDENT).stages, [torch.zeros(6, *shape) for shape in SHAPES_STUDENT]):
        maps = [map_.clone().requires_grad_() for map_ in content]
        loss = method(draw_batch(), FakeTrace(maps), FakeTrace(content))["at"]
        loss.backward()
        assert loss.item() == pytest.approx(0, abs=1e-12)
        assert all(map_.grad.isfinite().all() for map_ in maps[1:])


def test_a_student_without_any_response_beside_a_teacher_with_some_is_finite(setting):
    maps = [torch.zeros(6, *shape, requires_grad=True) for shape in SHAPES_STUDENT]
    loss = AT(ATOptions(), setting)(draw_batch(), FakeTrace(maps), draw_trace(SHAPES_TEACHER))["at"]
    loss.backward()
    assert loss.item() == pytest.approx(3 / 256, rel=1e-5)
    assert all(map_.grad.isfinite().all() for map_ in maps[1:])


def test_mistakes(setting):
    with pytest.raises(RecipeError, match=r"methods\.at\.stages: the teacher has no stage 9"):
        AT(ATOptions(stages=((9, 1),)), setting)
    with pytest.raises(RecipeError, match=r"methods\.at\.power"):
        resolve_methods({"at": {"power": 0.5}})
