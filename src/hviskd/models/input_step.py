"""The input step of the networks, from uint8 pixels to normalised images, shared by training and inference."""

import torch
from torch import Tensor, nn

from hviskd.models.card import Normalisation


class InputStep(nn.Module):
    """Scales uint8 tiles (B, H, W, 3) to float32 images (B, 3, H, W), with mean 0 and standard deviation 1 per channel.

    The result lies in memory as the tiles do (channels last), which convolutions on a CPU and in half precision
    read fastest.
    """

    factor: Tensor
    shift: Tensor

    def __init__(self, normalisation: Normalisation) -> None:
        super().__init__()
        mean, deviation = (torch.tensor(values) for values in (normalisation.mean, normalisation.deviation))
        self.register_buffer("factor", 1 / (255 * deviation), persistent=False)
        self.register_buffer("shift", -mean / deviation, persistent=False)

    def forward(self, tiles: Tensor) -> Tensor:
        """Scale one batch."""
        return torch.addcmul(self.shift, tiles.to(self.factor.dtype), self.factor).permute(0, 3, 1, 2)
