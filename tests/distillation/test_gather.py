"""Every method that relates tiles to each other gives two processes the loss and gradient of the joint batch."""

import time

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from hviskd.distillation import Batch, Setting, build_methods, resolve_methods
from hviskd.distillation.gather import Gathering
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeShapes, FakeTrace, draw_trace
from tests.processes import free_port, start

RELATING = (
    {"hviskd": {}, "dist": {}, "sp": {}, "rkd": {}, "pkt": {}, "cc": {}, "ofd": {}, "tofd": {}, "token_kl": {}},
    {"cc": {"variant": "public"}},
)
TILES = 8
LATE_S = 1.0


class Learner(nn.Module):
    """A student of one learned factor per stage and per channel, and methods, as one data-parallel module."""

    def __init__(self, wanted):
        super().__init__()
        torch.manual_seed(0)
        self.stages = nn.Parameter(torch.linspace(0.5, 1.5, len(SHAPES_STUDENT), dtype=torch.float64))
        self.channels = nn.Parameter(torch.linspace(0.5, 1.5, SHAPES_STUDENT[-1][0], dtype=torch.float64))
        self.scores = nn.Parameter(torch.linspace(0.5, 1.5, 5, dtype=torch.float64))
        setting = Setting(FakeShapes(SHAPES_STUDENT), FakeShapes(SHAPES_TEACHER), 5, torch.zeros(1))
        # Each process normalises its own part of a batch while it learns; evaluation leaves that out.
        self.methods = build_methods(resolve_methods(wanted), setting).double().eval()
        if "hviskd" in wanted:  # which normalises nothing by the batch
            self.methods["hviskd"].train()
            with torch.no_grad():
                self.methods["hviskd"].sample_scale.raw.fill_(0.2)
                self.methods["hviskd"].region_scale.raw.fill_(-0.1)

    def forward(self, rows):
        student, teacher = (
            draw_trace(shapes, samples=TILES, seed=seed, dtype=torch.float64)
            for shapes, seed in ((SHAPES_STUDENT, 1), (SHAPES_TEACHER, 2))
        )
        ours = [factor * maps[rows] for factor, maps in zip(self.stages, student.stages, strict=True)]
        last = ours[-1] = ours[-1] * self.channels[:, None, None]
        ours = FakeTrace(ours, logits=student.logits[rows] * self.scores, preactivations=ours, last=last)
        theirs = [maps[rows] for maps in teacher.stages]
        theirs = FakeTrace(theirs, logits=teacher.logits[rows], preactivations=theirs, last=theirs[-1])
        batch = Batch(torch.zeros(len(rows), 3, 4, 4), rows % 5, rows, progress=0.5)
        return [loss for method in self.methods.values() for loss in method(batch, ours, theirs).values()]


def measured(learner, module, rows):
    losses = module(rows)
    # Weights that differ, so that a mix-up between terms shows.
    torch.stack([weight * loss for weight, loss in enumerate(losses, start=1)]).sum().backward()
    grads = {name: weight.grad for name, weight in learner.named_parameters() if weight.grad is not None}
    losses = torch.stack([loss.detach() for loss in losses])
    own = losses.clone()
    if distributed.is_initialized():  # a mean over tiles is known to all processes together alone
        distributed.all_reduce(losses, distributed.ReduceOp.SUM)
        losses /= distributed.get_world_size()
    return {"losses": losses, "own": own, **grads}


def one_of_two(rank, port, results):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    rows = torch.arange(TILES)[rank * 4 : rank * 4 + 4]
    found = []
    for wanted in RELATING:
        learner = Learner(wanted)
        found.append(measured(learner, DistributedDataParallel(learner, find_unused_parameters=True), rows))
    found.append({"waited": waited(rank)})
    if rank == 0:
        torch.save(found, results)
    distributed.barrier()
    distributed.destroy_process_group()


def waited(rank):
    """Return whether a process waited for the other's part while it started, was at its own work, and at the end."""
    own = torch.ones(2, 3, requires_grad=True)
    there, back = [], []
    distributed.barrier()
    if rank:
        time.sleep(LATE_S)
    begun = time.monotonic()
    gathering = Gathering(own)
    there.append(time.monotonic() - begun)
    between = Between.apply(own, back)
    joint = gathering.joint()
    there.append(time.monotonic() - begun)
    if rank:
        time.sleep(LATE_S)
    begun = time.monotonic()
    (between.sum() + (2 * joint).sum()).backward()
    assert own.grad.tolist() == [[5.0] * 3] * 2  # 1 of its own, and 2 from each of two processes
    return torch.tensor([*there, back[0] - begun, time.monotonic() - begun])


class Between(torch.autograd.Function):
    """Work between start and end of a gathering, which notes when it is differentiated."""

    @staticmethod
    def forward(ctx, own, back):
        ctx.back = back
        return own.view_as(own)

    @staticmethod
    def backward(ctx, grad):
        ctx.back.append(time.monotonic())
        return grad, None


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    port = free_port()
    both = [start(one_of_two, rank, port, tmp_path / "rank0.pt") for rank in range(2)]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    *losses, last = torch.load(tmp_path / "rank0.pt", weights_only=True)
    begun, there, between, back = last["waited"].tolist()
    assert begun < LATE_S / 2 < there  # it starts at once, and goes on; only the end needs the other process
    assert between < LATE_S / 2 < back
    for two, wanted in zip(losses, RELATING, strict=True):
        learner = Learner(wanted)
        one = measured(learner, learner, torch.arange(TILES))
        assert two.keys() == one.keys()
        if "hviskd" in wanted:  # its four terms come first, and every process knows the whole of them
            assert two["own"][:4].tolist() == pytest.approx(one["own"][:4].tolist(), rel=1e-12)
        assert two["losses"].tolist() == pytest.approx(one["losses"].tolist(), rel=1e-12)
        for name in one.keys() - {"own"}:
            torch.testing.assert_close(two[name], one[name], rtol=1e-9, atol=1e-12)
