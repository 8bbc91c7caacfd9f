"""ReviewKD: the fusion from deep to shallow against NumPy, the hierarchical distance, warm-up and widths."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from hviskd.distillation.methods.reviewkd import ReviewKD, ReviewKDOptions, hierarchical_distance
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeTrace, draw_batch, draw_trace
from tests.distillation.methods.by_hand import mixed, numbers, pooled

NORMALISED = np.sqrt(1 + 1e-5)  # what a fresh batch normalisation divides by outside training


def traces(dtype=torch.float64):
    student, teacher = draw_trace(SHAPES_STUDENT, seed=1, dtype=dtype), draw_trace(SHAPES_TEACHER, seed=2, dtype=dtype)
    return student, replace(teacher, preactivations=[map_ - 0.5 for map_ in teacher.stages])


def hierarchy(student, teacher):
    side = student.shape[2]
    levels = [side] + [level for level in (4, 2, 1) if level < side]
    losses = [((pooled(student, level, level) - pooled(teacher, level, level)) ** 2).mean() for level in levels]
    return np.average(losses, weights=0.5 ** np.arange(len(levels)))


@pytest.mark.parametrize("side", [1, 2, 3, 4, 9])
def test_distance_is_averaged_over_the_levels(side):
    student, teacher = (np.random.default_rng(seed).normal(size=(2, 3, side, side)) for seed in (1, 2))
    measured = hierarchical_distance(*map(torch.from_numpy, (student, teacher)))
    assert measured.item() == pytest.approx(hierarchy(student, teacher), rel=1e-9)


def three_by_three(maps, weight):
    out = np.zeros((len(maps), len(weight), *maps.shape[2:]))
    for b, o, c in np.ndindex(len(maps), *weight.shape[:2]):
        out[b, o] += correlate2d(maps[b, c], weight[o, c], mode="same")
    return out


def nearest(maps, side):
    at = np.arange(side) * maps.shape[2] // side
    return maps[:, :, at][:, :, :, at]


def test_maps_are_fused_from_deep_to_shallow(setting):
    method = ReviewKD(ReviewKDOptions(warm_up=0), setting).double().eval()
    student, teacher = traces()
    theirs, ours = (trace.last.numpy().mean(axis=(2, 3), keepdims=True) for trace in (teacher, student))
    below = mixed(ours, numbers(method.deepest.narrow[0].weight)) / NORMALISED
    expected = hierarchy(three_by_three(below, numbers(method.deepest.widen[0].weight)) / NORMALISED, theirs)
    for stage, fusion in ((3, method.fusions[2]), (2, method.fusions[1]), (1, method.fusions[0])):
        target, maps = teacher.preactivations[stage].numpy(), student.stages[stage].numpy()
        side = min(target.shape[2], maps.shape[2])
        own = mixed(pooled(maps, side, side), numbers(fusion.narrow[0].weight)) / NORMALISED
        deeper = nearest(below, side)
        logits = mixed(
            np.concatenate([own, deeper], axis=1),
            numbers(fusion.attention.weight),
            numbers(fusion.attention.bias),
        )
        share = 1 / (1 + np.exp(-logits))
        below = own * share[:, :1] + deeper * share[:, 1:]
        adapted = three_by_three(below, numbers(fusion.widen[0].weight)) / NORMALISED
        expected += hierarchy(adapted, pooled(target, side, side))
    assert method(draw_batch(), student, teacher)["reviewkd"].item() == pytest.approx(expected, rel=1e-9)


def test_it_starts_slowly(setting):
    method = ReviewKD(ReviewKDOptions(warm_up=0.1, during=(0.5, 1)), setting).double()
    losses = [
        method(replace(draw_batch(), progress=progress), *traces())["reviewkd"].item()
        for progress in (0.5, 0.55, 0.6, 0.9)
    ]
    assert np.array(losses) / losses[-1] == pytest.approx([0.05, 0.55, 1, 1], rel=1e-9)


def test_the_deepest_vectors_teach_the_shallowest_map(setting):
    method = ReviewKD(ReviewKDOptions(warm_up=0), setting).double()
    student, teacher = traces()
    last = student.last.clone().requires_grad_()
    maps = [map_.clone().requires_grad_() for map_ in student.stages]
    method(draw_batch(), FakeTrace(maps, last=last), teacher)["reviewkd"].backward()
    assert last.grad.abs().max() > 0
    assert maps[0].grad is None
    assert all(weight.grad.isfinite().all() for weight in method.parameters())


@pytest.mark.parametrize(("narrowing", "width"), [(1, 16), (4, 4), (64, 1)])
def test_maps_are_fused_in_a_share_of_the_last_maps_channels(setting, narrowing, width):
    method = ReviewKD(ReviewKDOptions(narrowing=narrowing), setting)
    assert {fusion.narrow[0].out_channels for fusion in method.fusions} == {width}


def test_a_stage_that_is_not_there(setting):
    with pytest.raises(RecipeError, match=r"methods\.reviewkd\.stages"):
        ReviewKD(ReviewKDOptions(stages=((1, 1), (7, 2))), setting)
