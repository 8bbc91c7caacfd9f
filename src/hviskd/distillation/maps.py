"""Brings a teacher's and a student's feature map to the same size, for every method that compares maps."""

import torch.nn.functional as F
from torch import Tensor

# Published weights were tuned on images of 32 × 32 px, whose maps are 32, 16 and 8 px wide.
PUBLISHED_MAP_PIXELS = 16**2
_PUBLISHED_IMAGE_PIXELS = 32**2


def to_smaller(teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    """Return two maps (B, C, H, W) of equal height and width: each side is averaged down to the smaller one."""
    size = min(teacher.shape[2], student.shape[2]), min(teacher.shape[3], student.shape[3])
    return _averaged(teacher, size), _averaged(student, size)


def published_share(images: Tensor) -> float:
    """Return 32² divided by the pixels of one of the images (B, 3, H, W).

    Times this, a sum over the pixels of a map is about what it would be for images of 32 × 32 px, and a weight that was
    published for those keeps its meaning.
    """
    return _PUBLISHED_IMAGE_PIXELS / (images.shape[2] * images.shape[3])


def _averaged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return maps if maps.shape[2:] == size else F.adaptive_avg_pool2d(maps, size)
