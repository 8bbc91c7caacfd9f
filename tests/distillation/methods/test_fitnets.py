"""FitNets: the hint's formula, its small regressors, its two forms and the stage before."""

import pytest
import torch
from torch import nn

from hviskd.distillation import Batch, build_methods, resolve_methods
from hviskd.distillation.methods.fitnets import FitNets, FitNetsOptions
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeTrace, draw_batch, draw_trace
from tests.distillation.methods.by_hand import mixed, numbers, of_one_size

PAIRS = ((2, 2), (3, 1))  # the same width in one, not in the other; maps of different size in both


def traces(dtype=torch.float64):
    return draw_trace(SHAPES_STUDENT, seed=1, dtype=dtype), draw_trace(SHAPES_TEACHER, seed=2, dtype=dtype)


def test_is_the_mean_squared_difference_to_the_adapted_map(setting):
    method = FitNets(FitNetsOptions(stages=PAIRS), setting).double()
    student, teacher = traces()
    expected = 0.0
    for (of_teacher, of_student), regressor in zip(PAIRS, method.regressors, strict=True):
        theirs, ours = of_one_size(teacher.stages[of_teacher].numpy(), student.stages[of_student].numpy())
        expected += ((mixed(ours, numbers(regressor.weight), numbers(regressor.bias)) - theirs) ** 2).mean()
    assert method(draw_batch(), student, teacher)["fitnets"].item() == pytest.approx(expected, rel=1e-9)


def test_an_equal_map_through_an_equal_regressor_costs_nothing_and_its_gradient_is_zero(setting):
    method = FitNets(FitNetsOptions(stages=((3, 3),)), setting)
    nn.init.dirac_(method.regressors[0].weight)
    nn.init.zeros_(method.regressors[0].bias)
    teacher = draw_trace(SHAPES_TEACHER)
    maps = [map_.clone().requires_grad_() for map_ in teacher.stages]
    loss = method(draw_batch(), FakeTrace(maps), teacher)["fitnets"]
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-10)
    assert maps[3].grad.abs().max().item() == pytest.approx(0, abs=1e-6)


def test_regressors_do_not_grow_with_the_maps(setting):
    method = FitNets(FitNetsOptions(), setting)
    assert sum(weight.numel() for weight in method.parameters()) == 12 * 6 + 12


def test_the_public_regressor_meets_only_what_is_not_negative(setting):
    method = FitNets(FitNetsOptions(variant="public"), setting)
    assert method.regressors[0](torch.randn(4, 6, 5, 5)).min() == 0
    assert isinstance(method.regressors[0][1], nn.BatchNorm2d)


def test_a_stage_that_is_not_there(setting):
    with pytest.raises(RecipeError, match=r"methods\.fitnets\.stages: the student has no stage 4"):
        FitNets(FitNetsOptions(stages=((2, 4),)), setting)


def test_the_preset_learns_the_hint_first_and_nothing_else(setting):
    options = resolve_methods("fitnets")
    at_start, later = ([name for name in options if options[name].counts_at(share)] for share in (0.0, 0.25))
    assert (at_start, later) == (["fitnets"], ["cross_entropy", "kd"])
    assert set(build_methods(resolve_methods("fitnets-public"), setting)) == {"cross_entropy", "fitnets"}


def test_stays_finite_on_constant_maps(setting):
    method = FitNets(FitNetsOptions(variant="public"), setting)
    maps = [torch.zeros(6, *shape, requires_grad=True) for shape in SHAPES_STUDENT]
    teacher = FakeTrace([torch.zeros(6, *shape) for shape in SHAPES_TEACHER])
    method(Batch(torch.zeros(6, 3, 4, 4), torch.zeros(6), torch.arange(6)), FakeTrace(maps), teacher)[
        "fitnets"
    ].backward()
    assert maps[2].grad.isfinite().all()
