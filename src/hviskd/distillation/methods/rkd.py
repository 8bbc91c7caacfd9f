"""RKD (Park et al., CVPR 2019): distances between tiles, and angles of triples, should be those of the teacher."""

import math

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, linalg

from hviskd.distillation.features import pooled_at
from hviskd.distillation.gather import gather_batch
from hviskd.distillation.method import Batch, Method, Options, Reads, Setting, Trace
from hviskd.distillation.precision import full_precision

_COINCIDENT = 1e-6  # of the mean distance; nearer pairs have no direction that could be trusted


class RKDOptions(Options):
    """Weights of the two relations."""

    distance: float = Field(default=25.0, ge=0, allow_inf_nan=False)
    angle: float = Field(default=50.0, ge=0, allow_inf_nan=False)


class RKD(Method):
    """`distance` and `angle`, each a smooth L1 loss between student and teacher, on spatial means of the last maps.

    Neither changes when one network's vectors are turned, moved or scaled as a whole, and there is nothing to adapt.
    Memory grows with B² · D and B³ for a joint batch of B tiles and vectors of length D.
    """

    name = "rkd"
    Options = RKDOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: RKDOptions, setting: Setting) -> None:
        super().__init__()
        self.weights = {"distance": options.weight * options.distance, "angle": options.weight * options.angle}

    def reads(self) -> Reads:
        """Return the mean of the last map."""
        return Reads(pooled=frozenset({"last"}))

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `distance` and `angle`."""
        assert teacher is not None
        ours, theirs = (relations(gather_batch(pooled_at(trace, "last"))) for trace in (student, teacher))
        distance, angle = (F.smooth_l1_loss(mine, its) for mine, its in zip(ours, theirs, strict=True))
        return {"distance": distance, "angle": angle}


@full_precision
def relations(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distances (B, B) divided by their mean, and the cosines (B, B, B), of vectors (B, D).

    Entry (j, i, k) is the cosine of the angle at j between i and k. Vectors that coincide have distance and cosine 0,
    and no gradient of either; where all do, every entry is 0.
    """
    offsets = vectors[None] - vectors[:, None]
    lengths = linalg.vector_norm(offsets, dim=2)
    mean = lengths.sum() / (lengths > 0).sum().clamp(min=1)
    mean = mean.masked_fill(mean == 0, math.inf)
    apart = lengths > _COINCIDENT * mean.detach()
    directions = offsets / lengths.masked_fill(~apart, math.inf)[..., None]
    return lengths / mean, directions @ directions.transpose(1, 2)
