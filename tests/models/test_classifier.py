"""The network as it is put to work computes what the trained one does."""

import numpy as np
import pytest
import torch
from torch import nn

from hviskd.models.classifier import TileClassifier, inference_network
from tests.models.make import make_model


@pytest.mark.slow
@pytest.mark.parametrize("network", ["resnet20", "wrn_16_2", "vgg13", "mobilenet_v2", "shufflenet_v1", "shufflenet_v2"])
def test_merged_normalisations_change_nothing(tmp_path, network):
    model = make_model(tmp_path / "model", network, tile_px=32)
    merged = inference_network(model)
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        np.testing.assert_allclose(merged(images), model.network(images), rtol=1e-3, atol=1e-4)
    left = sum(isinstance(module, nn.BatchNorm2d) for module in merged.modules())
    assert left < sum(isinstance(module, nn.BatchNorm2d) for module in model.network.modules())
    if not network.startswith("wrn"):  # whose blocks normalise before they convolve
        assert left == 0


def test_the_classifier_is_the_model(model):
    tiles = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    with torch.no_grad():
        given = TileClassifier(model)(torch.from_numpy(tiles)).numpy()
    np.testing.assert_allclose(given, model.predict(tiles, device="cpu"), atol=1e-5)
