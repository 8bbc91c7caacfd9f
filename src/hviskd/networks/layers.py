"""Layers shared by several architectures."""

from collections.abc import Iterable, Iterator

from torch import Tensor, nn


class Stage(nn.Module):
    """A sequence of blocks with an activation between them and none after the last.

    Iterating gives the blocks in order. The activation never works in place, so that a block's output may be
    kept as it was.
    """

    def __init__(self, blocks: Iterable[nn.Module], activation: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.activation = activation

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)

    def forward(self, maps: Tensor, kept: list[Tensor] | None = None) -> Tensor:
        """Maps (B, C_in, H, W) → (B, C_out, H', W'), before activation; appends every block's output to `kept`."""
        for position, block in enumerate(self.blocks):
            if position:
                maps = self.activation(maps)
            maps = block(maps)
            if kept is not None:
                kept.append(maps)
        return maps


def conv(
    in_channels: int, out_channels: int, kernel_px: int, *, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Return a convolution padded so that at stride 1 the map keeps its size; `kernel_px` is odd."""
    return nn.Conv2d(in_channels, out_channels, kernel_px, stride, kernel_px // 2, groups=groups, bias=bias)


def conv_norm(
    in_channels: int, out_channels: int, kernel_px: int, *, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Sequential:
    """Return `conv` followed by batch normalisation."""
    return nn.Sequential(
        conv(in_channels, out_channels, kernel_px, stride=stride, groups=groups, bias=bias),
        nn.BatchNorm2d(out_channels),
    )


def conv_norm_relu(
    in_channels: int, out_channels: int, kernel_px: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Return `conv_norm` and a ReLU, which may be in place since nothing else reads the normalisation's output."""
    return conv_norm(in_channels, out_channels, kernel_px, stride=stride, groups=groups).append(nn.ReLU(inplace=True))
