import pytest
import torch
from torch import nn

from hviskd.networks import create_network


@pytest.mark.parametrize(("name", "layers"), {"vgg11": 11, "vgg13": 13, "vgg16": 16, "vgg19": 19}.items())
def test_a_name_counts_the_convolutions_and_the_three_layers_once_behind_them(name, layers):
    with torch.device("meta"):
        network = create_network(name, 8)
    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convs) + 3 == layers
    assert all(module.bias is not None for module in convs)


def test_three_stages_begin_by_halving_their_map():
    with torch.device("meta"):
        network = create_network("vgg19", 8)
    first_modules = [
        next(module for module in stage.modules() if not list(module.children())) for stage in network.stages
    ]
    assert [type(module) for module in first_modules] == [nn.MaxPool2d, nn.MaxPool2d, nn.MaxPool2d, nn.Conv2d]
    assert not any(isinstance(module, nn.MaxPool2d) for module in network.stem.modules())
