"""Varies haematoxylin and eosin in a batch of training tiles, as between laboratories.

A tile's light becomes optical density, the density is unmixed into the two stains and what neither explains, each
stain is made stronger or weaker, and all is mixed again (Tellez et al. 2018; their additive shift is left out, for
it would tint the glass). For one tile that is one 3 × 3 matrix.
"""

import torch
from torch import Tensor

# Optical density of red, green and blue in haematoxylin and in eosin: Ruifrok and Johnston 2001.
_STAINS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11))


def stain_jitter(images: Tensor, generator: torch.Generator, strength: float) -> Tensor:
    """Multiply haematoxylin and eosin in each tile by independent random factors.

    Args:
        images: RGB uint8 (B, H, W, 3), on any device.
        generator: The random numbers, on the CPU, so that they are the same wherever the images are.
        strength: 0 changes nothing; the factors lie from exp(−strength) to exp(strength), as likely below 1 as above.

    Returns:
        New images, uint8 (B, H, W, 3); glass stays as it is.

    Raises:
        ValueError: `strength` is negative, or `images` are not uint8 (B, H, W, 3).
    """
    return scale_stains(images, draw_factors(len(images), generator, strength))


def draw_factors(count: int, generator: torch.Generator, strength: float) -> Tensor:
    """Draw the factors (count, 2) of haematoxylin and eosin for `count` tiles.

    Raises:
        ValueError: `strength` is negative.
    """
    if strength < 0:
        raise ValueError(f"strength must not be negative: {strength}")
    return torch.exp(strength * (2 * torch.rand(count, 2, generator=generator) - 1))


def scale_stains(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply haematoxylin and eosin in each tile.

    Args:
        images: RGB uint8 (B, H, W, 3), on any device.
        factors: Of haematoxylin and of eosin, (B, 2), above 0, on the CPU.

    Returns:
        New images, uint8 (B, H, W, 3); glass stays as it is.

    Raises:
        ValueError: `images` are not uint8 (B, H, W, 3).
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"need uint8 (B, H, W, 3), not {images.dtype} {tuple(images.shape)}")
    matrices = _density_matrices(factors).to(images.device)
    light = images.flatten(1, 2).float().add_(1).div_(256)
    light = torch.bmm(light.log_(), matrices).exp_()  # the logarithm of light is density, but for its sign
    return light.mul_(256).sub_(1).round_().clamp_(0, 255).to(torch.uint8).view(images.shape)


def _density_matrices(factors: Tensor) -> Tensor:
    """Return the matrix (3, 3) that scales the stains of a row of density; factors (B, 2), result (B, 3, 3)."""
    stains = torch.nn.functional.normalize(torch.tensor(_STAINS, dtype=torch.float64), dim=1)
    rest = torch.linalg.cross(stains[0], stains[1])
    mixing = torch.stack([stains[0], stains[1], rest / rest.norm()])
    scales = torch.cat([factors.double(), torch.ones(len(factors), 1, dtype=torch.float64)], dim=1)
    return (torch.linalg.inv(mixing) @ torch.diag_embed(scales) @ mixing).float()
