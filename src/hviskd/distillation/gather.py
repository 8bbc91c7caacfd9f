"""Lets a loss over the batch use the joint batch of several processes.

With every process computing the same loss on the joint batch, the gathered tensor's gradient comes back summed
over the processes and data-parallel training divides it by their number again: the parameters get exactly the
gradient of one process on the joint batch.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, distributed


class Gathering:
    """(B, …) of every process on its way to (processes · B, …), in order of rank, while this process goes on.

    What is computed between its start and `joint` overlaps with the sending; on the way back, the gradient is sent
    while everything that was computed in between is differentiated.

    Args:
        local: This process's part; B must be the same in all.
    """

    def __init__(self, local: Tensor) -> None:
        self._flight = _Flight() if _several_processes() else None
        self._local = local if self._flight is None else _Depart.apply(local.contiguous(), self._flight)

    def joint(self) -> Tensor:
        """Wait for the other processes' parts, and return all."""
        whole: Tensor = self._local if self._flight is None else _Arrive.apply(self._local, self._flight)
        return whole


def gather_batch(local: Tensor) -> Tensor:
    """Join (B, …) of every process to (processes · B, …), in order of rank; B must be the same in all."""
    return Gathering(local).joint()


def joint_norm(local: Tensor) -> Tensor:
    """Return the L2 norm over all entries of every process's tensor; its gradient at zero is zero."""
    norm = torch.linalg.vector_norm(local)
    if not _several_processes():
        return norm
    return torch.linalg.vector_norm(gather_batch(norm[None]))


def _several_processes() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


@dataclass
class _Flight:
    """What is being sent: the parts on the way there, the gradient of all of them on the way back."""

    sent: list[Tensor] = field(default_factory=list)
    work: distributed.Work | None = None

    def land(self) -> list[Tensor]:
        """Wait until everything is here, and return it."""
        assert self.work is not None
        self.work.wait()
        landed, self.sent, self.work = self.sent, [], None
        return landed


class _Depart(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, local: Tensor, flight: _Flight) -> Tensor:
        ctx.flight = flight  # type: ignore[attr-defined]
        flight.sent = [torch.empty_like(local) for _ in range(distributed.get_world_size())]
        flight.work = distributed.all_gather(flight.sent, local, async_op=True)
        return local.view_as(local)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        ctx.flight.land()  # type: ignore[attr-defined]
        return grads[0], None


class _Arrive(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, local: Tensor, flight: _Flight) -> Tensor:  # noqa: ARG004
        ctx.flight = flight  # type: ignore[attr-defined]
        return torch.cat(flight.land())

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        """Return this process's part of a sum that is still on its way; `_Depart` alone reads it, when it is there."""
        flight: _Flight = ctx.flight  # type: ignore[attr-defined]
        joint = grads[0].contiguous()
        flight.sent = [joint]
        flight.work = distributed.all_reduce(joint, async_op=True)
        return joint.chunk(distributed.get_world_size())[distributed.get_rank()], None
