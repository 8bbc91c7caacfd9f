"""Relation to a memory, against NumPy: axes, anchors, the divergence; what is remembered and restored."""

import copy

import numpy as np
import pytest
import torch

from hviskd.distillation import Setting
from hviskd.distillation.methods.memory import Memory, MemoryOptions, principal_axes
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeShapes, draw_batch, draw_trace

CHANNELS = SHAPES_TEACHER[-1][0]


def stored(rows=90, seed=0):
    rng = np.random.default_rng(seed)
    return 3 + rng.standard_normal((rows, CHANNELS)) @ rng.standard_normal((CHANNELS, CHANNELS))


def in_chunks(vectors):
    return lambda: (torch.from_numpy(part) for part in np.array_split(vectors, 4))


def method(seed=0, vectors=None, **options):
    torch.manual_seed(seed)
    setting = Setting(
        FakeShapes(SHAPES_STUDENT), FakeShapes(SHAPES_TEACHER), num_classes=5, labels=torch.arange(60) % 5
    )
    made = Memory(MemoryOptions(**options), setting).double()
    made.remember(in_chunks(stored() if vectors is None else vectors))
    return made


def pair(seed=1):
    return (
        draw_trace(SHAPES_STUDENT, seed=seed, dtype=torch.float64),
        draw_trace(SHAPES_TEACHER, seed=seed + 50, dtype=torch.float64),
    )


def projected(vectors, every, width):
    """By NumPy's singular values of the standardised vectors; axes with their largest entry positive."""
    mean, deviation = every.mean(axis=0), every.std(axis=0)
    _, _, axes = np.linalg.svd((every - mean) / deviation, full_matrices=False)
    axes = axes[:width].T
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(width)])
    found = (vectors - mean) / deviation @ axes
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("width", [5, 128])
def test_the_loss_is_that_of_numpy(width):
    every, (student, teacher) = stored(), pair()
    made = method(width=width, anchors=20)
    torch.manual_seed(7)
    found = made(draw_batch(), student, teacher)["memory"].item()
    torch.manual_seed(7)
    kept = min(width, CHANNELS)
    anchors = projected(every, every, kept)[torch.randint(len(every), (20,)).numpy()]
    theirs = projected(teacher.last.numpy().mean(axis=(2, 3)), every, kept)
    ours = student.last.numpy().mean(axis=(2, 3)) @ made.adapter.weight.detach().numpy().T
    ours = ours + made.adapter.bias.detach().numpy()
    ours = ours / np.linalg.norm(ours, axis=1, keepdims=True)
    p, q = softmax(theirs @ anchors.T / 0.1), softmax(ours @ anchors.T / 0.1)
    assert found == pytest.approx((p * np.log(p / q)).sum(axis=1).mean(), rel=1e-8)
    assert made.weights == {"memory": 1.0}


def test_of_many_vectors_a_random_part_is_kept(monkeypatch):
    monkeypatch.setattr("hviskd.distillation.methods.memory._LARGEST_BANK", 30)
    every = stored()
    made = method()
    assert len(made.bank) == 30
    all_of_them = projected(every, every, CHANNELS)
    nearest = (made.bank.numpy() @ all_of_them.T).argmax(axis=1)
    np.testing.assert_allclose(made.bank.numpy(), all_of_them[nearest], atol=1e-9)
    assert len(set(nearest.tolist())) == 30
    assert nearest.max() > 60  # from everywhere


def test_what_a_checkpoint_restores_keeps_its_axes():
    first = method()
    restored = method(seed=9, vectors=stored(seed=5))
    restored.load_state_dict(copy.deepcopy(first.state_dict()))
    restored.remember(in_chunks(stored()))
    losses = []
    for made in (first, restored):
        torch.manual_seed(3)
        losses.append(made(draw_batch(), *pair())["memory"])
    assert torch.equal(*losses)
    restored.remember(in_chunks(stored(seed=5)))
    assert torch.equal(restored.axes, first.axes)


def test_a_constant_channel_counts_for_nothing():
    every = stored()
    every[:, 2] = 7.3
    mean, axes = principal_axes(in_chunks(every)(), CHANNELS)
    assert axes.isfinite().all()
    assert (axes[2] == 0).all()
    assert mean[2].item() == pytest.approx(7.3)


def test_the_student_and_its_adapter_learn_and_the_teacher_gets_no_gradient():
    made, (student, teacher) = method(anchors=16), pair()
    for trace in (student, teacher):
        trace.last.requires_grad_()
    made(draw_batch(), student, teacher)["memory"].backward()
    assert student.last.grad.abs().sum() > 0
    assert teacher.last.grad is None
    assert made.adapter.weight.grad.abs().sum() > 0


def test_a_student_like_its_teacher_loses_nothing():
    made, (student, teacher) = method(anchors=16), pair()
    directions = torch.from_numpy(projected(teacher.last.numpy().mean(axis=(2, 3)), stored(), CHANNELS))
    made.adapter.forward = lambda _: 3 * directions
    assert made(draw_batch(), student, teacher)["memory"].item() == pytest.approx(0, abs=1e-9)


def test_the_controls_match_directions_or_give_each_tile_the_relation_of_another():
    student, teacher = pair()
    made = method(match="cosine")
    ours = student.last.numpy().mean(axis=(2, 3)) @ made.adapter.weight.detach().numpy().T
    ours = ours + made.adapter.bias.detach().numpy()
    ours = ours / np.linalg.norm(ours, axis=1, keepdims=True)
    theirs = projected(teacher.last.numpy().mean(axis=(2, 3)), stored(), CHANNELS)
    expected = 1 - (theirs * ours).sum(axis=1).mean()
    assert made(draw_batch(), student, teacher)["memory"].item() == pytest.approx(expected, rel=1e-8)

    shuffled = method(match="shuffled", anchors=90)
    shuffled.adapter.forward = lambda _: torch.from_numpy(theirs)
    torch.manual_seed(3)
    found = shuffled(draw_batch(), student, teacher)["memory"].item()
    torch.manual_seed(3)
    circle = torch.randperm(len(theirs)).tolist()
    order = [circle[(circle.index(tile) + 1) % len(circle)] for tile in range(len(circle))]  # of each the next
    anchors = projected(stored(), stored(), CHANNELS)[torch.randint(90, (90,)).numpy()]
    p, q = softmax(theirs[order] @ anchors.T / 0.1), softmax(theirs @ anchors.T / 0.1)
    assert found == pytest.approx((p * np.log(p / q)).sum(axis=1).mean(), rel=1e-8)
    assert found > 1e-3  # where its own relation has 0
