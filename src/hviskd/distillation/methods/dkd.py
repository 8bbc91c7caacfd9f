"""DKD (Zhao et al., CVPR 2022): KD split into confidence in the label and the ranking of the other classes."""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from hviskd.distillation.method import Batch, Method, Reads, Setting, Trace
from hviskd.distillation.precision import full_precision
from hviskd.distillation.warmup import WarmedLogitOptions


class DKDOptions(WarmedLogitOptions):
    """The published settings.

    Attributes:
        target: α, over the divergence of label against all others.
        others: β, over the divergence among the other classes. The authors take 8, and 2 or 6 for some pairs; with
            a handful of classes instead of their hundred try 1 to 4.
    """

    target: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    others: float = Field(default=8.0, ge=0, allow_inf_nan=False)


class DKD(Method):
    """`target`, T² · KL of (label, rest), and `others`, T² · KL among the classes other than the label.

    With two classes there is only one other class: `others` is 0 and `target` is KD.
    """

    name = "dkd"
    Options = DKDOptions
    needs = frozenset({"teacher"})

    def __init__(self, options: DKDOptions, setting: Setting) -> None:
        super().__init__()
        options.require_enough_classes(setting.num_classes, "dkd")
        self.options = options
        self.weights = {"target": options.weight * options.target, "others": options.weight * options.others}

    def reads(self) -> Reads:
        """Return that logits suffice."""
        return Reads()

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `target` and `others`, weighted by the warm-up."""
        assert teacher is not None
        options = self.options
        target, others = decoupled_divergences(
            options.scaled(student.logits), options.scaled(teacher.logits), batch.labels
        )
        factor = options.temperature**2 * options.warmth(batch.progress)
        return {"target": target.mean() * factor, "others": others.mean() * factor}


@full_precision
def decoupled_divergences(student: Tensor, teacher: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return both divergences (B,) from teacher to student, for tempered logits (B, K) and labels (B,).

    With p the teacher's probability of the label, KL(teacher ‖ student) is the first plus (1 − p) times the second.
    """
    is_label = F.one_hot(labels, student.shape[1]).bool()
    ours, theirs = label_and_rest(student, is_label), label_and_rest(teacher, is_label)
    return divergence(ours, theirs), divergence(
        without(is_label, student).log_softmax(dim=1), without(is_label, teacher).log_softmax(dim=1)
    )


def label_and_rest(logits: Tensor, is_label: Tensor) -> Tensor:
    """Return the log-probabilities (B, 2) of the one marked class per row (B, K) and of all others together.

    Both come from sums of exponentials: a logarithm of 1 − p would lose all digits where the network is sure.
    """
    total = logits.logsumexp(dim=1)
    marked = (logits * is_label).sum(dim=1)
    rest = logits.masked_fill(is_label, -torch.inf).logsumexp(dim=1)
    return torch.stack([marked - total, rest - total], dim=1)


def without(left_out: Tensor, logits: Tensor) -> Tensor:
    """Return logits (B, K) in which marked entries are excluded from a softmax, unless the whole row is marked."""
    return logits.masked_fill(left_out, torch.finfo(logits.dtype).min / 2)


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher ‖ student) of each row (B,) for log-probabilities (B, K)."""
    return F.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=1)
