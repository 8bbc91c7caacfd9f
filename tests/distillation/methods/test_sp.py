"""SP: which tiles resemble each other, against NumPy."""

import numpy as np
import pytest
import torch

from hviskd.distillation.methods.sp import SP, SPOptions, similarity_loss
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, draw_batch, draw_trace


def expected(student, teacher):
    rows = []
    for maps in (student, teacher):
        flat = maps.reshape(len(maps), -1)
        gram = np.array([[a @ b for b in flat] for a in flat])
        rows.append(gram / np.sqrt((gram**2).sum(axis=1, keepdims=True)))
    return ((rows[0] - rows[1]) ** 2).sum() / len(student) ** 2


def pair(dtype=torch.float64):
    return draw_trace(SHAPES_STUDENT, seed=1, dtype=dtype), draw_trace(SHAPES_TEACHER, seed=2, dtype=dtype)


def test_by_default_the_last_stages_are_compared(setting):
    student, teacher = pair()
    loss = SP(SPOptions(), setting)(draw_batch(), student, teacher)["sp"]
    assert loss.item() == pytest.approx(expected(student.stages[3].numpy(), teacher.stages[3].numpy()), rel=1e-10)
    assert SP(SPOptions(), setting).weights == {"sp": 3000.0}


def test_pairs_of_any_width_and_size_are_summed(setting):
    student, teacher = pair()
    loss = SP(SPOptions(stages=((0, 1), (2, 3))), setting)(draw_batch(), student, teacher)["sp"]
    parts = [expected(student.stages[s].numpy(), teacher.stages[t].numpy()) for t, s in ((0, 1), (2, 3))]
    assert loss.item() == pytest.approx(sum(parts), rel=1e-10)


def test_turning_and_scaling_a_network_s_features_does_not_matter():
    generator = np.random.default_rng(0)
    student, teacher = (torch.from_numpy(generator.normal(size=(6, width))) for width in (7, 9))
    turn = torch.from_numpy(np.linalg.qr(generator.normal(size=(7, 7)))[0])
    loss = similarity_loss(student, teacher).item()
    assert similarity_loss(3 * student @ turn, teacher).item() == pytest.approx(loss, rel=1e-10)
    assert similarity_loss(teacher, teacher).item() == 0
    # Unlike cosines, a tile of stronger features counts for more.
    stronger = torch.cat([10 * student[:1], student[1:]])
    assert similarity_loss(stronger, teacher).item() != pytest.approx(loss, rel=1e-2)


@pytest.mark.parametrize("dead", [slice(0, 1), slice(0, 6)])
def test_tiles_without_any_activation_have_no_harmful_gradient(dead):
    student, teacher = (draw_trace(SHAPES_STUDENT, seed=seed).stages[3] for seed in (1, 2))
    student[dead] = 0
    student.requires_grad_()
    loss = similarity_loss(student, teacher)
    loss.backward()
    assert loss.isfinite()
    assert student.grad.abs().max() < 1


def test_a_stage_that_is_missing_is_named(setting):
    with pytest.raises(RecipeError, match=r"methods\.sp\.stages: the student has no stage 4"):
        SP(SPOptions(stages=((3, 4),)), setting)
