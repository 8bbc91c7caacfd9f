"""VID: the Gaussian's likelihood against SciPy, its variances and who leaves them alone."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import norm

from hviskd.distillation import Objective
from hviskd.distillation.methods.vid import VID, VIDOptions, gaussian_loss
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeTrace, draw_batch, draw_trace
from tests.distillation.methods.by_hand import mixed, numbers, of_one_size


def traces(dtype=torch.float64):
    return draw_trace(SHAPES_STUDENT, seed=1, dtype=dtype), draw_trace(SHAPES_TEACHER, seed=2, dtype=dtype)


def test_is_the_negative_log_likelihood_up_to_its_constant(setting):
    method = VID(VIDOptions(), setting).double()
    student, teacher = traces()
    with torch.no_grad():
        for spread in method.spreads:
            spread.copy_(torch.linspace(-2, 3, len(spread)))
    expected = 0.0
    for stage, mean, spread in zip((1, 2, 3), method.means, method.spreads, strict=True):
        theirs, ours = of_one_size(teacher.stages[stage].numpy(), student.stages[stage].numpy())
        for layer in mean:
            ours = mixed(ours, numbers(layer.weight)) if hasattr(layer, "weight") else ours.clip(0)
        deviation = np.sqrt(np.log1p(np.exp(numbers(spread))) + 1e-5)[:, None, None]
        expected += -norm.logpdf(theirs, ours, deviation).mean() - 0.5 * np.log(2 * np.pi)
    assert method(draw_batch(), student, teacher)["vid"].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("variance", [1e-3, 5.0, 900.0])
def test_variances_start_where_they_are_told(setting, variance):
    method = VID(VIDOptions(variance=variance), setting).double()
    for spread in method.spreads:
        assert numbers(F.softplus(spread)) + 1e-5 == pytest.approx(variance, rel=1e-5)


def test_the_best_variance_is_the_mean_squared_error():
    target, mean = torch.randn(4, 3, 5, 5, dtype=torch.float64), torch.randn(4, 3, 5, 5, dtype=torch.float64)
    variance = (target - mean).square().mean(dim=(0, 2, 3)).requires_grad_()
    gaussian_loss(target, mean, variance).backward()
    assert variance.grad.abs().max().item() == pytest.approx(0, abs=1e-12)


def test_the_loss_may_be_negative():
    same = torch.randn(2, 3, 4, 4)
    assert gaussian_loss(same, same, torch.full((3,), 0.1)).item() == pytest.approx(0.5 * np.log(0.1), rel=1e-5)


def test_weight_decay_leaves_the_variances_alone(setting):
    method = VID(VIDOptions(), setting)
    objective = Objective(torch.nn.Linear(1, 1), torch.nn.ModuleDict({"vid": method}), None)
    assert {id(weight) for weight in objective.undecayed()} == {id(spread) for spread in method.spreads}
    assert all(any(spread is weight for weight in method.parameters()) for spread in method.spreads)


def test_learns_with_finite_gradients_on_constant_maps(setting):
    method = VID(VIDOptions(), setting)
    maps = [torch.zeros(6, *shape, requires_grad=True) for shape in SHAPES_STUDENT]
    method(draw_batch(), FakeTrace(maps), FakeTrace([torch.zeros(6, *shape) for shape in SHAPES_TEACHER]))[
        "vid"
    ].backward()
    assert all(weight.grad.isfinite().all() for weight in [*method.parameters(), *maps[1:]])


def test_a_stage_that_is_not_there(setting):
    with pytest.raises(RecipeError, match=r"methods\.vid\.stages"):
        VID(VIDOptions(stages=((4, 1),)), setting)
