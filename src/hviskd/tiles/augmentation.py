"""Augments tiles on whatever device they are; training calls it batch by batch."""

import torch
from torch import Tensor


def turn_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn and mirror every tile on its own: one of the eight symmetries of the square, each as likely.

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
