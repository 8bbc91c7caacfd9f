"""Small learned modules that bring a student's map to a teacher's width; methods own them and training drops them."""

from torch import nn


def connector(width_in: int, width_out: int) -> nn.Sequential:
    """Give a 1 × 1 convolution without bias (drawn as He et al. 2015, fan-out) and batch normalisation."""
    convolution = nn.Conv2d(width_in, width_out, kernel_size=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(width_out))
