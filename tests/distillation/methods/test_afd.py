"""AFD: attention and distances against NumPy, blocks that are chosen, and what does not matter."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax

from hviskd.distillation.methods.afd import AFD, AFDOptions, block_distances
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeTrace, draw_batch, draw_trace
from tests.distillation.methods.by_hand import attention, numbers, pooled

NORMALISED = np.sqrt(1 + 1e-5)  # what a fresh batch normalisation divides by outside training


def traces(dtype=torch.float64):
    return draw_trace(SHAPES_STUDENT, seed=1, dtype=dtype), draw_trace(SHAPES_TEACHER, seed=2, dtype=dtype)


def distances(theirs, ours, *, mean):
    out = np.empty((len(theirs[0]), len(theirs), len(ours)))
    for t, teacher in enumerate(theirs):
        height, width = teacher.shape[2:]
        for s, student in enumerate(ours):
            strong = pooled((student**2).mean(axis=1, keepdims=True), height, width).reshape(len(student), -1)
            apart = attention(teacher) - strong / np.linalg.norm(strong, axis=1, keepdims=True)
            out[:, t, s] = (apart**2).mean(axis=1) if mean else (apart**2).sum(axis=1) / 256
    return out


def through(layer, vectors):
    return (vectors @ numbers(layer[0].weight).T + numbers(layer[0].bias)) / NORMALISED


@pytest.mark.parametrize("variant", ["paper", "public"])
def test_is_the_attended_distance_of_all_pairs_of_blocks(setting, variant):
    method = AFD(AFDOptions(variant=variant, width=6), setting).double().eval()
    student, teacher = traces()
    theirs, ours = ([map_.numpy() for map_ in trace.blocks] for trace in (teacher, student))
    apart = distances(theirs, ours, mean=variant == "public")
    queries = [through(layer, maps.mean(axis=(2, 3))) for layer, maps in zip(method.queries, theirs, strict=True)]
    keys = [through(layer, maps.mean(axis=(2, 3))).clip(0) for layer, maps in zip(method.keys, ours, strict=True)]
    position = numbers(method.teacher_positions) @ numbers(method.student_positions).T
    total = 0.0
    for b in range(6):
        for t in range(3):
            mixed = [through(method.bilinear, key[b])[6 * t : 6 * t + 6] for key in keys]
            affinity = [mixed[s] @ queries[t][b] + position[t, s] for s in range(3)]
            total += softmax(np.array(affinity) / math.sqrt(6)) @ apart[b, t]
    assert method(draw_batch(), student, teacher)["afd"].item() == pytest.approx(total / 6, rel=1e-9)


def test_attention_is_a_distribution_over_the_students_blocks(setting):
    student, teacher = traces(torch.float32)
    attended = AFD(AFDOptions(), setting).attention(teacher.blocks, student.blocks)
    assert attended.shape == (6, 3, 3)
    assert attended.sum(dim=2).detach().numpy() == pytest.approx(1, rel=1e-5)


def test_equal_and_empty_blocks_are_at_no_distance_with_finite_gradients():
    for content in (torch.randn(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)):
        student = content.clone().requires_grad_()
        apart = block_distances([content], [student])
        apart.sum().backward()
        assert apart.abs().max().item() == pytest.approx(0, abs=1e-8)
        assert student.grad.isfinite().all()


def test_a_block_without_any_response_is_one_unit_away_from_any_other():
    apart = block_distances([torch.randn(2, 3, 4, 4)], [torch.zeros(2, 5, 4, 4)])
    assert apart.numpy() == pytest.approx(1 / 256, rel=1e-5)


def test_the_size_of_the_maps_does_not_matter():
    theirs, ours = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 4, 4)
    larger = [maps.repeat_interleave(4, 2).repeat_interleave(4, 3) for maps in (theirs, ours)]
    expected = block_distances([theirs], [ours]).numpy()
    assert block_distances([larger[0]], [larger[1]]).numpy() == pytest.approx(expected, rel=1e-4)
    assert block_distances([larger[0]], [larger[1]], mean=True).numpy() == pytest.approx(expected, rel=1e-4)


def test_blocks_are_taken_as_chosen(setting):
    method = AFD(AFDOptions(teacher_blocks=(0, 2), student_blocks=(1,)), setting)
    student, teacher = traces(torch.float32)
    loss = method(draw_batch(), student, teacher)["afd"]
    kept = replace(teacher, blocks=[teacher.blocks[0], teacher.blocks[1] * 0, teacher.blocks[2]])
    assert method(draw_batch(), student, kept)["afd"] == loss
    expected = block_distances([teacher.blocks[0], teacher.blocks[2]], [student.blocks[1]]).sum(dim=(1, 2)).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)  # one block of the student has all the attention


def test_a_block_that_is_not_there(setting):
    with pytest.raises(RecipeError, match=r"methods\.afd\.teacher_blocks: the teacher has no block 3, only 0 to 2"):
        AFD(AFDOptions(teacher_blocks=(0, 3)), setting)


def test_both_networks_constant(setting):
    maps = [torch.zeros(6, *shape, requires_grad=True) for shape in SHAPES_STUDENT[1:]]
    method = AFD(AFDOptions(), setting)
    teacher = FakeTrace([], blocks=[torch.zeros(6, *shape) for shape in SHAPES_TEACHER[1:]])
    method(draw_batch(), FakeTrace([], blocks=maps), teacher)["afd"].backward()
    assert all(learned.grad.isfinite().all() for learned in [*maps, *method.parameters()])
