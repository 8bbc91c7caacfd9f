"""FSP: the matrices between stages, whom they cannot compare, and the stage before."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hviskd.distillation import Setting, resolve_methods
from hviskd.distillation.methods.fsp import FSP, FSPOptions, flow
from hviskd.errors import RecipeError
from tests.distillation.conftest import FakeShapes, FakeTrace, draw_batch, draw_trace
from tests.distillation.methods.by_hand import of_one_size

TEACHER = [(4, 12, 12), (4, 12, 12), (6, 6, 6), (8, 3, 3)]
STUDENT = [(4, 9, 9), (4, 9, 9), (6, 5, 5), (8, 2, 2)]


@pytest.fixture
def alike():
    return Setting(FakeShapes(STUDENT), FakeShapes(TEACHER), 5, torch.zeros(1))


def traces():
    return draw_trace(STUDENT, seed=1, dtype=torch.float64), draw_trace(TEACHER, seed=2, dtype=torch.float64)


def matrix(shallow, deep):
    shallow, deep = of_one_size(shallow, deep)
    out = np.zeros((len(shallow), shallow.shape[1], deep.shape[1]))
    for b, i, j in np.ndindex(out.shape):
        out[b, i, j] = (shallow[b, i] * deep[b, j]).mean()
    return out


def test_is_the_mean_squared_difference_of_the_matrices(alike):
    student, teacher = traces()
    expected = 0.0
    for stage in range(3):
        theirs, ours = (
            matrix(*(map_.numpy() for map_ in trace.stages[stage : stage + 2])) for trace in (teacher, student)
        )
        expected += ((theirs - ours) ** 2).mean()
    assert FSP(FSPOptions(), alike)(draw_batch(), student, teacher)["fsp"].item() == pytest.approx(expected, rel=1e-9)


def test_a_shift_of_the_tissue_does_not_change_the_matrix():
    shallow, deep = torch.randn(2, 3, 6, 6), torch.randn(2, 5, 6, 6)
    turned = flow(shallow.roll((1, 2), (2, 3)), deep.roll((1, 2), (2, 3)))
    assert torch.allclose(turned, flow(shallow, deep), atol=1e-6)


def test_the_same_maps_cost_nothing_and_constant_ones_have_finite_gradients(alike):
    for shapes, content in ((TEACHER, draw_trace(TEACHER).stages), (TEACHER, [torch.zeros(6, *s) for s in TEACHER])):
        maps = [map_.clone().requires_grad_() for map_ in content]
        setting = replace(alike, student=FakeShapes(shapes))
        loss = FSP(FSPOptions(), setting)(draw_batch(), FakeTrace(maps), FakeTrace(content))["fsp"]
        loss.backward()
        assert loss.item() == pytest.approx(0, abs=1e-12)
        assert all(map_.grad.isfinite().all() for map_ in maps)


def test_unequal_widths_are_refused_with_a_way_out(setting):
    with pytest.raises(RecipeError, match=r"methods\.fsp: stage 0 of the teacher has 8 channels .* student 4.* vid"):
        FSP(FSPOptions(), setting)


def test_one_stage_has_no_next():
    with pytest.raises(RecipeError, match=r"methods\.fsp\.stages"):
        resolve_methods({"fsp": {"stages": [[1, 1]]}})


def test_the_preset_learns_it_before_all_else():
    options = resolve_methods("fsp")
    at_start, later = ([name for name in options if options[name].counts_at(share)] for share in (0.1, 0.125))
    assert (at_start, later) == (["fsp"], ["cross_entropy"])
