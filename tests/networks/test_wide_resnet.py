import torch
from torch import nn
from torch.nn import functional as F

from hviskd.networks import create_network
from hviskd.networks.wide_resnet import WideBlock


def normalise(maps, norm):
    return F.batch_norm(maps, norm.running_mean, norm.running_var, norm.weight, norm.bias)


def test_a_block_that_changes_the_shape_activates_before_its_shortcut():
    block = WideBlock(4, 6, 2).eval()
    enter_norm, first, norm, second, project = (
        module for module in block.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    )
    maps = torch.randn(2, 4, 9, 9)

    entered = F.relu(normalise(maps, enter_norm))
    hidden = F.relu(normalise(F.conv2d(entered, first.weight, stride=2, padding=1), norm))
    body = F.conv2d(hidden, second.weight, padding=1)
    shortcut = F.conv2d(entered, project.weight, stride=2)

    torch.testing.assert_close(block(maps), body + shortcut)


def test_a_block_whose_body_is_silent_hands_its_input_through():
    block = WideBlock(4, 4, 1).eval()
    nn.init.zeros_(block.body[-1].weight)
    maps = torch.randn(2, 4, 9, 9)
    assert torch.equal(block(maps), maps)


def test_only_the_last_map_is_normalised_and_activated(images):
    network = create_network("wrn_16_2", 3)  # in training the normalisation shows: mean 0, deviation 1
    with torch.no_grad():
        trace = network.trace(images, preactivations=True)
    assert all((f < 0).any() for f in trace.stages[:3])
    assert (trace.stages[3] >= 0).all()
    last = trace.preactivations[3]
    torch.testing.assert_close(last.mean((0, 2, 3)), torch.zeros(128), rtol=0, atol=1e-5)
    torch.testing.assert_close(last.std((0, 2, 3), correction=0), torch.ones(128), rtol=0, atol=1e-3)
