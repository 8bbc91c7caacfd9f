from functools import cache

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hviskd.evaluation.counting import complexity
from hviskd.networks import create_network
from hviskd.networks.base import Backbone, StagedNetwork

from ..timm_samples import TIMM, small

# Table 2 of the paper, in millions; eight classes, tiles of 150 px. It calls them FLOPs.
PAPER = {"resnet20": 915.7, "resnet8x4": 3950, "shufflenet_v1": 865.8, "shufflenet_v2": 996.5, "mobilenet_v2": 162.7}
# Of each family and width; a deeper network has more of the same blocks, as the tests of the zoo hold.
LEAST_DEEP = ["resnet8", "resnet8x4", "wrn_16_1", "wrn_16_2", "vgg8", "mobilenet_v2", "shufflenet_v1", "shufflenet_v2"]


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAST_DEEP)
def test_multiply_adds_are_half_of_the_operations_torch_counts(name):
    network = create_network(name, 8)
    with FlopCounterMode(display=False) as counter:  # of the one pass in which ours are counted
        found = complexity(network, 96)
    assert found.multiply_adds * 2 == counter.get_total_flops() > 0


def test_attention_is_counted():
    """Four blocks of 9 patches and a class token, 48 numbers each: projections, products, and an MLP of 192."""
    network = small("timm:vit_tiny_patch16_224", tile_px=48)
    tokens, width = 10, 48
    block = tokens * width * (3 * width + width + 2 * 4 * width) + 2 * tokens * tokens * width
    assert complexity(network, 48).multiply_adds == 9 * 3 * 16**2 * width + 4 * block + 3 * width


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM)
def test_networks_of_timm_are_counted_as_torch_counts_them(name):
    network = small(name)
    with FlopCounterMode(display=False) as counter:
        found = complexity(network, 32)
    assert found.multiply_adds * 2 == counter.get_total_flops() > 0


def test_a_network_counted_by_hand():
    stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
    stage = nn.Sequential(nn.Conv2d(4, 6, 1, stride=2), nn.MaxPool2d(2))
    network = StagedNetwork(Backbone(stem, [stage], [nn.ReLU(), nn.Identity()], channels=6, grid=1), 2)
    found = complexity(network, 32)
    image, first, second, pooled = 3 * 32 * 32, 4 * 32 * 32, 6 * 16 * 16, 6 * 8 * 8
    weights = 4 * 27, 4 * 4 + 1, 6 * 4 + 6, 2 * 6 + 2  # a normalisation counts its batches too
    assert found.parameters == 4 * 27 + 8 + 30 + 14
    assert found.multiply_adds == first * 27 + second * 4 + 6 * 2
    assert found.flops == 2 * found.multiply_adds + 2 * first + first + second + second + pooled + 2
    written = first * 3 + second + pooled + 6 + 2
    assert found.bytes_written == found.all_activation_bytes == 4 * written
    assert found.bytes_read == 4 * (image + 3 * first + second + pooled + 6 + sum(weights))
    assert found.activation_bytes == 4 * 2 * first
    assert found.weight_bytes == sum(one.numel() * one.element_size() for one in network.state_dict().values())


@cache
def in_the_paper(name):
    return complexity(create_network(name, 8, "grid"), 150)


@pytest.mark.parametrize("name", ["resnet20", "resnet8x4", "shufflenet_v1", "shufflenet_v2"])
def test_the_paper_s_figures_are_multiply_adds(name):
    assert in_the_paper(name).multiply_adds / 1e6 == pytest.approx(PAPER[name], rel=0.02)


@pytest.mark.parametrize("name", ["resnet20", "resnet8x4", "mobilenet_v2"])
def test_the_paper_s_figures_are_met_more_closely_where_other_layers_count_too(name):
    assert in_the_paper(name).layer_operations / 1e6 == pytest.approx(PAPER[name], rel=0.003)


def test_the_network_is_left_as_it_was():
    network = create_network("resnet8", 3).train()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    complexity(network, 64)
    assert network.training
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())
    assert not any(part._forward_hooks for part in network.modules())
