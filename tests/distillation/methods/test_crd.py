"""CRD contrasts a tile with tiles of other classes, in two memories that a checkpoint keeps."""

import numpy as np
import pytest
import torch

from hviskd.distillation import Batch, Setting
from hviskd.distillation.contrast import Contrast, negatives_within
from hviskd.distillation.methods.crd import CRD, CRDOptions
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeShapes, draw_batch, draw_trace


def contrast(labels, widths=(16, 16), width=8):
    torch.manual_seed(0)
    return Contrast(widths, labels, width=width, momentum=0.5).double()


def unit(rows, seed):
    drawn = np.random.default_rng(seed).normal(size=(rows, 8))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_the_loss_is_that_of_the_formula_written_out():
    labels = torch.arange(40) % 4
    module = contrast(labels)
    teacher, student, tau = unit(6, 1), unit(6, 2), 0.07
    index = torch.arange(6)
    rows = module.draw(index, labels[index], 10, same_class=False)
    memories = {"s": module.teacher_memory.numpy().copy(), "t": module.student_memory.numpy().copy()}
    expected = 0.0
    for anchor, memory in ((student, memories["s"]), (teacher, memories["t"])):
        powers = np.array([[np.exp(anchor[b] @ memory[row] / tau) for row in rows[b]] for b in range(6)])
        z = powers.mean() * 40
        noise = 10 / 40
        for b in range(6):
            h = powers[b] / z / (powers[b] / z + noise)
            expected -= (np.log(h[0]) + np.log(1 - h[1:]).sum()) / 6
    loss = module(torch.from_numpy(teacher), torch.from_numpy(student), index, rows, tau)
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    assert module.partition[0].isfinite()


def test_the_partition_is_that_of_the_first_batch_for_ever():
    labels = torch.arange(40) % 4
    module = contrast(labels)
    index = torch.arange(6)
    for seed in (1, 2):
        rows = module.draw(index, labels[index], 10, same_class=False)
        module(torch.from_numpy(unit(6, seed)), torch.from_numpy(unit(6, seed + 9)), index, rows, 0.07)
        if seed == 1:
            first = module.partition.clone()
    assert torch.equal(module.partition, first)


def test_negatives_are_of_other_classes_evenly_and_the_positive_is_the_tile():
    labels = torch.tensor([0] * 3 + [1] * 20 + [2] * 7)[torch.randperm(30, generator=torch.Generator().manual_seed(3))]
    module = contrast(labels)
    index = torch.arange(30)
    torch.manual_seed(1)
    rows = module.draw(index, labels, 2000, same_class=False)
    assert torch.equal(rows[:, 0], index)
    assert (labels[rows[:, 1:]] != labels[:, None]).all()
    for tile in range(30):
        counts = torch.bincount(rows[tile, 1:], minlength=30)[labels != labels[tile]]
        expected = 2000 / len(counts)
        assert ((counts - expected).abs() < 6 * expected**0.5).all()


def test_any_tile_of_the_class_may_be_the_positive():
    labels = torch.arange(30) % 3
    module = contrast(labels)
    index = torch.arange(30)
    torch.manual_seed(1)
    positive = module.draw(index, labels, 1, same_class=True)[:, 0]
    assert torch.equal(labels[positive], labels)
    assert (positive != index).any()


def test_memories_move_half_way_and_stay_of_unit_length():
    labels = torch.arange(12) % 3
    module = contrast(labels)
    before = module.teacher_memory.clone()
    index = torch.tensor([4, 7])
    seen = torch.from_numpy(unit(2, 5))
    rows = module.draw(index, labels[index], 4, same_class=False)
    module(seen, seen, index, rows, 0.07)
    expected = 0.5 * before[index] + 0.5 * seen
    expected = expected.numpy() / np.linalg.norm(expected.numpy(), axis=1, keepdims=True)
    assert module.teacher_memory[index].numpy() == pytest.approx(expected)
    untouched = torch.ones(12, dtype=torch.bool)
    untouched[index] = False
    assert torch.equal(module.teacher_memory[untouched], before[untouched])
    torch.testing.assert_close(module.teacher_memory.norm(dim=1), torch.ones(12, dtype=torch.float64))


def test_as_many_negatives_as_the_largest_class_leaves():
    labels = torch.tensor([0] * 3 + [1] * 20 + [2] * 7)
    assert negatives_within(16384, labels) == 10
    assert negatives_within(4, labels) == 4


def test_a_checkpoint_brings_back_memories_partition_and_the_same_loss(setting):
    torch.manual_seed(0)
    method = CRD(CRDOptions(width=8, negatives=20), setting)
    student, teacher, batch = draw_trace(SHAPES_STUDENT), draw_trace(SHAPES_TEACHER, seed=1), draw_batch()
    method(batch, student, teacher)
    restored = CRD(CRDOptions(width=8, negatives=20), setting)
    restored.load_state_dict(method.state_dict())
    losses = []
    for one in (method, restored):
        torch.manual_seed(5)
        losses.append(one(batch, student, teacher)["crd"].item())
    assert losses[0] == losses[1]


def test_both_embeddings_learn_and_a_step_brings_positives_nearer():
    labels = torch.arange(12) % 3
    setting = Setting(FakeShapes(SHAPES_STUDENT), FakeShapes(SHAPES_TEACHER), 3, labels)
    torch.manual_seed(0)
    method = CRD(CRDOptions(width=8, negatives=6), setting)
    student, teacher = draw_trace(SHAPES_STUDENT, samples=12), draw_trace(SHAPES_TEACHER, samples=12, seed=1)
    batch = Batch(torch.zeros(12, 3, 4, 4), labels, torch.arange(12))
    optimizer = torch.optim.Adam(method.parameters(), lr=0.01)

    def agreement():
        theirs, ours = method.contrast.embedded(teacher.embedding, student.embedding)
        return (theirs * ours).sum(dim=1).mean().item()

    before = agreement()
    for _ in range(60):
        method(batch, student, teacher)["crd"].backward()
        assert all((weight.grad != 0).any() for weight in method.parameters())
        optimizer.step()
        optimizer.zero_grad()
    assert agreement() > before + 0.3
