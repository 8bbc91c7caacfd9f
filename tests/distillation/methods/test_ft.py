"""FT: factors against NumPy, and the paraphraser that learns first, alone, and then no more."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hviskd.distillation import resolve_methods
from hviskd.distillation.methods.ft import FT, FTOptions, factor_distance
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeTrace, draw_batch, draw_trace
from tests.distillation.methods.by_hand import of_one_size

TEACHERS_SIDE = ("paraphraser", "reconstructor")


def traces():
    """Give a student and a teacher whose last maps could hand on a gradient."""
    made = draw_trace(SHAPES_STUDENT, seed=1), draw_trace(SHAPES_TEACHER, seed=2)
    return [FakeTrace(trace.stages, last=trace.last.clone().requires_grad_()) for trace in made]


def at(progress):
    return replace(draw_batch(), progress=progress)


def moved_by(method, loss):
    loss.backward()
    return {name.split(".")[0] for name, weight in method.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("factor", ["full", "spatial"])
def test_distance_of_factors(factor):
    teacher, student = (np.random.default_rng(seed).normal(size=(3, 4, 5, 5)) for seed in (1, 2))
    vectors = [(maps**2).mean(axis=1) if factor == "spatial" else maps for maps in (teacher, student)]
    theirs, ours = (np.stack([tile.ravel() / np.linalg.norm(tile) for tile in factors]) for factors in vectors)
    measured = factor_distance(*map(torch.from_numpy, (teacher, student)), factor)
    assert measured.item() == pytest.approx(abs(theirs - ours).mean(), rel=1e-9)


def test_the_strength_of_factors_does_not_matter():
    teacher, student = torch.randn(3, 4, 5, 5), torch.randn(3, 4, 5, 5)
    assert torch.allclose(factor_distance(teacher, 7 * student), factor_distance(teacher, student), rtol=1e-5)


@pytest.mark.parametrize("factor", ["full", "spatial"])
@pytest.mark.parametrize("content", [torch.randn(3, 4, 5, 5), torch.zeros(3, 4, 5, 5)])
def test_equal_and_empty_factors_cost_nothing(factor, content):
    student = content.clone().requires_grad_()
    loss = factor_distance(content, student, factor)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-7)
    assert student.grad.isfinite().all()


def test_first_the_paraphraser_learns_to_reconstruct_and_the_student_gets_nothing(setting):
    method = FT(FTOptions(preparation=0.2), setting)
    student, teacher = traces()
    losses = method(at(0.19), student, teacher)
    assert list(losses) == ["reconstruction"]
    assert moved_by(method, losses["reconstruction"]) == set(TEACHERS_SIDE)
    assert student.last.grad is None
    assert teacher.last.grad is None


def test_then_the_translator_learns_and_the_paraphraser_is_held_still(setting):
    method = FT(FTOptions(preparation=0.2), setting)
    student, teacher = traces()
    losses = method(at(0.2), student, teacher)
    assert list(losses) == ["ft"]
    assert moved_by(method, losses["ft"]) == {"translator"}
    assert student.last.grad.abs().max() > 0
    assert teacher.last.grad is None


def test_preparing_makes_the_factors_hold_the_teachers_map(setting):
    torch.manual_seed(0)
    method = FT(FTOptions(), setting)
    mixing = torch.randn(16, 2)  # sixteen channels that tell two things
    student, teacher = FakeTrace([]), FakeTrace([], last=torch.einsum("oc,bchw->bohw", mixing, torch.randn(4, 2, 3, 3)))
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1, momentum=0.9)
    for _ in range(40):
        loss = method(at(0.0), student, teacher)["reconstruction"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.5 * teacher.last.var().item()


def test_factors_of_maps_of_different_size_meet_at_the_smaller(setting):
    method = FT(FTOptions(), setting).double().eval()
    student, teacher = (draw_trace(shapes, seed=1, dtype=torch.float64) for shapes in (SHAPES_STUDENT, SHAPES_TEACHER))
    with torch.no_grad():
        theirs, ours = of_one_size(method.paraphraser(teacher.last).numpy(), method.translator(student.last).numpy())
    expected = factor_distance(*map(torch.from_numpy, (theirs, ours)))
    assert theirs.shape == (6, 8, 3, 3)
    assert method(at(0.5), student, teacher)["ft"].item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_reconstruction_does_not_hang_on_the_weight(setting):
    assert FT(FTOptions(weight=7), setting).weights == {"reconstruction": 1.0, "ft": 7}
    assert FT(FTOptions(reconstruction=5), setting).weights == {"reconstruction": 5, "ft": 500}


def test_preparation_counts_from_where_the_method_does_and_leaves_time_for_the_student():
    options = FTOptions(during=(0.5, 1), preparation=0.25)
    assert [options.prepares_at(progress) for progress in (0.5, 0.74, 0.75)] == [True, True, False]
    with pytest.raises(RecipeError, match=r"methods\.ft: .*preparation must end before"):
        resolve_methods({"ft": {"during": [0.5, 0.75], "preparation": 0.25}})
