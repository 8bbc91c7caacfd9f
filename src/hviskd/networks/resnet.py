"""Residual networks for small images (He et al. 2016, section 4.2)."""

from torch import Tensor, nn

from hviskd.networks.base import Backbone
from hviskd.networks.layers import Stage, conv_norm, conv_norm_relu


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions and a shortcut; returns their sum before its ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_norm_relu(in_channels, out_channels, 3, stride=stride), conv_norm(out_channels, out_channels, 3)
        )
        same_shape = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same_shape else conv_norm(in_channels, out_channels, 1, stride=stride)

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps (B, C_in, H, W) → (B, C_out, H / stride, W / stride), before activation."""
        total: Tensor = self.body(maps) + self.shortcut(maps)
        return total


def build(depth: int, widths: tuple[int, int, int, int], stem_stride: int = 1) -> Backbone:
    """Build the parts of a residual network of `depth` = 6n + 2 layers; `widths` are the channels of f0 to f3.

    The published stem is a 3 × 3 convolution at stride 1, made for images of 32 px. At a larger `stem_stride` it is
    7 × 7, as in the networks of the same paper's section 4.1, and everything after it costs the square of the
    stride less.
    """
    stages = []
    for in_channels, out_channels, stride in zip(widths, widths[1:], (1, 2, 2), strict=False):
        blocks = [BasicBlock(in_channels, out_channels, stride)]
        blocks += [BasicBlock(out_channels, out_channels, 1) for _ in range((depth - 2) // 6 - 1)]
        stages.append(Stage(blocks, nn.ReLU()))
    return Backbone(
        stem=conv_norm(3, widths[0], 3 if stem_stride == 1 else 7, stride=stem_stride),
        stages=stages,
        activations=[nn.ReLU() for _ in widths],
        channels=widths[-1],
        grid=4,
    )
