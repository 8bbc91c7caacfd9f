"""FT, factor transfer (Kim et al., NeurIPS 2018): the student's last feature map gives the factors of the teacher's."""

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.maps import to_smaller
from hviskd.distillation.method import Batch, Method, Setting, Trace
from hviskd.distillation.precision import full_precision
from hviskd.distillation.preparation import PreparedOptions
from hviskd.distillation.vectors import unit

_SLOPE = 0.1  # of every leaky ReLU in here


class FTOptions(PreparedOptions):
    """Weight, factors and preparation.

    Attributes:
        weight: For `factor: full` 500, the default of the authors' code (`--beta`, CIFAR); for `spatial` the public
            code (RepDistiller) has 200, as the preset `ft-public`.
        factor: `full`: all entries of the factors (the paper). `spatial`: the mean of their squares over the channels,
            as in the public code.
        width: The factors' channels as a share of the teacher's.
        reconstruction: Weight of the reconstruction. The paraphraser learns at the recipe's rate; raise the weight if
            the log's `ft/reconstruction` hardly falls.
        preparation: Share of the training in which the teacher's paraphraser learns to reconstruct; the student gets
            nothing from this method meanwhile.
    """

    weight: float = Field(default=500.0, ge=0, allow_inf_nan=False)
    factor: Literal["full", "spatial"] = "full"
    width: float = Field(default=0.5, gt=0, le=4)
    reconstruction: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class FT(Method):
    """First `reconstruction`, the paraphraser's error on the teacher's last map, then `ft`, the factor distance.

    After the preparation the paraphraser is held still and the student's translator learns with the student.
    """

    name = "ft"
    Options = FTOptions
    needs = frozenset({"teacher"})
    reads_labels = False
    phased = True

    def __init__(self, options: FTOptions, setting: Setting) -> None:
        super().__init__()
        assert setting.teacher is not None
        self.options = options
        theirs, ours = setting.teacher.last[0], setting.student.last[0]
        factors = max(1, round(options.width * theirs))
        self.paraphraser = _convolutions(theirs, theirs, factors, factors)
        self.reconstructor = _convolutions(factors, factors, theirs, theirs)
        self.translator = _convolutions(ours, ours, factors, factors, normalised=True)
        self.weights = {"reconstruction": options.reconstruction, "ft": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `reconstruction` during the preparation and `ft` after it."""
        assert teacher is not None
        last = teacher.last.detach()
        if self.options.prepares_at(batch.progress):
            return {"reconstruction": full_precision(F.mse_loss)(self.reconstructor(self.paraphraser(last)), last)}
        with torch.no_grad():
            theirs = self.paraphraser(last)
        return {"ft": factor_distance(*to_smaller(theirs, self.translator(student.last)), self.options.factor)}


@full_precision
def factor_distance(teacher: Tensor, student: Tensor, factor: Literal["full", "spatial"] = "full") -> Tensor:
    """Return the mean absolute difference of factors (B, C, H, W), each tile's normalised to length 1."""
    theirs, ours = (factors.square().mean(dim=1) if factor == "spatial" else factors for factors in (teacher, student))
    return F.l1_loss(unit(ours.flatten(1)), unit(theirs.flatten(1)))


def _convolutions(*widths: int, normalised: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        convolution = nn.Conv2d(width_in, width_out, kernel_size=3, padding=1)
        # With torch's own, smaller start nothing comes through six layers, and a recipe's rate never gets them going.
        nn.init.kaiming_normal_(convolution.weight, a=_SLOPE, nonlinearity="leaky_relu")
        layers.append(convolution)
        if normalised:
            layers.append(nn.BatchNorm2d(width_out))
        layers.append(nn.LeakyReLU(_SLOPE))
    return nn.Sequential(*layers)
