"""WCoRD (Chen et al., CVPR 2021), from the paper: contrast by a smooth critic, and transport within the batch.

No public code is known. The global term is CRD's with embeddings of bounded slope (spectral normalisation), in the
place of the dual Wasserstein distance; the local term is the entropic optimal transport between the batch's two sets
of embeddings (Sinkhorn).
"""

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from hviskd.distillation.contrast import Contrast, negatives_within
from hviskd.distillation.gather import gather_batch
from hviskd.distillation.method import Batch, Method, Setting, Trace
from hviskd.distillation.methods.crd import ContrastOptions
from hviskd.distillation.precision import full_precision


class WCoRDOptions(ContrastOptions):
    """Weights of the two terms, and the settings of the transport solver.

    Attributes:
        contrast: λ₁, of the global term.
        transport: λ₂, of the local term.
        entropy: ε, how much the transport is blurred.
        iterations: Sinkhorn's rounds.
    """

    contrast: float = Field(default=0.8, ge=0, allow_inf_nan=False)
    transport: float = Field(default=0.05, ge=0, allow_inf_nan=False)
    entropy: float = Field(default=0.05, gt=0, allow_inf_nan=False)
    iterations: int = Field(default=50, ge=1, le=1000)


class WCoRD(Method):
    """`contrast`, over all tiles in the memories, and `transport`, between the two embeddings of a batch."""

    needs = frozenset({"teacher"})

    def __init__(self, options: WCoRDOptions, setting: Setting) -> None:
        super().__init__()
        assert setting.teacher is not None
        self.options = options
        self.negatives = negatives_within(options.negatives, setting.labels)
        self.contrast = Contrast(
            (setting.teacher.embedding, setting.student.embedding),
            setting.labels,
            width=options.width,
            momentum=options.momentum,
            embed=lambda length, width: spectral_norm(nn.Linear(length, width)),
        )
        self.weights = {term: options.weight * getattr(options, term) for term in ("contrast", "transport")}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return both terms and update the memories."""
        assert teacher is not None
        return self._losses(teacher.embedding, student.embedding, batch.index, batch.labels)

    @full_precision
    def _losses(self, teacher: Tensor, student: Tensor, index: Tensor, labels: Tensor) -> dict[str, Tensor]:
        options = self.options
        rows = self.contrast.draw(index, labels, self.negatives, same_class=options.positive == "class")
        theirs, ours = self.contrast.embedded(teacher, student)
        cost = 1 - gather_batch(theirs) @ gather_batch(ours).T
        return {
            "contrast": self.contrast(theirs, ours, index, rows, options.temperature),
            "transport": transport_cost(cost, options.entropy, options.iterations),
        }


def transport_cost(cost: Tensor, entropy: float, iterations: int) -> Tensor:
    """Return Σ π · cost for the plan π of `transport_plan`; the plan is detached, so the gradient is π."""
    return (transport_plan(cost.detach(), entropy, iterations) * cost).sum()


@torch.no_grad()
def transport_plan(cost: Tensor, entropy: float, iterations: int) -> Tensor:
    """Return the plan (B, B) with uniform marginals 1/B that minimises Σ π · cost − entropy · H(π), in log domain."""
    share = -math.log(len(cost))
    kernel = -cost / entropy
    rows = columns = torch.zeros_like(cost[0])
    for _ in range(iterations):
        rows = share - torch.logsumexp(kernel + columns[None, :], dim=1)
        columns = share - torch.logsumexp(kernel + rows[:, None], dim=0)
    return (kernel + rows[:, None] + columns[None, :]).exp()
