"""RLD (Sun et al., ICCV 2025): the student learns from the teacher's logits without learning its mistakes."""

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from hviskd.distillation.method import Batch, Method, Reads, Setting, Trace
from hviskd.distillation.methods.dkd import divergence, label_and_rest, without
from hviskd.distillation.precision import full_precision
from hviskd.distillation.warmup import WarmedLogitOptions


class RLDOptions(WarmedLogitOptions):
    """The published settings.

    Attributes:
        confidence: α, over how sure the student is to be of the label.
        correlation: β, over the classes that the teacher ranks below the label.
        confidence_temperature: Temperature of the first alone; None takes `temperature`. The authors' code has two.
    """

    confidence: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    correlation: float = Field(default=4.0, ge=0, allow_inf_nan=False)
    confidence_temperature: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class RLD(Method):
    """`confidence` and `correlation`, each T² times a divergence, mean over the batch.

    Confidence: the student is to be as sure of the label as the teacher is of its first choice, right or wrong.
    Correlation: among the classes that the teacher ranks below the label, the student is to agree with it; a class
    that it wrongly ranks above the label is left out. Where the teacher is right both are those of DKD.
    """

    name = "rld"
    Options = RLDOptions
    needs = frozenset({"teacher"})

    def __init__(self, options: RLDOptions, setting: Setting) -> None:
        super().__init__()
        options.require_enough_classes(setting.num_classes, "rld")
        self.options = options
        self._confident = options.model_copy(
            update={"temperature": options.confidence_temperature or options.temperature}
        )
        self.weights = {term: options.weight * getattr(options, term) for term in ("confidence", "correlation")}

    def reads(self) -> Reads:
        """Return that logits suffice."""
        return Reads()

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `confidence` and `correlation`, weighted by the warm-up."""
        assert teacher is not None
        options, sure = self.options, self._confident
        confidence = confidence_divergence(sure.scaled(student.logits), sure.scaled(teacher.logits), batch.labels)
        correlation = correlation_divergence(
            options.scaled(student.logits), options.scaled(teacher.logits), batch.labels
        )
        warmth = options.warmth(batch.progress)
        return {
            "confidence": confidence.mean() * sure.temperature**2 * warmth,
            "correlation": correlation.mean() * options.temperature**2 * warmth,
        }


@full_precision
def confidence_divergence(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Return KL of the teacher's (top class, rest) from the student's (label, rest), (B,).

    Args:
        student: Tempered logits (B, K).
        teacher: Tempered logits (B, K).
        labels: (B,).
    """
    classes = student.shape[1]
    is_label, is_first = (F.one_hot(marked, classes).bool() for marked in (labels, teacher.argmax(dim=1)))
    return divergence(label_and_rest(student, is_label), label_and_rest(teacher, is_first))


@full_precision
def correlation_divergence(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Return KL(teacher ‖ student) among the classes that the teacher ranks below the label, (B,); 0 if there are none.

    Args:
        student: Tempered logits (B, K).
        teacher: Tempered logits (B, K).
        labels: (B,).
    """
    not_below = teacher >= teacher.gather(1, labels[:, None])
    ours, theirs = (without(not_below, logits).log_softmax(dim=1) for logits in (student, teacher))
    return divergence(ours, theirs)
