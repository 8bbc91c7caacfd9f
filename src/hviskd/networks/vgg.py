"""VGG networks with batch normalisation (Simonyan and Zisserman 2015), without their hidden linear layers."""

from torch import nn

from hviskd.networks.base import Backbone
from hviskd.networks.layers import Stage, conv_norm

_WIDTHS = (64, 128, 256, 512, 512)


def build(convs: tuple[int, int, int, int, int]) -> Backbone:
    """Build the parts from the number of 3 × 3 convolutions for each of the feature maps f0 to f4.

    The map is halved where its width doubles, and so not between the last two stages.
    """
    stages = []
    in_channels = 3
    for count, width in zip(convs, _WIDTHS, strict=True):
        blocks = [conv_norm(in_channels, width, 3, bias=True)]
        blocks += [conv_norm(width, width, 3, bias=True) for _ in range(count - 1)]
        if width == 2 * in_channels:
            blocks[0] = nn.Sequential(nn.MaxPool2d(2), blocks[0])
        stages.append(Stage(blocks, nn.ReLU()))
        in_channels = width
    stem, *stages = stages
    return Backbone(stem, stages, activations=[nn.ReLU() for _ in _WIDTHS], channels=_WIDTHS[-1], grid=1)
