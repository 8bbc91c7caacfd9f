"""VID (Ahn et al., CVPR 2019): the teacher's feature maps are likely under a Gaussian around the student's."""

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.maps import to_smaller
from hviskd.distillation.method import Batch, Method, Options, Setting, Trace, paired_shapes
from hviskd.distillation.precision import full_precision

_LEAST_VARIANCE = 1e-5


class VIDOptions(Options):
    """Weight, stages and initial variance.

    Attributes:
        weight: The public code's, for a mean over all entries.
        stages: Pairs (teacher stage, student stage); 0 is the stem.
        variance: Of every teacher channel at the start.
    """

    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    stages: tuple[tuple[int, int], ...] = Field(default=((1, 1), (2, 2), (3, 3)), min_length=1)
    variance: float = Field(default=5.0, gt=_LEAST_VARIANCE, le=1e4)


class VID(Method):
    """Mean of ½ ((t − μ(s))² / σ² + log σ²), summed over the pairs, which bounds the mutual information of the maps.

    μ is three 1 × 1 convolutions, σ² one learned variance a teacher channel, left alone by weight decay. The loss may
    be negative: it falls without end as the variances do.
    """

    name = "vid"
    Options = VIDOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: VIDOptions, setting: Setting) -> None:
        super().__init__()
        self.stages = options.stages
        shapes = paired_shapes(setting, options.stages, self.name)
        self.means = nn.ModuleList(_mean(ours[0], theirs[0]) for theirs, ours in shapes)
        self.spreads = nn.ParameterList(
            torch.full((theirs[0],), _inverse_softplus(options.variance - _LEAST_VARIANCE)) for theirs, _ in shapes
        )
        self.weights = {"vid": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `vid`."""
        assert teacher is not None
        losses = []
        for (of_teacher, of_student), mean, spread in zip(self.stages, self.means, self.spreads, strict=True):
            theirs, ours = to_smaller(teacher.stages[of_teacher], student.stages[of_student])
            losses.append(gaussian_loss(theirs, mean(ours), F.softplus(spread) + _LEAST_VARIANCE))
        return {"vid": torch.stack(losses).sum()}

    def undecayed(self) -> list[nn.Parameter]:
        """Return the parameters of the variances: weight decay would pull them to log 2."""
        return list(self.spreads)


@full_precision
def gaussian_loss(target: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Return the mean of ½ ((target − mean)² / variance + log variance), for maps (B, C, H, W) and variances (C,)."""
    spread = variance[:, None, None]
    return 0.5 * ((target - mean).square() / spread + spread.log()).mean()


def _mean(width_in: int, width_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (width_in, width_out, width_out):
        layers += [nn.Conv2d(width, width_out, kernel_size=1, bias=False), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _inverse_softplus(value: float) -> float:
    """Return x with log(1 + eˣ) = value, without overflow."""
    return value + math.log(-math.expm1(-value))
