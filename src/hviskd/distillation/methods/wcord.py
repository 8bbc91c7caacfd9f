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

from hviskd.distillation.contrast import ContrastMethod, ContrastOptions
from hviskd.distillation.gather import gather_batch
from hviskd.distillation.method import Setting


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


class WCoRD(ContrastMethod):
    """`contrast`, over all tiles in the memories, and `transport`, between the two embeddings of a batch."""

    name = "wcord"
    Options = WCoRDOptions

    def __init__(self, options: WCoRDOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        self.entropy, self.iterations = options.entropy, options.iterations
        self.weights = {term: options.weight * getattr(options, term) for term in ("contrast", "transport")}

    def embed(self, length: int, width: int) -> nn.Module:
        """Make a linear map of bounded slope."""
        return spectral_norm(nn.Linear(length, width))

    def losses(self, teacher: Tensor, student: Tensor, contrast: Tensor) -> dict[str, Tensor]:
        """Return both terms."""
        cost = 1 - gather_batch(teacher) @ gather_batch(student).T
        return {"contrast": contrast, "transport": transport_cost(cost, self.entropy, self.iterations)}


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
