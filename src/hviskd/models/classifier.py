"""A Model as one module, from uint8 pixels to probabilities, for engines and exports."""

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hviskd.models.input_step import InputStep
from hviskd.models.model import Model


class TileClassifier(nn.Module):
    """A Model as one module: uint8 tiles (B, tile_px, tile_px, 3) → float32 probabilities (B, K).

    Scaling and softmax are part of it and always run in float32; `dtype` is what the network calculates with, and
    `layout` how its maps lie in memory.
    """

    def __init__(
        self,
        model: Model,
        dtype: torch.dtype = torch.float32,
        layout: torch.memory_format = torch.channels_last,
    ) -> None:
        super().__init__()
        self.step = InputStep(model.card.normalisation)
        self.network = inference_network(model).to(dtype).to(memory_format=layout)  # type: ignore[call-overload]
        self.dtype, self.layout = dtype, layout

    def forward(self, tiles: Tensor) -> Tensor:
        """Classify one batch."""
        logits = self.network(self.step(tiles).to(self.dtype, memory_format=self.layout))
        return torch.softmax(logits.float(), dim=1)


def inference_network(model: Model) -> nn.Module:
    """Copy a Model's network to the CPU, with each normalisation merged into the preceding convolution.

    After training a normalisation only scales and shifts, so it may as well scale the weights of the convolution and
    shift its bias.
    """
    network = copy.deepcopy(model.network).cpu().eval()
    for chain in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for place, (conv, norm) in enumerate(pairwise(list(chain))):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                chain[place], chain[place + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return network.requires_grad_(requires_grad=False)
