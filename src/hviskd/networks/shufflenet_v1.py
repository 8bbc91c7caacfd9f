"""ShuffleNet with three groups (Zhang et al. 2018), with a stem for small images."""

import torch
from torch import Tensor, nn

from hviskd.networks.base import Backbone
from hviskd.networks.layers import Stage, conv_norm, conv_norm_relu

_GROUPS = 3
_STEM_CHANNELS = 24
_STAGES = ((240, 4), (480, 8), (960, 4))  # channels, units


class ShuffleUnit(nn.Module):
    """A grouped bottleneck that shuffles channels between its groups, with a shortcut.

    At stride 1 the shortcut is added; at stride 2 it is the averaged input, set behind the new channels.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        new_channels = out_channels if stride == 1 else out_channels - in_channels
        hidden = new_channels // 4
        # Groups of 8 channels would starve the first unit (their section 3.2).
        first_groups = 1 if in_channels == _STEM_CHANNELS else _GROUPS
        self.body = nn.Sequential(
            conv_norm_relu(in_channels, hidden, 1, groups=first_groups),
            nn.ChannelShuffle(first_groups),
            conv_norm_relu(hidden, hidden, 3, stride=stride, groups=hidden),
            conv_norm(hidden, new_channels, 1, groups=_GROUPS),
        )
        self.shrink = None if stride == 1 else nn.AvgPool2d(3, stride, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps (B, C_in, H, W) → (B, C_out, H / stride, W / stride), before activation."""
        new: Tensor = self.body(maps)
        return new + maps if self.shrink is None else torch.cat((new, self.shrink(maps)), 1)


def build() -> Backbone:
    """Build the parts."""
    stages = []
    in_channels = _STEM_CHANNELS
    for out_channels, count in _STAGES:
        blocks = [ShuffleUnit(in_channels, out_channels, 2)]
        blocks += [ShuffleUnit(out_channels, out_channels, 1) for _ in range(count - 1)]
        stages.append(Stage(blocks, nn.ReLU()))
        in_channels = out_channels
    return Backbone(
        stem=conv_norm(3, _STEM_CHANNELS, 1),
        stages=stages,
        activations=[nn.ReLU() for _ in range(4)],
        channels=in_channels,
        grid=4,
    )
