"""Batch normalisation by the joint batch of several processes, so that they train the weights of one."""

import torch
from torch import Tensor, distributed, nn

from hviskd.distillation.gather import gather_batch


class JointBatchNorm2d(nn.BatchNorm2d):
    """Normalises (B, C, H, W) by mean and variance over every process's part; the parts must be of one size.

    torch's own, `SyncBatchNorm`, runs on GPUs alone.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise; in evaluation mode as `BatchNorm2d`."""
        if not self.training:
            return super().forward(maps)
        wide = maps.float()
        mean = _over_processes(wide.mean(dim=(0, 2, 3)))
        deviations = wide - mean[:, None, None]
        variance = _over_processes(deviations.square().mean(dim=(0, 2, 3)))
        self._remember(mean.detach(), variance.detach(), distributed.get_world_size() * maps[:, 0].numel())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (deviations * scale[:, None, None] + self.bias[:, None, None]).to(maps.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Let the running statistics follow those of a batch of `count` values a channel, as `BatchNorm2d` does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)


def join_batch_norms(module: nn.Module, device: torch.device) -> None:
    """Let every plain batch normalisation within a module see the joint batch of all processes."""
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                joint = JointBatchNorm2d(child.num_features, child.eps, child.momentum)
                joint.load_state_dict(child.state_dict())
                joint.weight, joint.bias = child.weight, child.bias
                setattr(parent, name, joint.train(child.training))


def _over_processes(local: Tensor) -> Tensor:
    """Return the mean over processes of a vector (C,) that each has."""
    return gather_batch(local[None]).mean(dim=0)
