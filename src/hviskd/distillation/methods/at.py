"""AT, attention transfer (Zagoruyko and Komodakis, ICLR 2017): the student looks where the teacher looks."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from hviskd.distillation.maps import PUBLISHED_MAP_PIXELS, to_smaller
from hviskd.distillation.method import Batch, Method, Options, Setting, Trace, paired_shapes
from hviskd.distillation.precision import full_precision
from hviskd.distillation.vectors import unit


class ATOptions(Options):
    """Weight, stages and the form of the loss.

    Attributes:
        weight: Of the paper and of the public code, which both average over the pixels of CIFAR's maps.
        stages: Pairs (teacher stage, student stage); 0 is the stem.
        power: p of the attention map, the mean over channels of |F|^p.
        variant: `paper`: the squared distance of the two unit vectors, as the paper's formula sums it, divided by 256,
            so that the published weight means what it meant on maps of 16 × 16, on maps of any size. `public`: the mean
            over pixels, which for unit vectors shrinks with their number: at 75 × 75 to a 22nd.
    """

    weight: float = Field(default=1000.0, ge=0, allow_inf_nan=False)
    stages: tuple[tuple[int, int], ...] = Field(default=((1, 1), (2, 2), (3, 3)), min_length=1)
    power: float = Field(default=2.0, ge=1, le=8)
    variant: Literal["paper", "public"] = "paper"


class AT(Method):
    """‖A_t − A_s‖² of the attention maps, mean over the batch, summed over the pairs; without adapters."""

    name = "at"
    Options = ATOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: ATOptions, setting: Setting) -> None:
        super().__init__()
        paired_shapes(setting, options.stages, self.name)
        self.options = options
        self.weights = {"at": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `at`."""
        assert teacher is not None
        losses = []
        for of_teacher, of_student in self.options.stages:
            maps = to_smaller(teacher.stages[of_teacher], student.stages[of_student])
            theirs, ours = (attention_map(features, self.options.power) for features in maps)
            squared = (theirs - ours).square().sum(dim=1).mean()
            losses.append(squared / (theirs.shape[1] if self.options.variant == "public" else PUBLISHED_MAP_PIXELS))
        return {"at": torch.stack(losses).sum()}


def attention_map(features: Tensor, power: float = 2.0) -> Tensor:
    """Return the attention maps of feature maps (B, C, H, W) as vectors (B, H · W) of length 1."""
    return unit(strength(features, power).flatten(1))


@full_precision
def strength(features: Tensor, power: float = 2.0) -> Tensor:
    """Return the mean (B, H, W) over channels of |F|^power of feature maps (B, C, H, W)."""
    # A square's gradient needs the map alone, which is kept anyway; a power's needs a copy of it.
    return (features.square() if power == 2 else features.abs().pow(power)).mean(dim=1)
