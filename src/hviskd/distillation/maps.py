"""Bringing a teacher's and a student's map to one size, the same way in every method that compares maps."""

import torch.nn.functional as F
from torch import Tensor


def to_smaller(teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    """Give two maps (B, C, H, W) of one height and width: each side averaged down to the smaller of the two."""
    size = min(teacher.shape[2], student.shape[2]), min(teacher.shape[3], student.shape[3])
    return _averaged(teacher, size), _averaged(student, size)


def _averaged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return maps if maps.shape[2:] == size else F.adaptive_avg_pool2d(maps, size)
