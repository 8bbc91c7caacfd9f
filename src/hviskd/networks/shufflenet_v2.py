"""ShuffleNetV2 at width 1 (Ma et al. 2018), with a stem for small images."""

import torch
from torch import Tensor, nn

from hviskd.networks.base import Backbone
from hviskd.networks.layers import Stage, conv_norm, conv_norm_relu

_STEM_CHANNELS = 24
_STAGES = ((116, 4), (232, 8), (464, 4))  # channels, units


class SplitUnit(nn.Module):
    """Half of the channels are unchanged, half pass a bottleneck; then both halves are shuffled.

    The untouched half comes from behind a ReLU, so the ReLU that follows the unit changes it no more and may
    follow the shuffle as well as go before it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = _bottleneck(channels // 2, channels // 2, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps (B, C, H, W) → (B, C, H, W), before activation."""
        kept, worked = maps.chunk(2, 1)
        return interleave(kept, self.body(worked))


class DownUnit(nn.Module):
    """Two branches that read all channels, halve the map, and each give half of the new channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.short = nn.Sequential(
            conv_norm(in_channels, in_channels, 3, stride=2, groups=in_channels), conv_norm(in_channels, half, 1)
        )
        self.body = _bottleneck(in_channels, half, 2)

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps (B, C_in, H, W) → (B, C_out, H / 2, W / 2), before activation."""
        return interleave(self.short(maps), self.body(maps))


def interleave(first: Tensor, second: Tensor) -> Tensor:
    """Interleave the channels of two feature maps (B, C, H, W), as (B, 2C, H, W).

    This is a channel shuffle of two groups on their concatenation, at the cost of one copy instead of two.
    """
    return torch.stack((first, second), 2).flatten(1, 2)


def build() -> Backbone:
    """Build the parts."""
    stages = []
    in_channels = _STEM_CHANNELS
    for out_channels, count in _STAGES:
        blocks: list[nn.Module] = [DownUnit(in_channels, out_channels)]
        blocks += [SplitUnit(out_channels) for _ in range(count - 1)]
        stages.append(Stage(blocks, nn.ReLU()))
        in_channels = out_channels
    return Backbone(
        stem=conv_norm(3, _STEM_CHANNELS, 1),
        stages=stages,
        activations=[nn.ReLU() for _ in range(4)],
        channels=1024,
        grid=4,
        neck=conv_norm_relu(in_channels, 1024, 1),
    )


def _bottleneck(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        conv_norm_relu(in_channels, out_channels, 1),
        conv_norm(out_channels, out_channels, 3, stride=stride, groups=out_channels),
        conv_norm(out_channels, out_channels, 1),
    )
