"""Lets a loss over the batch use the joint batch of several processes.

With every process computing the same loss on the joint batch, the gathered tensor's gradient comes back summed
over the processes and data-parallel training divides it by their number again: the parameters get exactly the
gradient of one process on the joint batch.
"""

import torch
from torch import Tensor, distributed


def gather_batch(local: Tensor) -> Tensor:
    """Join (B, …) of every process to (processes · B, …), in order of rank; B must be the same in all."""
    if not _several_processes():
        return local
    return _Gather.apply(local.contiguous())


def joint_norm(local: Tensor) -> Tensor:
    """Return the L2 norm over all entries of every process's tensor; its gradient at zero is zero."""
    norm = torch.linalg.vector_norm(local)
    if not _several_processes():
        return norm
    return torch.linalg.vector_norm(gather_batch(norm[None]))


def _several_processes() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, local: Tensor) -> Tensor:  # noqa: ARG004
        parts = [torch.empty_like(local) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, local)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:  # noqa: ARG004
        joint = grads[0].contiguous()
        distributed.all_reduce(joint)
        return joint.chunk(distributed.get_world_size())[distributed.get_rank()]
