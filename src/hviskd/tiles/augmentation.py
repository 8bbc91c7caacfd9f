"""Augments batches of training tiles, on the device where they are."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from hviskd.tiles.jitter import stain_jitter

Augmentation = Literal["turn_and_flip", "shift_and_flip", "none"]

_SHIFT_PX = 4


def augment(images: Tensor, generator: torch.Generator, augmentation: Augmentation, stain_strength: float) -> Tensor:
    """Vary the stain of every tile, then its position or orientation.

    Args:
        images: RGB uint8 (B, H, W, 3).
        generator: On the CPU; the same state gives the same result.
        augmentation: `turn_and_flip`, `shift_and_flip`, or `none`.
        stain_strength: Of `stain_jitter`; 0 leaves the stains as they are.

    Returns:
        uint8 (B, H, W, 3) on the same device; `images` stays as it is.
    """
    if stain_strength:  # before the shift, whose black border has no stain
        images = stain_jitter(images, generator, stain_strength)
    return images if augmentation == "none" else _WAYS[augmentation](images, generator)


def turn_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate and reflect each tile: one of the eight symmetries of the square, with equal probability.

    A tile is transposed, mirrored left to right, and mirrored top to bottom, each with probability one half.

    Args:
        images: (B, H, W, C) with H = W, any dtype.
        generator: On the CPU or on the images' device; the same state gives the same result.

    Returns:
        (B, H, W, C) of the same dtype on the same device; `images` stays as it is.

    Raises:
        ValueError: The images are not four-dimensional and square.
    """
    if images.ndim != 4 or images.shape[1] != images.shape[2]:
        raise ValueError(f"images of shape {tuple(images.shape)}, need (B, H, W, C) with H = W")
    draws = torch.randint(2, (3, len(images), 1, 1, 1), generator=generator, device=generator.device)
    transpose, mirror, invert = draws.to(images.device, torch.bool)
    images = torch.where(transpose, images.transpose(1, 2), images)
    images = torch.where(mirror, images.flip(2), images)
    return torch.where(invert, images.flip(1), images)


def shift_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each tile by up to 4 px along each axis, with black padding, and flip every other one left to right.

    What is usual for CIFAR (He et al. 2016, section 4.2): 4 px of zeros all round, and a crop of the former size at
    one of the 9 × 9 places, each as likely.

    Args:
        images: (B, H, W, C), any dtype.
        generator: On the CPU or on the images' device; the same state gives the same result.

    Returns:
        (B, H, W, C) of the same dtype on the same device; `images` stays as it is.

    Raises:
        ValueError: The images are not four-dimensional.
    """
    if images.ndim != 4:
        raise ValueError(f"images of shape {tuple(images.shape)}, need (B, H, W, C)")
    count, height, width, _ = images.shape
    places = torch.randint(2 * _SHIFT_PX + 1, (2, count, 1), generator=generator, device=generator.device)
    mirror = torch.randint(2, (count, 1), generator=generator, device=generator.device)
    top, left, mirrored = places[0].to(images.device), places[1].to(images.device), mirror.to(images.device, torch.bool)
    column = torch.arange(width, device=images.device)
    rows = top + torch.arange(height, device=images.device)
    columns = left + torch.where(mirrored, column.flip(0), column)
    padded = F.pad(images, (0, 0, *[_SHIFT_PX] * 4))
    tile = torch.arange(count, device=images.device)[:, None, None]
    return padded[tile, rows[:, :, None], columns[:, None, :]]


_WAYS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "turn_and_flip": turn_and_flip,
    "shift_and_flip": shift_and_flip,
}
