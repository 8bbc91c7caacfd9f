"""Hinton, Vinyals and Dean (2015): the student imitates the teacher's softened class probabilities."""

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from hviskd.distillation.method import Batch, Method, Options, Setting, Trace
from hviskd.distillation.precision import full_precision


class KDOptions(Options):
    """Weight and temperature."""

    temperature: float = Field(default=4.0, gt=0, allow_inf_nan=False)


class KD(Method):
    """T² · KL(teacher ‖ student) of the softmax at temperature T: sum over classes, mean over the batch."""

    needs = frozenset({"teacher"})

    def __init__(self, options: KDOptions, setting: Setting) -> None:
        super().__init__()
        self.temperature = options.temperature
        self.weights = {"kd": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Give `kd`."""
        assert teacher is not None
        return {"kd": kd_loss(student.logits, teacher.logits, self.temperature)}


@full_precision
def kd_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Give T² · KL(softmax(t / T) ‖ softmax(s / T)), mean over the batch, for logits (B, K)."""
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2
