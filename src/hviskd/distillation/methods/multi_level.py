"""Multi-level logit distillation (Jin et al., CVPR 2023): logits agree per tile, over the batch and over classes."""

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor

from hviskd.distillation.gather import gather_batch
from hviskd.distillation.method import Batch, Method, Options, Setting, Trace
from hviskd.distillation.precision import full_precision
from hviskd.distillation.standardised import standardise
from hviskd.distillation.views import strong_view

_PLAIN_IN_PUBLIC = (2.0, 6.0)


class MultiLevelOptions(Options):
    """Temperatures, and the variant of the method.

    Attributes:
        weight: Over all three levels; the authors weigh cross-entropy with 0.1 beside it, and so does the preset.
        temperatures: The logits are compared at each of them.
        variant: `paper`: on a plain and a strong view, each tile counted by itself if the teacher is sure of it.
            `public`: as the authors' code has it, where no tile is left out but every level halved, and the strong
            view counts at the level of tiles alone, and not at temperatures 2 and 6, where the plain one stands in.
        standardise: Standardise the logits first (Sun et al. 2024).
    """

    weight: float = Field(default=0.9, ge=0, allow_inf_nan=False)
    temperatures: tuple[float, ...] = Field(default=(2.0, 3.0, 4.0, 5.0, 6.0), min_length=1)
    variant: Literal["paper", "public"] = "paper"
    standardise: bool = False

    @field_validator("temperatures")
    @classmethod
    def _above_zero(cls, temperatures: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < temperature < float("inf") for temperature in temperatures):
            raise ValueError("every temperature must be above zero")
        return temperatures


class MultiLevel(Method):
    """`instance`, `batch` and `class_relation`, each summed over temperatures and views.

    Costs one more pass of both networks a step, on the strong view.
    """

    name = "multi_level"
    Options = MultiLevelOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: MultiLevelOptions, setting: Setting) -> None:
        super().__init__()
        self.options = options
        self.weights = dict.fromkeys(("instance", "batch", "class_relation"), options.weight)

    def views(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return the strong view."""
        return {"strong": strong_view(images)}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return the losses of the three levels."""
        strong = batch.views["strong"]
        assert teacher is not None
        assert strong.teacher is not None
        seen = [(student.logits, teacher.logits), (strong.student.logits, strong.teacher.logits)]
        public = self.options.variant == "public"
        levels: dict[str, list[Tensor]] = {term: [] for term in self.weights}
        for view in range(len(seen)):
            for temperature in self.options.temperatures:
                ours, theirs = seen[0 if public and temperature in _PLAIN_IN_PUBLIC else view]
                counted = torch.ones_like(theirs[:, 0]) if public else surer_half(theirs)
                terms = level_losses(self._scaled(ours) / temperature, self._scaled(theirs) / temperature, counted)
                levels["instance"].append(terms[0] * temperature**2)
                if not (public and view):
                    levels["batch"].append(terms[1])
                    levels["class_relation"].append(terms[2])
        return {term: torch.stack(parts).sum() * (0.5 if public else 1.0) for term, parts in levels.items()}

    def _scaled(self, logits: Tensor) -> Tensor:
        return standardise(logits) if self.options.standardise else logits


def surer_half(logits: Tensor) -> Tensor:
    """Return (B,), as 0 or 1, for which tiles the teacher is at least as confident as for the median tile."""
    confidence = logits.softmax(dim=1).amax(dim=1)
    return (confidence >= confidence.median()).to(logits.dtype)


@full_precision
def level_losses(student: Tensor, teacher: Tensor, counted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the losses at the level of tiles, batch and classes, for tempered logits (B, K).

    With P the probabilities of the counted (B, as 0 or 1) tiles: mean KL(P_t ‖ P_s); ‖P_s P_sᵀ − P_t P_tᵀ‖² / B; and
    ‖P_sᵀ P_s − P_tᵀ P_t‖² / K. Relations are those of the joint batch.
    """
    ours, theirs = F.log_softmax(student, dim=1), F.log_softmax(teacher, dim=1)
    each = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(dim=1)
    p_student, p_teacher, counted_all = gather_batch(ours.exp()), gather_batch(theirs.exp()), gather_batch(counted)
    p_student, p_teacher = p_student * counted_all[:, None], p_teacher * counted_all[:, None]
    tiles, classes = p_student.shape
    between_tiles = (p_student @ p_student.T - p_teacher @ p_teacher.T).square().sum() / tiles
    between_classes = (p_student.T @ p_student - p_teacher.T @ p_teacher).square().sum() / classes
    return (each * counted).mean(), between_tiles, between_classes
