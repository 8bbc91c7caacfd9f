"""Groups of a tile's tokens by what they show, as regions of HVisKD: clusters, at one or several scales, or top tokens.

The teacher's tokens settle the groups, and both networks are grouped alike, so that their regions correspond. Every
function is deterministic and runs in at least float32.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hviskd.distillation.precision import full_precision
from hviskd.distillation.relations import Normalisation, relation_of_rows
from hviskd.distillation.vectors import unit

_ITERATIONS = 10


@full_precision
def cluster_groups(tokens: Tensor, count: int) -> Tensor:
    """Group the tokens of each tile by k-means on their directions, with ten iterations.

    The first centre is the token most like the tile's mean, each further one the token least like the centres so far.

    Args:
        tokens: (B, n, C).
        count: Number of groups.

    Returns:
        (B, count, n): 1 where a token is of a group, else 0. Each token is of one group; a group may be empty.
    """
    points = unit(tokens)
    likeness = (points @ unit(points.mean(dim=1, keepdim=True)).transpose(1, 2)).squeeze(2)
    chosen = [likeness.argmax(dim=1)]
    nearest = torch.full_like(likeness, -torch.inf)
    for _ in range(count - 1):
        nearest = torch.maximum(nearest, _similar(points, _at(points, chosen[-1])))
        chosen.append(nearest.argmin(dim=1))
    centres = torch.stack([_at(points, place) for place in chosen], dim=1)
    for _ in range(_ITERATIONS):
        groups = _members(points, centres)
        sums = groups @ points
        centres = torch.where(groups.sum(dim=2, keepdim=True) > 0, unit(sums), centres)
    return _members(points, centres)


@full_precision
def top_groups(tokens: Tensor, query: Tensor, count: int) -> Tensor:
    """Choose the tokens (B, n, C) of each tile that are most similar to a query (B, C), each as a group of its own.

    Returns:
        (B, count, n): one 1 per row, the most similar token first.
    """
    places = _similar(unit(tokens), unit(query)).topk(count, dim=1).indices
    return torch.zeros(len(tokens), count, tokens.shape[1], dtype=tokens.dtype, device=tokens.device).scatter_(
        2, places[..., None], 1
    )


@full_precision
def grouped_relation(
    tokens: Tensor, groupings: Sequence[Tensor], scale: Tensor | float, normalisation: Normalisation = "l2"
) -> tuple[list[Tensor], Tensor]:
    """Compute relations between groups of tokens, and add to each token what its groups resemble.

    With X the tokens and G a grouping: Y = the mean of each group's tokens, R = rows(Y Yᵀ), Z = R Y. The aware feature
    is A = X + scale · Σ Gᵀ Z over the groupings. Squares of a grid as groups give `region_relation`.

    Args:
        tokens: (B, n, C).
        groupings: Each (B, m, n), as the functions above make them.
        scale: The learned β, a scalar.
        normalisation: As in `sample_relation`.

    Returns:
        One relation (B, m, m) a grouping, and A (B, n, C).
    """
    relations, added = [], torch.zeros_like(tokens)
    for grouping in groupings:
        groups = grouping.to(tokens.dtype)
        means = groups @ tokens / groups.sum(dim=2, keepdim=True).clamp_min(1)
        relation = relation_of_rows(means, normalisation)
        relations.append(relation)
        added = added + groups.transpose(1, 2) @ (relation @ means)
    return relations, tokens + scale * added


def _similar(points: Tensor, to: Tensor) -> Tensor:
    """Return dot products (B, n) of points (B, n, C) with one vector per tile (B, C)."""
    return (points @ to[:, :, None]).squeeze(2)


def _at(points: Tensor, place: Tensor) -> Tensor:
    return points[torch.arange(len(points), device=points.device), place]


def _members(points: Tensor, centres: Tensor) -> Tensor:
    """Return (B, k, n): 1 at the centre (B, k, C) most similar to each point (B, n, C)."""
    nearest = (centres @ points.transpose(1, 2)).argmax(dim=1, keepdim=True)
    places = torch.arange(centres.shape[1], device=points.device)[None, :, None]
    return (places == nearest).to(points.dtype)
