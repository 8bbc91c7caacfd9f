"""Vectors as methods compare them: pooled from a map, or brought to unit length without harm where they are zero."""

import math

import torch
from torch import Tensor

_SHORTEST = 1e-8


def pooled(maps: Tensor) -> Tensor:
    """Give the mean of maps (B, C, H, W) over height and width, (B, C), in at least float32.

    Of the last map it is what the classifier of a `gap` head reads.
    """
    return maps.mean(dim=(2, 3), dtype=torch.promote_types(maps.dtype, torch.float32))


def unit(vectors: Tensor, dim: int = -1) -> Tensor:
    """Give vectors divided by their L2 norm along `dim`; one shorter than 1e-8 becomes zero, and its gradient too.

    A ReLU often leaves nothing of a channel or a tile, and dividing by a small constant there, as is usual, sends
    back gradients as large as its inverse.
    """
    norm = torch.linalg.vector_norm(vectors, dim=dim, keepdim=True)
    return vectors / norm.masked_fill(norm < _SHORTEST, math.inf)
