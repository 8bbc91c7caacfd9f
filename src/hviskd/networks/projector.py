"""A projector from a student's last feature map to the width that its teacher's classifier reads."""

from torch import nn

from hviskd.networks.layers import conv_norm_relu


def build_projector(in_channels: int, out_channels: int, reduction: int) -> nn.Sequential:
    """Return 1 × 1, 3 × 3 and 1 × 1 convolutions, each with normalisation and ReLU (Chen et al. 2022, SimKD).

    The inner width is `out_channels` divided by `reduction`.
    """
    inner = max(1, out_channels // reduction)
    return nn.Sequential(
        conv_norm_relu(in_channels, inner, 1), conv_norm_relu(inner, inner, 3), conv_norm_relu(inner, out_channels, 1)
    )
