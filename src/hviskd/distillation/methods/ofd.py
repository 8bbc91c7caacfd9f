"""OFD (Heo et al., ICCV 2019): before activation, the student matches what passes the teacher's activation."""

import torch
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.gather import gather_batch
from hviskd.distillation.method import Setting
from hviskd.distillation.preactivations import PreactivationMethod, PreactivationOptions
from hviskd.distillation.precision import full_precision


class OFDOptions(PreactivationOptions):
    """The authors' weight on CIFAR, for a sum over channels and pixels."""

    weight: float = Field(default=1e-3, ge=0, allow_inf_nan=False)


class OFD(PreactivationMethod):
    """Partial L2 distance between a margin ReLU of the teacher and the adapted student, both before activation.

    The margin of a channel is the mean of the teacher's negative responses. The authors work it out from the batch
    normalisation in front of the activation; here it is the running mean over the batches seen so far, for not every
    network has such a layer there.
    """

    name = "ofd"
    Options = OFDOptions
    reads_labels = False

    def __init__(self, options: OFDOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        self.margins = nn.ModuleList(_Margin(theirs[0]) for theirs, _ in self.shapes)

    def distance(self, position: int, teacher: Tensor, student: Tensor) -> Tensor:
        """Return the partial distance, and update the pair's margin with the batch."""
        return partial_distance(teacher, student, self.margins[position](teacher))


class _Margin(nn.Module):
    """The running mean of a teacher's negative responses per channel; 0 until a channel has had one."""

    mean: Tensor
    batches: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("batches", torch.zeros(width))

    @torch.no_grad()
    def forward(self, theirs: Tensor) -> Tensor:
        """Update with a batch's maps (B, C, H, W), of all processes, and return the margins (C,)."""
        of_batch, seen = negative_mean(theirs)
        self.batches += seen
        margin = self.mean + seen * (of_batch - self.mean) / self.batches.clamp(min=1)
        self.mean.copy_(margin)
        return margin


@full_precision
def negative_mean(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return each channel's mean (C,) of negative entries of maps (B, C, H, W), and 1 if it has any, else 0."""
    below = (maps < 0).sum(dim=(0, 2, 3)).to(maps.dtype)
    total = maps.clamp(max=0).sum(dim=(0, 2, 3))
    total, below = gather_batch(torch.stack([total, below])[None]).sum(dim=0)
    return total / below.clamp(min=1), below.clamp(max=1)


@full_precision
def partial_distance(teacher: Tensor, student: Tensor, margin: Tensor) -> Tensor:
    """Return the sum over channels and pixels of (max(t, m) − s)², mean over the batch, for maps (B, C, H, W).

    Where the target is not positive and the student is at or below it, nothing counts: both are inactive.
    """
    target = torch.maximum(teacher, margin[:, None, None])
    counts = (student > target) | (target > 0)
    return ((target - student).square() * counts).sum() / len(student)
