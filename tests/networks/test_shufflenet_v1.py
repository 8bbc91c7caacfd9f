import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from hviskd.networks import create_network
from hviskd.networks.shufflenet_v1 import ShuffleUnit


def normalise(maps, norm):
    return F.batch_norm(maps, norm.running_mean, norm.running_var, norm.weight, norm.bias)


def test_a_unit_shuffles_channels_between_its_groups():
    unit = ShuffleUnit(48, 48, 1).eval()
    reduce, reduce_norm, spatial, spatial_norm, expand, expand_norm = (
        module for module in unit.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    )
    maps = torch.randn(2, 48, 7, 7)
    # Channel j of group g lies at 4 g + j before and at 3 j + g after the shuffle (3 groups of 4).
    source = np.empty(12, dtype=int)
    for group in range(3):
        for member in range(4):
            source[3 * member + group] = 4 * group + member

    hidden = F.relu(normalise(F.conv2d(maps, reduce.weight, groups=3), reduce_norm))[:, source]
    hidden = F.relu(normalise(F.conv2d(hidden, spatial.weight, padding=1, groups=12), spatial_norm))
    new = normalise(F.conv2d(hidden, expand.weight, groups=3), expand_norm)

    torch.testing.assert_close(unit(maps), new + maps)


def test_every_output_group_of_two_units_hears_every_input_channel():
    units = nn.Sequential(ShuffleUnit(48, 48, 1), ShuffleUnit(48, 48, 1)).double().eval()
    maps = torch.randn(1, 48, 5, 5, dtype=torch.float64, requires_grad=True)
    (heard,) = torch.autograd.grad(units(maps)[:, :16].square().sum(), maps)
    assert (heard.abs().sum((0, 2, 3)) > 0).all()


def test_a_halving_unit_sets_its_averaged_input_behind_the_new_channels():
    unit = ShuffleUnit(24, 48, 2).eval()
    maps = torch.randn(1, 24, 8, 8)
    out = unit(maps)
    assert out.shape == (1, 48, 4, 4)
    torch.testing.assert_close(out[0, 24:, 1, 1], maps[0, :, 1:4, 1:4].mean((1, 2)))


def test_only_the_first_convolution_behind_the_stem_is_not_grouped():
    pointwise = [
        module.groups
        for module in create_network("shufflenet_v1", 3).stages.modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)
    ]
    assert pointwise == [1] + [3] * 31
