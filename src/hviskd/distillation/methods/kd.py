"""Hinton, Vinyals and Dean (2015): the student imitates the teacher's softened class probabilities."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from hviskd.distillation.method import Batch, Method, Reads, Setting, Trace
from hviskd.distillation.precision import full_precision
from hviskd.distillation.standardised import LogitOptions
from hviskd.errors import RecipeError


class KDOptions(LogitOptions):
    """Weight, temperature, whether logits are standardised first, and on which tiles it counts.

    With `tiles: unlabelled`, the labelled tiles learn from their labels alone, for where the teacher is no better on
    them than the student, as at home when it teaches another laboratory's slides.

    The authors of the standardisation weigh KD with 9 and cross-entropy with 0.1, at temperature 2: preset `kd-ls`.
    """

    tiles: Literal["all", "unlabelled"] = "all"


class KD(Method):
    """T² · KL(teacher ‖ student) of the softmax at temperature T: sum over classes, mean over the batch."""

    name = "kd"
    Options = KDOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: KDOptions, setting: Setting) -> None:
        super().__init__()
        options.require_enough_classes(setting.num_classes, "kd")
        self.options = options
        self.weights = {"kd": options.weight}

    def reads(self) -> Reads:
        """Return that logits suffice."""
        return Reads()

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `kd`."""
        assert teacher is not None
        scaled, temperature, start = self.options.scaled, self.options.temperature, 0
        if self.options.tiles == "unlabelled":
            if batch.labelled is None:
                raise RecipeError("methods.kd.tiles: there are no unlabelled tiles; give `unlabelled`, or choose all")
            start = batch.labelled
        ours, theirs = student.logits[start:], teacher.logits[start:]
        return {"kd": kd_loss(scaled(ours), scaled(theirs), 1.0) * temperature**2}


@full_precision
def kd_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return T² · KL(softmax(t / T) ‖ softmax(s / T)), mean over the batch, for logits (B, K)."""
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2
