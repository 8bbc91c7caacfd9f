"""KDSVD against NumPy's singular value decomposition, its gradient against numerical ones."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from hviskd.distillation import Setting
from hviskd.distillation.methods.kdsvd import KDSVD, KDSVDOptions, main_directions
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeShapes, FakeTrace, draw_batch, draw_trace

TEACHER = [(4, 9, 9), (6, 8, 8), (8, 6, 6), (8, 5, 5)]
STUDENT = [(4, 9, 9), (6, 8, 8), (8, 6, 6), (8, 5, 5)]
NARROW = [(4, 9, 9), (5, 8, 8), (7, 6, 6), (9, 5, 5)]


def directions(tile, variant, count):
    """The tile's first right singular vectors as rows, and its normalised singular values."""
    matrix = tile.reshape(len(tile), -1).T if variant == "rep" else tile.reshape(-1, tile.shape[2])
    _, values, vectors = np.linalg.svd(matrix, full_matrices=False)
    return vectors[:count], values[:count] / np.linalg.norm(values[:count])


def written_out(student, teacher, variant, count):
    total = 0.0
    for ours, theirs in zip(student, teacher, strict=True):  # tiles, each a list of stages
        matched = []
        for mine, its in zip(ours, theirs, strict=True):
            target, strength = directions(its, variant, count)
            target = [v * np.sign(v.sum()) for v in target]
            candidates, _ = directions(mine, variant, count + 3)
            chosen = [max(candidates, key=lambda c, v=v: abs(c @ v)) for v in target]
            chosen = [c * np.sign(c @ v) for c, v in zip(chosen, target, strict=True)]
            matched.append([(c * s, v * s) for c, v, s in zip(chosen, target, strength, strict=True)])
        for before, after in pairwise(matched):
            for (c_before, v_before), (c, v) in zip(before, after, strict=True):
                ours_kernel = np.exp(-((c[:, None] - c_before[None]) ** 2) / 8)
                theirs_kernel = np.exp(-((v[:, None] - v_before[None]) ** 2) / 8)
                total += ((ours_kernel - theirs_kernel) ** 2).sum()
    return total / len(student)


def by_tile(trace, stages=(1, 2, 3)):
    return [[trace.stages[stage][tile].numpy() for stage in stages] for tile in range(len(trace.stages[0]))]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("variant", "shapes"), [("rep", STUDENT), ("md", NARROW)])
def test_the_loss_is_that_of_the_singular_vectors(variant, shapes, count):
    setting = Setting(FakeShapes(shapes), FakeShapes(TEACHER), 5, torch.zeros(1))
    method = KDSVD(KDSVDOptions(variant=variant, vectors=count), setting)
    student, teacher = (draw_trace(s, seed=seed, dtype=torch.float64) for s, seed in ((shapes, 1), (TEACHER, 2)))
    loss = method(draw_batch(), student, teacher)["kdsvd"]
    assert loss.item() == pytest.approx(written_out(by_tile(student), by_tile(teacher), variant, count), rel=1e-7)


@pytest.mark.parametrize("variant", ["rep", "md"])
def test_equal_maps_cost_nothing_with_a_finite_gradient(variant):
    setting = Setting(FakeShapes(STUDENT), FakeShapes(TEACHER), 5, torch.zeros(1))
    trace = draw_trace(TEACHER)
    student = [maps.clone().requires_grad_() for maps in trace.stages]
    loss = KDSVD(KDSVDOptions(variant=variant), setting)(draw_batch(), FakeTrace(student), trace)["kdsvd"]
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-9)
    assert all(maps.grad.isfinite().all() for maps in student[1:])


def test_the_gradient_is_the_numerical_one_where_singular_values_are_apart():
    generator = np.random.default_rng(0)
    left, right = (np.linalg.qr(generator.normal(size=(16, 6)))[0], np.linalg.qr(generator.normal(size=(6, 6)))[0])
    apart = (left * [9, 7, 5, 3, 2, 1]) @ right.T  # pixels × channels
    student = torch.from_numpy(apart.T.reshape(1, 6, 4, 4).copy()).requires_grad_()
    teacher = torch.from_numpy(generator.normal(size=(1, 6, 4, 4)))
    probe = torch.from_numpy(generator.normal(size=(1, 6, 1)))

    def along_probe(maps):
        return (main_directions(maps, teacher, 1, "rep")[0] * probe).sum()

    along_probe(student).backward()
    numerical = torch.zeros_like(student)
    step = 1e-6
    for position in np.ndindex(*student.shape):
        moved = [student.detach().clone(), student.detach().clone()]
        moved[0][position] += step
        moved[1][position] -= step
        numerical[position] = (along_probe(moved[0]) - along_probe(moved[1])) / (2 * step)
    torch.testing.assert_close(student.grad, numerical.detach(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_maps_without_structure_have_a_finite_gradient(value):
    setting = Setting(FakeShapes(STUDENT), FakeShapes(TEACHER), 5, torch.zeros(1))
    student = [torch.full((6, *shape), value).requires_grad_() for shape in STUDENT]
    loss = KDSVD(KDSVDOptions(), setting)(draw_batch(), FakeTrace(student), draw_trace(TEACHER))["kdsvd"]
    loss.backward()
    assert loss.isfinite()
    assert all(maps.grad.isfinite().all() for maps in student[1:])


def test_a_diverged_network_gives_a_loss_that_is_not_a_number():
    setting = Setting(FakeShapes(STUDENT), FakeShapes(TEACHER), 5, torch.zeros(1))
    student = draw_trace(STUDENT)
    student.stages[2][0] = float("inf")
    assert KDSVD(KDSVDOptions(), setting)(draw_batch(), student, draw_trace(TEACHER))["kdsvd"].isnan()


@pytest.mark.parametrize(
    ("options", "student", "message"),
    [
        ({}, NARROW, r"teacher stage 1 has 6 channels and student stage 1 5, .* variant: md"),
        ({"variant": "md", "vectors": 3}, NARROW, r"pair 3, 3 has 5 singular vectors, and 6 are needed"),
        ({"stages": ((0, 0), (3, 3)), "vectors": 2}, STUDENT, r"pair 0, 0 has 4 singular vectors"),
    ],
)
def test_stages_that_cannot_be_compared_are_refused(options, student, message):
    with pytest.raises(RecipeError, match=message):
        KDSVD(KDSVDOptions(**options), Setting(FakeShapes(student), FakeShapes(TEACHER), 5, torch.zeros(1)))


def test_maps_of_different_sizes_are_averaged_to_the_smaller():
    setting = Setting(FakeShapes(SHAPES_STUDENT), FakeShapes(SHAPES_TEACHER), 5, torch.zeros(1))
    student, teacher = draw_trace(SHAPES_STUDENT, seed=1), draw_trace(SHAPES_TEACHER, seed=2)
    options = KDSVDOptions(variant="md", stages=((0, 0), (1, 1), (2, 2)))
    assert KDSVD(options, setting)(draw_batch(), student, teacher)["kdsvd"].isfinite()
