"""Wide residual networks (Zagoruyko and Komodakis 2016), with pre-activation blocks."""

from torch import Tensor, nn

from hviskd.networks.base import Backbone
from hviskd.networks.layers import Stage, conv, conv_norm_relu


class WideBlock(nn.Module):
    """Normalisation and ReLU, then two 3 × 3 convolutions and a shortcut; returns their sum without activation.

    A shortcut that must change the shape starts after the ReLU, any other before the normalisation.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU(inplace=True))
        self.body = nn.Sequential(
            conv_norm_relu(in_channels, out_channels, 3, stride=stride), conv(out_channels, out_channels, 3)
        )
        same_shape = stride == 1 and in_channels == out_channels
        self.project = None if same_shape else conv(in_channels, out_channels, 1, stride=stride)

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps (B, C_in, H, W) → (B, C_out, H / stride, W / stride), before activation."""
        entered = self.enter(maps)
        total: Tensor = self.body(entered) + (maps if self.project is None else self.project(entered))
        return total


def build(depth: int, factor: int) -> Backbone:
    """Build the parts of a network of `depth` = 6n + 4 layers, `factor` times as wide as a residual network.

    The maps f0 to f2 are raw sums; the network's closing normalisation ends the last block, and a ReLU makes f3.
    """
    widths = (16, 16 * factor, 32 * factor, 64 * factor)
    stages = []
    for in_channels, out_channels, stride in zip(widths, widths[1:], (1, 2, 2), strict=False):
        blocks: list[nn.Module] = [WideBlock(in_channels, out_channels, stride)]
        blocks += [WideBlock(out_channels, out_channels, 1) for _ in range((depth - 4) // 6 - 1)]
        if out_channels == widths[-1]:
            blocks[-1] = nn.Sequential(blocks[-1], nn.BatchNorm2d(out_channels))
        stages.append(Stage(blocks, nn.Identity()))
    return Backbone(
        stem=conv(3, widths[0], 3),
        stages=stages,
        activations=[nn.Identity(), nn.Identity(), nn.Identity(), nn.ReLU()],
        channels=widths[-1],
        grid=4,
    )
