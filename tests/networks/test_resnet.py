import torch
from torch import nn
from torch.nn import functional as F

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
