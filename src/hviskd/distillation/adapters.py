"""Small learned modules that adapt a student's feature map to the teacher's width; discarded after training."""

from torch import nn


def connector(width_in: int, width_out: int) -> nn.Sequential:
    """Return a 1 × 1 convolution without bias (initialised as He et al. 2015, fan-out) and batch normalisation."""
    convolution = nn.Conv2d(width_in, width_out, kernel_size=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(width_out))
