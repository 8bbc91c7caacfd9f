"""Augments batches of training tiles, on the device where they are.

What is drawn at random and what is done with it are apart (`draw_variation`, `vary`), so that a variation can be kept
and repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from hviskd.tiles.jitter import draw_factors, scale_stains

Augmentation = Literal["turn_and_flip", "shift_and_flip", "none"]

SYMMETRIES = 8  # of a square: what `turn_and_flip` can do to a tile
_SHIFT_PX = 4


@dataclass(frozen=True)
class Variation:
    """How each tile of a batch is varied; what is None stays as it is. All on the CPU.

    Attributes:
        stains: Factors (B, 2) of haematoxylin and eosin, as `scale_stains` takes them.
        turns: Symmetries (B,), int64 from 0 to 7, as `turn` takes them.
        shifts: (B, 3), int64: rows and columns to shift by, from 0 to 8 (4: none), and whether to mirror.
    """

    stains: Tensor | None = None
    turns: Tensor | None = None
    shifts: Tensor | None = None

    def __getitem__(self, index: Tensor) -> "Variation":
        """Return the variations at positions (B',)."""
        return Variation(*(None if part is None else part[index] for part in self._parts()))

    def _parts(self) -> tuple[Tensor | None, ...]:
        return self.stains, self.turns, self.shifts


def joined(variations: Sequence[Variation]) -> Variation:
    """Return variations of the same kinds one after another."""
    kinds = zip(*(variation._parts() for variation in variations), strict=True)
    return Variation(*(None if None in parts else torch.cat(parts) for parts in kinds))


def draw_variation(
    count: int, generator: torch.Generator, augmentation: Augmentation, stain_strength: float
) -> Variation:
    """Draw at random how each of `count` tiles is varied.

    Args:
        count: B.
        generator: On the CPU; the same state gives the same variations.
        augmentation: `turn_and_flip`, `shift_and_flip`, or `none`.
        stain_strength: Of `stain_jitter`; 0 leaves the stains as they are.
    """
    return Variation(
        stains=draw_factors(count, generator, stain_strength) if stain_strength else None,
        turns=_draw_turns(count, generator) if augmentation == "turn_and_flip" else None,
        shifts=_draw_shifts(count, generator) if augmentation == "shift_and_flip" else None,
    )


def vary(images: Tensor, variation: Variation) -> Tensor:
    """Vary the stain of every tile, then its position or orientation.

    Args:
        images: RGB uint8 (B, H, W, 3).
        variation: Of B tiles.

    Returns:
        uint8 (B, H, W, 3) on the same device; `images` stays as it is.
    """
    if variation.stains is not None:  # before the shift, whose black border has no stain
        images = scale_stains(images, variation.stains)
    if variation.turns is not None:
        images = turn(images, variation.turns)
    return images if variation.shifts is None else _shift(images, variation.shifts)


def augment(images: Tensor, generator: torch.Generator, augmentation: Augmentation, stain_strength: float) -> Tensor:
    """Return images (B, H, W, 3), varied as `draw_variation` draws."""
    return vary(images, draw_variation(len(images), generator, augmentation, stain_strength))


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
    return turn(images, _draw_turns(len(images), generator))


def turn(images: Tensor, turns: Tensor) -> Tensor:
    """Apply one of the eight symmetries of the square to each image.

    Args:
        images: (B, H, W, C) with H = W, any dtype.
        turns: (B,) int64 from 0 to 7, the sum of 1 (transpose), 2 (mirror left to right) and 4 (mirror top to bottom),
            in this order.

    Returns:
        (B, H, W, C) of the same dtype on the same device.
    """
    transpose, mirror, invert = ((turns[:, None, None, None] & bit > 0).to(images.device) for bit in (1, 2, 4))
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
    return _shift(images, _draw_shifts(len(images), generator))


def _shift(images: Tensor, shifts: Tensor) -> Tensor:
    count, height, width, _ = images.shape
    top, left, mirrored = shifts.to(images.device)[:, :, None].unbind(dim=1)
    column = torch.arange(width, device=images.device)
    rows = top + torch.arange(height, device=images.device)
    columns = left + torch.where(mirrored > 0, column.flip(0), column)
    padded = F.pad(images, (0, 0, *[_SHIFT_PX] * 4))
    tile = torch.arange(count, device=images.device)[:, None, None]
    return padded[tile, rows[:, :, None], columns[:, None, :]]


def _draw_turns(count: int, generator: torch.Generator) -> Tensor:
    transpose, mirror, invert = torch.randint(2, (3, count), generator=generator, device=generator.device)
    return transpose + 2 * mirror + 4 * invert


def _draw_shifts(count: int, generator: torch.Generator) -> Tensor:
    places = torch.randint(2 * _SHIFT_PX + 1, (2, count), generator=generator, device=generator.device)
    mirror = torch.randint(2, (1, count), generator=generator, device=generator.device)
    return torch.cat([places, mirror]).T
