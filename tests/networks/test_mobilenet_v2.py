import torch
from torch import nn

from hviskd.networks import create_network
from hviskd.networks.mobilenet_v2 import InvertedResidual


def test_a_shortcut_stands_only_where_the_shape_stays():
    for in_channels, out_channels, stride in ((8, 8, 1), (8, 8, 2), (8, 12, 1)):
        block = InvertedResidual(in_channels, out_channels, stride, 6).eval()
        nn.init.zeros_(block.body[-1][-1].weight)  # the body is silent: what comes out came by the shortcut
        maps = torch.randn(1, in_channels, 10, 10)
        shape_stays = (in_channels, out_channels, stride) == (8, 8, 1)
        expected = maps if shape_stays else torch.zeros(1, out_channels, 10 // stride, 10 // stride)
        assert torch.equal(block(maps), expected)


def test_each_hidden_channel_is_filtered_by_itself():
    widen, filter_each, narrow = (m for m in InvertedResidual(8, 12, 1, 6).modules() if isinstance(m, nn.Conv2d))
    assert (widen.weight.shape, widen.groups) == ((48, 8, 1, 1), 1)
    assert (filter_each.weight.shape, filter_each.groups) == ((48, 1, 3, 3), 48)
    assert (narrow.weight.shape, narrow.groups) == ((12, 48, 1, 1), 1)


def test_maps_after_the_stem_are_linear(images):
    with torch.no_grad():
        maps = create_network("mobilenet_v2", 3).features(images)
    assert (maps[0] >= 0).all()
    assert all((f < 0).any() for f in maps[1:])


def test_seventeen_blocks_stand_in_four_stages():
    assert [len(stage) for stage in create_network("mobilenet_v2", 3).stages] == [3, 3, 7, 4]
