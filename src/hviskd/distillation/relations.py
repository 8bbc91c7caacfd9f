"""Relations between samples and between regions (HVisKD, Sci. Rep. 2025), as pure functions of a feature map.

Called by the HVisKD method; every function runs in at least float32, also inside mixed precision.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from hviskd.distillation.precision import full_precision
from hviskd.distillation.vectors import unit

_SMALLEST = 1e-8

Normalisation = Literal["l2", "softmax"]
RelationForm = Literal["gram", "centred", "cosine", "softmax"]


@full_precision
def sample_relation(
    features: Tensor,
    scale: Tensor | float,
    normalisation: Normalisation = "l2",
    form: RelationForm = "gram",
    temperature: float = 0.1,
) -> tuple[Tensor, Tensor]:
    """Compute relations between the samples of a batch, and add to each sample those it resembles.

    With f the mean of the map over its height and width: M = rows(f fᵀ), S = f + scale · M f, where rows()
    divides each row by its L2 norm.

    Args:
        features: Feature map (B, C, H, W), or its mean over height and width (B, C).
        scale: The learned α, a scalar.
        normalisation: What rows() does: `l2` as above, or `softmax`, which makes of each row a distribution.
        form: M: `gram` as above, or another of `relation_between`, for which `normalisation` does nothing.
        temperature: Of the form `softmax`.

    Returns:
        The relation M (B, B) and the relation-aware feature S (B, C), float32 or float64.
    """
    vectors = features.mean(dim=(2, 3)) if features.ndim == 4 else features
    if form == "gram":
        relation = relation_of_rows(vectors, normalisation)
    else:
        relation = relation_between(vectors, form, temperature)
    return relation, vectors + scale * (relation @ vectors)


@full_precision
def region_relation(
    features: Tensor,
    scale: Tensor | float,
    grid: int = 4,
    levels: Sequence[int] = (1, 2, 4),
    normalisation: Normalisation = "l2",
) -> tuple[list[Tensor], Tensor]:
    """Compute relations between the regions of each tile at several levels of detail.

    P is the map pooled to `grid` × `grid`. At level n, Y is P pooled to n × n and read as n² vectors,
    R = rows(Y Yᵀ) and Z = R Y, laid out n × n again and enlarged to the grid by nearest neighbour. The aware
    feature is A = P + scale · Σ Z. Level 1 relates the tile to itself: its relation is 1 for every network and
    carries no loss, only its Z reaches A.

    Args:
        features: Feature map (B, C, H, W).
        scale: The learned β, a scalar.
        grid: Side of the pooled map.
        levels: The n of each level.
        normalisation: As in `sample_relation`.

    Returns:
        One relation (B, n², n²) a level, and the aware feature A (B, C, grid, grid), float32 or float64.
    """
    pooled = features if features.shape[-2:] == (grid, grid) else F.adaptive_avg_pool2d(features, grid)
    relations, enlarged = [], []
    for level in levels:
        cells = pooled if level == grid else F.adaptive_avg_pool2d(pooled, level)
        vectors = cells.flatten(2).transpose(1, 2)
        relation = relation_of_rows(vectors, normalisation)
        mixed = (relation @ vectors).transpose(1, 2).unflatten(2, (level, level))
        relations.append(relation)
        enlarged.append(F.interpolate(mixed, size=(grid, grid), mode="nearest"))
    return relations, pooled + scale * sum(enlarged[1:], start=enlarged[0])


@full_precision
def relation_between(vectors: Tensor, form: RelationForm, temperature: float = 0.1) -> Tensor:
    """Relate the samples of a batch in one of four forms.

    Args:
        vectors: Features (B, C), one row per sample.
        form: `gram`: rows(f fᵀ), as HVisKD has it. The others first standardise each channel over the batch (mean 0,
            deviation 1; a constant channel becomes 0), since after a ReLU the common mean is most of what a Gram
            matrix shows. `centred`: z zᵀ divided by its L2 norm, as CKA compares (Kornblith et al. 2019).
            `cosine`: the cosines of the rows of z. `softmax`: those divided by `temperature`, each row a distribution.
        temperature: Of `softmax`.

    Returns:
        The relation (B, B), float32 or float64.
    """
    if form == "gram":
        return relation_of_rows(vectors, "l2")
    standard = standardised(vectors)
    if form == "centred":
        gram = standard @ standard.T
        return gram / torch.linalg.vector_norm(gram).clamp_min(_SMALLEST)
    rows = unit(standard)
    cosines = rows @ rows.T
    return cosines if form == "cosine" else (cosines / temperature).softmax(dim=1)


def standardised(vectors: Tensor) -> Tensor:
    """Return (B, C) with mean 0 and standard deviation 1 of each channel over the batch; constant channels become 0."""
    return unit(vectors - vectors.mean(dim=0), dim=0) * math.sqrt(len(vectors))


def relation_of_rows(vectors: Tensor, normalisation: Normalisation) -> Tensor:
    """Return the Gram matrix (…, n, n) of vectors (…, n, C), with normalised rows."""
    gram = vectors @ vectors.transpose(-1, -2)
    return gram.softmax(dim=-1) if normalisation == "softmax" else F.normalize(gram, dim=-1)


def row_divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """Return KL(softmax(t) ‖ softmax(s)) over the last dimension of scores, mean over all rows.

    Scores of −∞ in both count for nothing.
    """
    theirs, ours = (scores.log_softmax(dim=-1) for scores in (teacher, student))
    return (theirs.exp() * (theirs - ours).masked_fill(theirs.isneginf(), 0)).sum(dim=-1).mean()
