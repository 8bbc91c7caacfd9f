"""Vectors for comparison: pooled from a feature map, or normalised to unit length, safely for zero vectors."""

import math

import torch
from torch import Tensor

_SHORTEST = 1e-8


def pooled(maps: Tensor) -> Tensor:
    """Return the mean of maps (B, C, H, W) over height and width, (B, C), in at least float32.

    Of the last map it is what the classifier of a `gap` head reads.
    """
    return maps.mean(dim=(2, 3), dtype=torch.promote_types(maps.dtype, torch.float32))


def unit(vectors: Tensor, dim: int = -1) -> Tensor:
    """Return vectors divided by their L2 norm along `dim`; those shorter than 1e-8 become zero, with zero gradient.

    A ReLU often leaves nothing of a channel or a tile, and dividing by a small constant there, as is usual, sends
    back gradients as large as its inverse.
    """
    norm = torch.linalg.vector_norm(vectors, dim=dim, keepdim=True)
    return vectors / norm.masked_fill(norm < _SHORTEST, math.inf)
