import torch
from torch import nn

from hviskd.networks.layers import Stage, conv


class Minus(nn.Module):
    def forward(self, maps):
        return maps - 2


def test_a_stage_activates_between_its_blocks_and_not_after_the_last():
    maps = torch.tensor([[1.0, 3.0, 5.0]])
    assert Stage([Minus(), Minus()], nn.ReLU())(maps).tolist() == [[-2.0, -1.0, 1.0]]


def test_a_stage_leaves_the_output_of_its_blocks_as_it_was():
    seen = []
    stage = Stage([Minus(), Minus()], nn.ReLU())
    for block in stage:
        block.register_forward_hook(lambda _block, _given, output: seen.append(output))
    stage(torch.tensor([[1.0, 3.0, 5.0]]))
    assert [output.tolist() for output in seen] == [[[-1.0, 1.0, 3.0]], [[-2.0, -1.0, 1.0]]]


def test_a_stage_counts_its_blocks():
    assert len(Stage([Minus(), Minus(), Minus()], nn.ReLU())) == 3


def test_a_convolution_keeps_the_size_and_halves_it_rounding_up():
    maps = torch.zeros(1, 2, 19, 10)
    assert conv(2, 4, 3)(maps).shape == (1, 4, 19, 10)
    assert conv(2, 4, 3, stride=2)(maps).shape == (1, 4, 10, 5)
    assert conv(2, 4, 1, stride=2)(maps).shape == (1, 4, 10, 5)
