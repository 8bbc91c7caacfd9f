"""NST against loops over pairs of channels, within a memory that real maps allow."""

import numpy as np
import pytest
import torch

from hviskd.distillation.methods.nst import NST, NSTOptions, channel_discrepancy
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, draw_batch, draw_trace


def kernel_mean(these, those):
    return np.mean(
        [[(a @ b) ** 2 for b in tile_b for a in tile_a] for tile_a, tile_b in zip(these, those, strict=True)]
    )


def expected(student, teacher):
    ours, theirs = (maps.reshape(*maps.shape[:2], -1) for maps in (student, teacher))
    ours, theirs = (maps / np.linalg.norm(maps, axis=2, keepdims=True) for maps in (ours, theirs))
    return kernel_mean(theirs, theirs) + kernel_mean(ours, ours) - 2 * kernel_mean(ours, theirs)


def maps(channels, seed, side=4):
    return np.random.default_rng(seed).normal(size=(3, channels, side, side))


def test_it_is_the_squared_discrepancy_of_channels():
    student, teacher = maps(5, 1), maps(7, 2)
    loss = channel_discrepancy(torch.from_numpy(student), torch.from_numpy(teacher))
    assert loss.item() == pytest.approx(expected(student, teacher), rel=1e-9)


def test_stages_of_different_sizes_are_averaged_to_the_smaller_and_summed(setting):
    student, teacher = (
        draw_trace(shapes, seed=seed, dtype=torch.float64)
        for shapes, seed in ((SHAPES_STUDENT, 1), (SHAPES_TEACHER, 2))
    )
    pool = torch.nn.functional.adaptive_avg_pool2d
    parts = [
        expected(student.stages[i].numpy(), pool(teacher.stages[i], student.stages[i].shape[2:]).numpy())
        for i in (1, 2, 3)
    ]
    method = NST(NSTOptions(), setting)
    assert method(draw_batch(), student, teacher)["nst"].item() == pytest.approx(sum(parts), rel=1e-9)
    assert method.weights == {"nst": 50.0}


def test_order_sign_and_strength_of_channels_do_not_matter():
    student, teacher = torch.from_numpy(maps(5, 1)), torch.from_numpy(maps(7, 2))
    changed = student[:, [4, 2, 0, 1, 3]] * torch.tensor([2.0, -1, 0.1, 5, 3])[None, :, None, None]
    loss = channel_discrepancy(student, teacher).item()
    assert channel_discrepancy(changed, teacher).item() == pytest.approx(loss, rel=1e-9)
    assert channel_discrepancy(changed, student).item() == pytest.approx(0, abs=1e-12)


def test_channels_without_any_activation_do_no_harm():
    student, teacher = (torch.from_numpy(maps(5, seed)).float() for seed in (1, 2))
    student[:, :2] = 0
    student.requires_grad_()
    channel_discrepancy(student, teacher).backward()
    assert student.grad.abs().max() < 1
    assert (student.grad[:, 2:] != 0).any()


def test_nothing_larger_than_a_map_is_kept_for_large_tiles():
    student, teacher = torch.rand(1, 240, 75, 75, requires_grad=True), torch.rand(1, 128, 75, 75)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda t: t):
        channel_discrepancy(student, teacher).backward()
    assert 240 * 128 <= max(kept) <= student.numel()
    assert student.grad.isfinite().all()


def test_a_stage_that_is_missing_is_named(setting):
    with pytest.raises(RecipeError, match=r"methods\.nst\.stages: the teacher has no stage 9"):
        NST(NSTOptions(stages=((9, 1),)), setting)
