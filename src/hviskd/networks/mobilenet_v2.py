"""MobileNetV2 at half width (Sandler et al. 2018), which halves its images four times instead of five."""

from torch import Tensor, nn

from hviskd.networks.base import Backbone
from hviskd.networks.layers import Stage, conv_norm, conv_norm_relu

# One row a run of blocks: expansion, channels, blocks, first stride (their Table 2, channels halved).
_STAGES = (
    ((1, 8, 1, 1), (6, 12, 2, 1)),
    ((6, 16, 3, 2),),
    ((6, 32, 4, 2), (6, 48, 3, 1)),
    ((6, 80, 3, 2), (6, 160, 1, 1)),
)


class InvertedResidual(nn.Module):
    """Widen, filter each channel separately, narrow without activation; with a shortcut if the shape is unchanged."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = expansion * in_channels
        self.body = nn.Sequential(
            conv_norm_relu(in_channels, hidden, 1),
            conv_norm_relu(hidden, hidden, 3, stride=stride, groups=hidden),
            conv_norm(hidden, out_channels, 1),
        )
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps (B, C_in, H, W) → (B, C_out, H / stride, W / stride), before activation."""
        narrowed: Tensor = self.body(maps)
        return maps + narrowed if self.has_shortcut else narrowed


def build() -> Backbone:
    """Build the parts; the feature maps f1 to f4 are linear, and only the stem's map f0 goes through a ReLU."""
    stages = []
    in_channels = 16
    for rows in _STAGES:
        blocks = []
        for expansion, out_channels, count, first_stride in rows:
            for position in range(count):
                stride = 1 if position else first_stride
                blocks.append(InvertedResidual(in_channels, out_channels, stride, expansion))
                in_channels = out_channels
        stages.append(Stage(blocks, nn.Identity()))
    return Backbone(
        stem=conv_norm(3, 16, 3, stride=2),
        stages=stages,
        activations=[nn.ReLU(), *(nn.Identity() for _ in stages)],
        channels=1280,
        grid=5,
        neck=conv_norm_relu(in_channels, 1280, 1),
    )
