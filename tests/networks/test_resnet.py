import torch
from torch import nn
from torch.nn import functional as F

from hviskd.models.card import NetworkChoice
from hviskd.networks import create_network
from hviskd.networks.resnet import BasicBlock, build


def normalise(maps, norm):
    return F.batch_norm(maps, norm.running_mean, norm.running_var, norm.weight, norm.bias)


def test_a_block_adds_two_convolutions_to_a_projected_shortcut():
    block = BasicBlock(4, 6, 2).eval()
    first, first_norm, second, second_norm, project, project_norm = (
        module for module in block.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    )
    maps = torch.randn(2, 4, 9, 9)

    hidden = F.relu(normalise(F.conv2d(maps, first.weight, stride=2, padding=1), first_norm))
    body = normalise(F.conv2d(hidden, second.weight, padding=1), second_norm)
    shortcut = normalise(F.conv2d(maps, project.weight, stride=2), project_norm)

    torch.testing.assert_close(block(maps), body + shortcut)


def test_a_block_whose_body_is_silent_hands_its_input_through():
    block = BasicBlock(4, 4, 1).eval()
    nn.init.zeros_(block.body[-1][-1].weight)
    maps = torch.randn(2, 4, 9, 9)
    assert torch.equal(block(maps), maps)


def test_depth_counts_the_layers_on_the_way():
    for depth in (8, 20, 110):
        backbone = build(depth, (16, 16, 32, 64))
        on_the_way = 1 + sum(2 * len(stage) for stage in backbone.stages) + 1  # stem, two a block, classifier
        assert on_the_way == depth


def test_a_stem_with_a_stride_makes_every_map_smaller_and_the_rest_of_the_network_stays():
    usual, strided = create_network("resnet8", 5), create_network("resnet8", 5, arguments={"stem_stride": 4})
    assert [maps[1:] for maps in strided.shapes(64).stages] == [(16, 16), (16, 16), (8, 8), (4, 4)]
    assert [maps[1:] for maps in usual.shapes(64).stages] == [(64, 64), (64, 64), (32, 32), (16, 16)]
    others = [
        {name: tensor.shape for name, tensor in network.state_dict().items() if not name.startswith("stem")}
        for network in (usual, strided)
    ]
    assert others[0] == others[1]
    assert strided.stem[0].weight.shape == (16, 3, 7, 7)


def test_the_stride_of_a_stem_is_said_where_it_is_not_the_usual_one():
    assert create_network("resnet20", 3, arguments={"stem_stride": 1}).arguments == {}
    chosen = NetworkChoice(name="resnet20", arguments={"stem_stride": 2})
    assert chosen.settled(chosen.build(3, 64)) == chosen
    assert chosen.slug != NetworkChoice(name="resnet20").slug
