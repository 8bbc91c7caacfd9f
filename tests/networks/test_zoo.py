import subprocess
import sys
from functools import cache

import pytest
import torch
from torch.nn import functional as F

from hviskd.errors import RecipeError
from hviskd.networks import create_network, network_names

from .conftest import ONE_OF_EACH_FAMILY

# The parameter counts of the paper's networks: 8 classes, its head at 150 px.
PAPER_COUNTS = {
    "resnet8": 85_592,
    "resnet20": 280_024,
    "resnet110": 1_738_264,
    "resnet8x4": 1_240_616,
    "resnet32x4": 7_440_936,
    "vgg8": 3_917_832,
    "vgg19": 20_039_496,
    "shufflenet_v1": 976_046,
    "shufflenet_v2": 1_384_108,
    "mobilenet_v2": 940_744,
}

RESNET_SHAPES = [(16, 150, 150), (16, 150, 150), (32, 75, 75), (64, 38, 38)]
RESNET_X4_SHAPES = [(32, 150, 150), (64, 150, 150), (128, 75, 75), (256, 38, 38)]
WRN_2_SHAPES = [(16, 150, 150), (32, 150, 150), (64, 75, 75), (128, 38, 38)]
VGG_SHAPES = [(64, 150, 150), (128, 75, 75), (256, 37, 37), (512, 18, 18), (512, 18, 18)]
SHAPES_AT_150_PX = {
    **{f"resnet{depth}": RESNET_SHAPES for depth in (8, 14, 20, 32, 44, 56, 110)},
    **{f"resnet{depth}x4": RESNET_X4_SHAPES for depth in (8, 32)},
    **{f"wrn_{depth}_1": RESNET_SHAPES for depth in (16, 40)},
    **{f"wrn_{depth}_2": WRN_2_SHAPES for depth in (16, 40)},
    **{f"vgg{depth}": VGG_SHAPES for depth in (8, 11, 13, 16, 19)},
    "mobilenet_v2": [(16, 75, 75), (12, 75, 75), (16, 38, 38), (48, 19, 19), (160, 10, 10)],
    "shufflenet_v1": [(24, 150, 150), (240, 75, 75), (480, 38, 38), (960, 19, 19)],
    "shufflenet_v2": [(24, 150, 150), (116, 75, 75), (232, 38, 38), (464, 19, 19)],
}


@cache
def count_parameters(name, num_classes, head):
    with torch.device("meta"):
        return sum(p.numel() for p in create_network(name, num_classes, head).parameters())


@pytest.mark.parametrize(("name", "count"), PAPER_COUNTS.items())
def test_the_paper_s_networks_have_exactly_its_parameters(name, count):
    assert count_parameters(name, 8, "grid") == count


def test_a_global_average_spares_shufflenet_v2_most_of_its_classifier():
    assert count_parameters("shufflenet_v2", 8, "gap") == 1_261_228


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shallow", "deep", "more_blocks", "widths"),
    [
        ("resnet8", "resnet14", 1, (16, 32, 64)),
        ("resnet14", "resnet32", 3, (16, 32, 64)),
        ("resnet20", "resnet44", 4, (16, 32, 64)),
        ("resnet44", "resnet56", 2, (16, 32, 64)),
        ("resnet8x4", "resnet32x4", 4, (64, 128, 256)),
        ("wrn_16_1", "wrn_40_1", 4, (16, 32, 64)),
        ("wrn_16_2", "wrn_40_2", 4, (32, 64, 128)),
    ],
)
def test_depth_adds_blocks_of_two_convolutions_and_two_normalisations(shallow, deep, more_blocks, widths):
    added = count_parameters(deep, 8, "gap") - count_parameters(shallow, 8, "gap")
    assert added == more_blocks * sum(2 * 9 * width**2 + 2 * 2 * width for width in widths)


@pytest.mark.parametrize(
    ("shallow", "deep", "more_convs"),
    [
        ("vgg8", "vgg11", {256: 1, 512: 2}),
        ("vgg11", "vgg13", {64: 1, 128: 1}),
        ("vgg13", "vgg16", {256: 1, 512: 2}),
        ("vgg16", "vgg19", {256: 1, 512: 2}),
    ],
)
def test_depth_adds_convolutions_with_bias_to_a_vgg(shallow, deep, more_convs):
    added = count_parameters(deep, 8, "gap") - count_parameters(shallow, 8, "gap")
    assert added == sum(n * (9 * width**2 + width + 2 * width) for width, n in more_convs.items())


@pytest.mark.parametrize(("name", "count"), {"wrn_16_2": 703_284, "wrn_40_1": 569_780, "wrn_40_2": 2_255_156}.items())
def test_wide_networks_have_the_parameters_known_from_cifar_100(name, count):
    assert count_parameters(name, 100, "gap") == count


def test_every_network_is_listed_with_its_map_shapes():
    assert set(network_names()) == set(SHAPES_AT_150_PX)


@pytest.mark.slow
@pytest.mark.parametrize("name", network_names())
def test_maps_have_their_shapes_at_150_px(name):
    with torch.device("meta"):
        network = create_network(name, 8)
    assert network.shapes(150).stages == SHAPES_AT_150_PX[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "head"),
    [*((name, "gap") for name in network_names()), *((name, "grid") for name in ONE_OF_EACH_FAMILY)],
)
def test_every_network_learns_and_shows_its_way(name, head, images):
    network = create_network(name, 5, head)

    F.cross_entropy(network(images), torch.tensor([0, 4])).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        if parameter.ndim > 1:  # normalisation cancels a bias before it
            assert torch.count_nonzero(parameter.grad), parameter_name

    network.eval()
    with torch.no_grad():
        logits = network(images)
        maps = network.features(images)
        trace = network.trace(images, preactivations=True)
    assert logits.shape == (2, 5)
    assert [tuple(f.shape[1:]) for f in maps] == network.shapes(32).stages
    assert torch.equal(network.head(maps[-1]), logits)
    assert torch.equal(trace.logits, logits)
    assert torch.equal(network.head.classifier(trace.embedding), logits)
    assert len(trace.stages) == len(trace.preactivations) == len(network.activations) == len(maps)
    for traced, given, before, activation in zip(
        trace.stages, maps, trace.preactivations, network.activations, strict=True
    ):
        assert torch.equal(traced, given)
        assert torch.equal(activation(before), given)
        expected = before.clamp(min=0) if isinstance(activation, torch.nn.ReLU) else before
        assert torch.equal(given, expected)
    with torch.no_grad():
        check_that_stages_iterate_over_their_blocks(network, trace)


def check_that_stages_iterate_over_their_blocks(network, trace):
    for stage, entering, leaving in zip(network.stages, trace.stages, trace.preactivations[1:], strict=False):
        maps = entering
        for position, block in enumerate(stage):
            maps = block(stage.activation(maps) if position else maps)
        assert torch.equal(maps, leaving)


@pytest.mark.parametrize(("name", "close"), [("resnet21", "resnet20"), ("ShuffleNet_V2", "shufflenet_v2")])
def test_an_unknown_name_is_answered_with_the_close_ones_and_all(name, close):
    with pytest.raises(RecipeError) as caught:
        create_network(name, 8)
    message = str(caught.value)
    assert repr(name) in message
    assert close in message.split("?")[0]
    assert all(known in message for known in network_names())
    assert "\n" not in message


def test_a_name_like_no_other_is_answered_with_all_names():
    with pytest.raises(RecipeError, match=r"network '':.* unknown; choose one of resnet8, .*shufflenet_v2"):
        create_network("", 8)


def test_names_are_listed_without_waiting_for_torch():
    code = (
        "import sys; from hviskd.networks import network_names; assert network_names(); print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
