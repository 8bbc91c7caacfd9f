import numpy as np
import torch
from torch.nn import functional as F

from hviskd.networks import create_network
from hviskd.networks.shufflenet_v2 import interleave


def shuffle_of_two_groups(maps):
    half = maps.shape[1] // 2
    source = np.empty(2 * half, dtype=int)
    source[0::2] = np.arange(half)
    source[1::2] = np.arange(half, 2 * half)
    return maps[:, source]


def test_channels_come_by_turns():
    first, second = torch.randn(2, 2, 5, 3, 4)
    expected = shuffle_of_two_groups(torch.cat((first, second), 1))
    assert torch.equal(interleave(first, second), expected)


def test_activating_behind_the_shuffle_is_activating_each_branch(images):
    network = create_network("shufflenet_v2", 3).eval()
    with torch.no_grad():
        maps, expected, *_ = network.features(images)
        down, *splits = network.stages[0]
        maps = shuffle_of_two_groups(torch.cat((F.relu(down.short(maps)), F.relu(down.body(maps))), 1))
        for split in splits:
            kept, worked = maps[:, :58], maps[:, 58:]
            maps = shuffle_of_two_groups(torch.cat((kept, F.relu(split.body(worked))), 1))
    torch.testing.assert_close(expected, maps)


def test_half_of_the_channels_pass_a_unit_untouched():
    unit = create_network("shufflenet_v2", 3).stages[0].blocks[1].eval()
    maps = torch.randn(1, 116, 6, 6)
    with torch.no_grad():
        assert torch.equal(unit(maps)[:, 0::2], maps[:, :58])
