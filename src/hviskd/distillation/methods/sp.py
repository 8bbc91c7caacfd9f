"""SP (Tung and Mori, ICCV 2019): tiles that are similar for the teacher should be similar for the student."""

import torch
from pydantic import Field
from torch import Tensor

from hviskd.distillation.gather import gather_batch
from hviskd.distillation.method import Batch, Method, Options, Setting, Trace, paired_shapes
from hviskd.distillation.precision import full_precision
from hviskd.distillation.vectors import unit


class SPOptions(Options):
    """Weight and stages.

    Attributes:
        stages: Pairs (teacher stage, student stage); 0 is the stem. None pairs the last stages.
    """

    weight: float = Field(default=3000.0, ge=0, allow_inf_nan=False)
    stages: tuple[tuple[int, int], ...] | None = Field(default=None, min_length=1)


class SP(Method):
    """‖rows(F_t F_tᵀ) − rows(F_s F_sᵀ)‖² / B², with F the flattened feature maps, summed over the pairs.

    There is nothing to adapt: both matrices are B × B, for maps of any width and size.
    """

    name = "sp"
    Options = SPOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: SPOptions, setting: Setting) -> None:
        super().__init__()
        assert setting.teacher is not None
        self.stages = options.stages or ((len(setting.teacher.stages) - 1, len(setting.student.stages) - 1),)
        paired_shapes(setting, self.stages, self.name)
        self.weights = {"sp": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `sp`."""
        assert teacher is not None
        losses = [
            similarity_loss(gather_batch(student.stages[of_student]), gather_batch(teacher.stages[of_teacher]))
            for of_teacher, of_student in self.stages
        ]
        return {"sp": torch.stack(losses).sum()}


@full_precision
def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of both Gram matrices (B, B), with rows of length 1, for features (B, …).

    It is the rows of the products that are brought to length 1, not the features: a tile of strong features counts
    in every row.
    """
    ours, theirs = (unit(flat @ flat.T) for flat in (student.flatten(1), teacher.flatten(1)))
    return (ours - theirs).square().mean()
