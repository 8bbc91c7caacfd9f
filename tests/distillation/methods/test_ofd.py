"""OFD: the partial distance, the margins that it learns from the teacher, and its scale."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hviskd.distillation.methods.ofd import OFD, OFDOptions, negative_mean, partial_distance
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeTrace, draw_batch, draw_trace
from tests.distillation.methods.by_hand import mixed, numbers, of_one_size


def maps(seed, shape=(2, 3, 4, 4)):
    return np.random.default_rng(seed).normal(size=shape)


def partial(teacher, student, margin):
    """The authors' three cases, entry by entry."""
    total = 0.0
    for b, c, y, x in np.ndindex(teacher.shape):
        target, s = max(teacher[b, c, y, x], margin[c]), student[b, c, y, x]
        if not s <= target <= 0:
            total += (target - s) ** 2
    return total / len(teacher)


def negatives(teacher):
    return np.array([channel[channel < 0].mean() for channel in np.moveaxis(teacher, 1, 0)])


def test_partial_distance_is_that_of_the_three_cases():
    teacher, student, margin = maps(1), maps(2), np.array([-0.5, -0.1, 0.0])
    measured = partial_distance(*map(torch.from_numpy, (teacher, student, margin)))
    assert measured.item() == pytest.approx(partial(teacher, student, margin), rel=1e-12)


def test_what_is_inactive_in_both_costs_nothing():
    teacher, margin = -maps(1).__abs__(), np.array([-0.3, -0.3, -0.3])
    student = np.minimum(np.maximum(teacher, margin[:, None, None]), 0) - 0.01
    assert partial_distance(*map(torch.from_numpy, (teacher, student, margin))).item() == 0


def test_margins_are_the_running_mean_of_the_negative_responses(setting):
    method = OFD(OFDOptions(stages=((3, 1),)), setting).double()
    seen = []
    for seed in range(4):
        student, teacher = (
            draw_trace(shapes, seed=seed, dtype=torch.float64) for shapes in (SHAPES_STUDENT, SHAPES_TEACHER)
        )
        method(draw_batch(), student, teacher)
        seen.append(negatives(of_one_size(teacher.stages[3].numpy(), student.stages[1].numpy())[0]))
    assert method.margins[0].mean.numpy() == pytest.approx(np.mean(seen, axis=0), rel=1e-9)


def test_a_channel_without_negative_responses_keeps_its_margin():
    teacher = maps(1)
    teacher[:, 1] = abs(teacher[:, 1])
    means, seen = negative_mean(torch.from_numpy(teacher))
    assert seen.tolist() == [1, 0, 1]
    assert means[1] == 0


def test_a_checkpoint_holds_the_margins(setting):
    first, second = OFD(OFDOptions(), setting), OFD(OFDOptions(), setting)
    first(draw_batch(), draw_trace(SHAPES_STUDENT), draw_trace(SHAPES_TEACHER))
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.margins[2].mean, first.margins[2].mean)
    assert (second.margins[2].mean < 0).all()


def test_deeper_pairs_count_twice_as_much(setting):
    method = OFD(OFDOptions(rescaled=False), setting).double().eval()  # normalisation as it starts: close to nothing
    student, teacher = (
        draw_trace(SHAPES_STUDENT, dtype=torch.float64),
        draw_trace(SHAPES_TEACHER, seed=1, dtype=torch.float64),
    )
    expected = 0.0
    for position, stage in enumerate((1, 2, 3)):
        theirs, ours = of_one_size(teacher.stages[stage].numpy(), student.stages[stage].numpy())
        adapted = mixed(ours, numbers(method.connectors[position][0].weight)) / np.sqrt(1 + 1e-5)
        expected += (1 / 4, 1 / 2, 1)[position] * partial(theirs, adapted, negatives(theirs))
    assert method(draw_batch(), student, teacher)["ofd"].item() == pytest.approx(expected, rel=1e-9)


def test_the_published_weight_holds_for_any_size_of_image(setting):
    student, teacher = draw_trace(SHAPES_STUDENT), draw_trace(SHAPES_TEACHER, seed=1)
    losses = {}
    for image_px, rescaled in ((32, True), (32, False), (64, True), (64, False)):
        batch = replace(draw_batch(), images=torch.zeros(6, 3, image_px, image_px))
        torch.manual_seed(0)
        method = OFD(OFDOptions(rescaled=rescaled), setting)
        losses[image_px, rescaled] = method(batch, student, teacher)["ofd"].item()
    assert losses[32, True] == losses[32, False] == losses[64, False]
    assert losses[64, True] == pytest.approx(losses[32, True] / 4, rel=1e-6)


def test_reads_the_maps_before_activation(setting):
    method = OFD(OFDOptions(), setting)
    student, teacher = draw_trace(SHAPES_STUDENT), draw_trace(SHAPES_TEACHER, seed=1)
    before = method(draw_batch(), student, teacher)["ofd"].item()
    active = [replace(trace, stages=[map_.relu() for map_ in trace.stages]) for trace in (student, teacher)]
    again = OFD(OFDOptions(), setting)
    again.load_state_dict(method.state_dict())
    for margin in again.margins:
        nn.init.zeros_(margin.batches)
    assert again(draw_batch(), *active)["ofd"].item() == pytest.approx(before, rel=1e-6)


def test_gradients_are_finite_on_constant_maps(setting):
    zeros = [torch.zeros(6, *shape, requires_grad=True) for shape in SHAPES_STUDENT]
    teacher = [torch.zeros(6, *shape) for shape in SHAPES_TEACHER]
    method = OFD(OFDOptions(), setting)
    loss = method(draw_batch(), FakeTrace(zeros, preactivations=zeros), FakeTrace(teacher, preactivations=teacher))[
        "ofd"
    ]
    loss.backward()
    assert all(map_.grad.isfinite().all() for map_ in zeros[1:])


def test_a_stage_that_is_not_there(setting):
    with pytest.raises(RecipeError, match=r"methods\.ofd\.stages"):
        OFD(OFDOptions(stages=((1, -1),)), setting)
