"""CC, correlation congruence (Peng et al., ICCV 2019): tiles and their correlations should be as for the teacher."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.features import pooled_at
from hviskd.distillation.gather import gather_batch
from hviskd.distillation.method import Batch, Method, Options, Reads, Setting, Trace
from hviskd.distillation.precision import full_precision
from hviskd.distillation.vectors import unit


class CCOptions(Options):
    """The settings of the paper, or of the author's code in RepDistiller.

    Attributes:
        weight: Over both terms; the preset `cc-public` takes 0.02, as that code does.
        instance: Over the distance of single tiles; the public code has no such term.
        correlation: Over the distance of correlations.
        width: Length of the common embedding.
        gamma: γ of the Gaussian kernel.
        order: Highest power of its Taylor series.
        variant: `paper`, embeddings of unit length and a fixed, random one for the teacher: a learned one could meet
            the student halfway, at a point. `public`: both are learned, and what is lowered is the product of the
            differences of tiles that follow each other in the batch.
    """

    instance: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    correlation: float = Field(default=0.003, ge=0, allow_inf_nan=False)
    width: int = Field(default=128, ge=1, le=4096)
    gamma: float = Field(default=0.4, gt=0, allow_inf_nan=False)
    order: int = Field(default=2, ge=1, le=16)
    variant: Literal["paper", "public"] = "paper"


class CC(Method):
    """On linear embeddings e of the spatial means of the last feature maps.

    `paper`: `instance`, the mean of ‖e_t − e_s‖², and `correlation`, ‖Ψ(e_t) − Ψ(e_s)‖² / B², with Ψ the series of a
    Gaussian kernel between tiles. `public`: `correlation` alone, the mean of Σ δ_i δ_{i+1} with δ = |e_t − e_s|.
    Correlations are those of the joint batch.
    """

    name = "cc"
    Options = CCOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: CCOptions, setting: Setting) -> None:
        super().__init__()
        assert setting.teacher is not None
        self.options = options
        self.embed_student = nn.Linear(setting.student.last[0], options.width)
        self.embed_teacher = nn.Linear(setting.teacher.last[0], options.width)
        if options.variant == "public":
            self.weights = {"correlation": options.weight}
        else:
            self.embed_teacher.requires_grad_(False)
            self.weights = {term: options.weight * getattr(options, term) for term in ("instance", "correlation")}

    def reads(self) -> Reads:
        """Return the mean of the last map."""
        return Reads(pooled=frozenset({"last"}))

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return the losses of the selected variant."""
        assert teacher is not None
        ours, theirs = self._embed(pooled_at(student, "last"), pooled_at(teacher, "last"))
        if self.options.variant == "public":
            return {"correlation": successive_differences(ours, theirs)}
        ours, theirs = unit(ours), unit(theirs)
        psi = [gaussian_series(embedded, self.options.gamma, self.options.order) for embedded in (ours, theirs)]
        return {
            "instance": (ours - theirs).square().sum(dim=1).mean(),
            "correlation": (psi[0] - psi[1]).square().mean(),
        }

    @full_precision
    def _embed(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        return gather_batch(self.embed_student(student)), gather_batch(self.embed_teacher(teacher))


@full_precision
def gaussian_series(vectors: Tensor, gamma: float, order: int) -> Tensor:
    """Return (B, B), e^{−2γ} Σ_p (2γ)^p / p! ⟨x, y⟩^p for p up to `order`, of unit vectors (B, D).

    With all powers it is the Gaussian kernel exp(−γ ‖x − y‖²).
    """
    products = vectors @ vectors.T
    series = [(2 * gamma) ** power / math.factorial(power) * products**power for power in range(order + 1)]
    return math.exp(-2 * gamma) * torch.stack(series).sum(dim=0)


@full_precision
def successive_differences(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean over i of Σ δ_i δ_{i+1}, δ = |student − teacher| of embeddings (B, D); of a single tile, 0."""
    difference = (student - teacher).abs()
    return (difference[:-1] * difference[1:]).sum() / max(len(difference) - 1, 1)
