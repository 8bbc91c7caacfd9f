"""AB (Heo et al., AAAI 2019): the student's neurons should be active where the teacher's are, however strongly."""

import torch
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.method import Setting, Shape
from hviskd.distillation.preactivations import PreactivationMethod, PreactivationOptions
from hviskd.distillation.precision import full_precision


class ABOptions(PreactivationOptions):
    """The public code's weight, for a sum over channels and pixels, and the margin.

    Attributes:
        margin: How far from zero, on the teacher's side of it, the student's response is to be.
    """

    weight: float = Field(default=3e-3, ge=0, allow_inf_nan=False)
    margin: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class AB(PreactivationMethod):
    """Squared hinge loss at the teacher's activation boundary, on feature maps before activation.

    Meant for a stage before the main one: in the preset `ab` nothing else is learned meanwhile, and afterwards it no
    longer counts.
    """

    name = "ab"
    Options = ABOptions
    reads_labels = False

    def __init__(self, options: ABOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        self.margin = options.margin

    def connector(self, theirs: Shape, ours: Shape) -> nn.Module:
        """Bring the student's map to the teacher's width; maps that are alike need nothing."""
        return nn.Identity() if theirs == ours else super().connector(theirs, ours)

    def distance(self, position: int, teacher: Tensor, student: Tensor) -> Tensor:
        """Return how far the student is from the teacher's side of the boundary."""
        return boundary_loss(teacher, student, self.margin)


@full_precision
def boundary_loss(teacher: Tensor, student: Tensor, margin: float) -> Tensor:
    """Sum over channels and pixels of feature maps (B, C, H, W) before activation, mean over the batch.

    Counts (m − s)² where the teacher is active (t > 0) and s < m, and (m + s)² where it is not and s > −m.
    """
    side = torch.where(teacher > 0, 1.0, -1.0)
    return (margin - side * student).clamp(min=0).square().sum() / len(student)
