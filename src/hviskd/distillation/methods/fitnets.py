"""FitNets (Romero et al., ICLR 2015): the student's middle feature map, adapted in width, imitates the teacher's."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.adapters import connector
from hviskd.distillation.maps import to_smaller
from hviskd.distillation.method import Batch, Method, Options, Setting, Trace, paired_shapes
from hviskd.distillation.precision import full_precision


class FitNetsOptions(Options):
    """Weight, hint and regressor.

    Attributes:
        weight: The public code's (RepDistiller), for a mean over all entries; the paper halves a sum.
        stages: Pairs (teacher stage, student stage); 0 is the stem. The paper has one, in the middle.
        variant: The regressor. `paper`: a plain convolution. `public`: with batch normalisation and ReLU behind it, so
            that it cannot meet a teacher's map that has negative entries.
    """

    weight: float = Field(default=100.0, ge=0, allow_inf_nan=False)
    stages: tuple[tuple[int, int], ...] = Field(default=((2, 2),), min_length=1)
    variant: Literal["paper", "public"] = "paper"


class FitNets(Method):
    """Mean squared difference between the teacher's feature map and the student's, summed over the pairs.

    Regressors are 1 × 1 convolutions and the larger map is averaged down, where paper and public code choose a kernel
    that spans the difference in size: 39 × 39 for maps of 75 and 37 px.
    """

    name = "fitnets"
    Options = FitNetsOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: FitNetsOptions, setting: Setting) -> None:
        super().__init__()
        self.stages = options.stages
        shapes = paired_shapes(setting, options.stages, self.name)
        self.regressors = nn.ModuleList(
            _regressor(ours[0], theirs[0], rectified=options.variant == "public") for theirs, ours in shapes
        )
        self.weights = {"fitnets": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `fitnets`."""
        assert teacher is not None
        losses = []
        for (of_teacher, of_student), regressor in zip(self.stages, self.regressors, strict=True):
            theirs, ours = to_smaller(teacher.stages[of_teacher], student.stages[of_student])
            losses.append(full_precision(F.mse_loss)(regressor(ours), theirs))
        return {"fitnets": torch.stack(losses).sum()}


def _regressor(width_in: int, width_out: int, *, rectified: bool) -> nn.Module:
    if rectified:
        return connector(width_in, width_out).append(nn.ReLU())
    return nn.Conv2d(width_in, width_out, kernel_size=1)
