"""SSKD (Xu et al., ECCV 2020): the student also learns how the teacher recognises a transformed tile among others."""

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.method import Batch, Method, Options, Setting, Trace
from hviskd.distillation.methods.kd import kd_loss
from hviskd.distillation.precision import full_precision
from hviskd.distillation.views import strong_view

_VIEWS = 3


class SSKDOptions(Options):
    """The paper's settings; the preset gives cross-entropy the paper's weight of 0.1.

    Attributes:
        kd: Weight of KD on the tiles.
        changed_kd: Weight of KD on the changed tiles.
        similarity: Weight of KD between rows of similarities.
        temperature: Of KD on logits.
        similarity_temperature: Of KD on similarities.
        head_share: Share of the training, its first part, in which only the teacher's head is learned.
        keep_changed: Share kept for KD of the changed tiles that the teacher gets wrong, the least wrong first.
        keep_similarity: The same of the changed tiles whose original the teacher does not find.
        change: `turns`, the paper's three quarter turns; `strong`, colour and contrast as well. Tissue has no upright
            position, so a turn alone is an easy task there.
    """

    kd: float = Field(default=0.9, ge=0, allow_inf_nan=False)
    changed_kd: float = Field(default=2.7, ge=0, allow_inf_nan=False)
    similarity: float = Field(default=10.0, ge=0, allow_inf_nan=False)
    temperature: float = Field(default=4.0, gt=0, allow_inf_nan=False)
    similarity_temperature: float = Field(default=0.5, gt=0, allow_inf_nan=False)
    head_share: float = Field(default=0.2, gt=0, lt=1)
    keep_changed: float = Field(default=1.0, ge=0, le=1)
    keep_similarity: float = Field(default=0.75, ge=0, le=1)
    change: Literal["turns", "strong"] = "turns"


class SSKD(Method):
    """First a head on the frozen teacher learns to find a transformed tile's original; then the student imitates it.

    Similarities are cosines (3B, B) between what two-layer heads make of changed and unchanged tiles. Costs three
    more passes of both networks a step.
    """

    name = "sskd"
    Options = SSKDOptions
    needs = frozenset({"teacher"})
    phased = True

    def __init__(self, options: SSKDOptions, setting: Setting) -> None:
        super().__init__()
        assert setting.teacher is not None
        self.options = options
        self.teacher_head, self.student_head = (
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for width in (setting.teacher.embedding, setting.student.embedding)
        )
        terms = ("kd", "changed_kd", "similarity")
        self.weights = {term: options.weight * getattr(options, term) for term in terms} | {"teacher_head": 1.0}

    def views(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return the transformed tiles (3B, 3, H, W)."""
        if self.options.change == "strong":
            return {"changed": torch.cat([strong_view(images) for _ in range(_VIEWS)])}
        return {"changed": torch.cat([images.rot90(turns, (2, 3)) for turns in range(1, _VIEWS + 1)])}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `teacher_head` in the first part of the training, then the three terms of the student."""
        changed = batch.views["changed"]
        assert teacher is not None
        assert changed.teacher is not None
        if batch.progress < self.options.head_share:
            found = similarities(self.teacher_head, changed.teacher.embedding.detach(), teacher.embedding.detach())
            return {"teacher_head": F.cross_entropy(found, _originals(found))}
        with torch.no_grad():
            theirs = similarities(self.teacher_head, changed.teacher.embedding, teacher.embedding)
        ours = similarities(self.student_head, changed.student.embedding, student.embedding)
        options = self.options
        labels = batch.labels.repeat(_VIEWS)
        usable = least_wrong(changed.teacher.logits, labels, options.keep_changed)
        findable = least_wrong(theirs, _originals(theirs), options.keep_similarity)
        return {
            "kd": kd_loss(student.logits, teacher.logits, options.temperature),
            "changed_kd": selected_kd(changed.student.logits, changed.teacher.logits, usable, options.temperature),
            "similarity": selected_kd(ours, theirs, findable, options.similarity_temperature),
        }


@full_precision
def similarities(head: nn.Module, changed: Tensor, unchanged: Tensor) -> Tensor:
    """Return cosines (N, B) between the head's outputs for vectors (N, D) and (B, D)."""
    return F.normalize(head(changed), dim=1) @ F.normalize(head(unchanged), dim=1).T


def least_wrong(answers: Tensor, truth: Tensor, keep: float) -> Tensor:
    """Select (N,) the rows of logits (N, M) to learn from: all correct ones, and a share of the others.

    How wrong a row is, is the rank that it gives to the truth (N,); the least wrong are kept.
    """
    of_truth = answers.gather(1, truth[:, None])
    rank = (answers > of_truth).sum(dim=1)
    right = (rank == 0).sum()
    kept = right + (keep * (len(rank) - right)).floor()
    place = torch.argsort(torch.argsort(rank, stable=True))
    return place < kept


@full_precision
def selected_kd(student: Tensor, teacher: Tensor, selected: Tensor, temperature: float) -> Tensor:
    """Return T² · KL(softmax(t / T) ‖ softmax(s / T)) of logits (N, M), mean over the selected rows; 0 for none."""
    ours, theirs = F.log_softmax(student / temperature, dim=1), F.log_softmax(teacher / temperature, dim=1)
    rows = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(dim=1)
    return (rows * selected).sum() / selected.sum().clamp(min=1) * temperature**2


def _originals(found: Tensor) -> Tensor:
    return torch.arange(found.shape[1], device=found.device).repeat(len(found) // found.shape[1])
