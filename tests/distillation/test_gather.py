"""Two real processes over gloo give the loss and the gradients of one process on the joint batch."""

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from hviskd.distillation import HVisKD, HVisKDOptions, Setting
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeShapes, FakeTrace, draw_batch, draw_trace


class Learner(nn.Module):
    """A student of one learned factor a stage, and the method, as one module for data-parallel training."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.factors = nn.Parameter(torch.linspace(0.5, 1.5, len(SHAPES_STUDENT), dtype=torch.float64))
        setting = Setting(FakeShapes(SHAPES_STUDENT), FakeShapes(SHAPES_TEACHER), 5, torch.zeros(1))
        self.method = HVisKD(HVisKDOptions(), setting).double()
        with torch.no_grad():
            self.method.sample_scale.raw.fill_(0.2)
            self.method.region_scale.raw.fill_(-0.1)

    def forward(self, rows):
        student, teacher = (
            draw_trace(shapes, samples=8, seed=seed, dtype=torch.float64)
            for shapes, seed in ((SHAPES_STUDENT, 1), (SHAPES_TEACHER, 2))
        )
        ours = [factor * map_[rows] for factor, map_ in zip(self.factors, student.stages, strict=True)]
        theirs = [map_[rows] for map_ in teacher.stages]
        return self.method(draw_batch(), FakeTrace(ours, None, None), FakeTrace(theirs, None, None))


def gradients(learner, module, rows):
    losses = module(rows)
    # Weights that differ, so that a mix-up between terms shows.
    torch.stack([weight * loss for weight, loss in enumerate(losses.values(), start=1)]).sum().backward()
    values = torch.stack([loss.detach() for loss in losses.values()])
    return values, {name: weight.grad for name, weight in learner.named_parameters() if weight.grad is not None}


def one_of_two(rank, port, results):
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    learner = Learner()
    rows = torch.arange(8)[rank * 4 : rank * 4 + 4]
    values, grads = gradients(learner, DistributedDataParallel(learner, find_unused_parameters=True), rows)
    if rank == 0:
        torch.save({"values": values, "grads": grads}, results)
    distributed.barrier()
    distributed.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    results = tmp_path / "rank0.pt"
    multiprocessing.spawn(one_of_two, args=(port, results), nprocs=2)
    two = torch.load(results, weights_only=True)
    learner = Learner()
    values, grads = gradients(learner, learner, torch.arange(8))
    assert two["values"].tolist() == pytest.approx(values.tolist(), rel=1e-12)
    assert two["grads"].keys() == grads.keys()
    for name, grad in grads.items():
        torch.testing.assert_close(two["grads"][name], grad, rtol=1e-9, atol=1e-12)
