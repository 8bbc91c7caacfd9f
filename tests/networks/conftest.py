"""Images that are the same in every run."""

import pytest
import torch

ONE_OF_EACH_FAMILY = ["resnet8", "wrn_16_1", "vgg8", "mobilenet_v2", "shufflenet_v1", "shufflenet_v2"]


@pytest.fixture
def images() -> torch.Tensor:
    """Two images of 32 px, float32 (2, 3, 32, 32)."""
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _same_weights_every_run() -> None:
    torch.manual_seed(0)
