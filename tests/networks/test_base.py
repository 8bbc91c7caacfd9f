import numpy as np
import pytest
import torch
from torch import nn

import hviskd.networks
from hviskd.errors import RecipeError
from hviskd.networks import create_network
from hviskd.networks.base import Head

from .conftest import ONE_OF_EACH_FAMILY


@pytest.mark.slow
@pytest.mark.parametrize("head", ["gap", "grid"])
@pytest.mark.parametrize(("height_px", "width_px"), [(32, 47), (150, 150), (224, 100)])
@pytest.mark.parametrize("name", ["resnet8", "mobilenet_v2", "shufflenet_v2"])
def test_any_image_of_at_least_32_px_fits(name, head, height_px, width_px):
    network = create_network(name, 3, head).eval()
    with torch.no_grad():
        logits = network(torch.randn(1, 3, height_px, width_px))
    assert logits.shape == (1, 3)
    assert logits.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("image_px", [32, 47, 224])
@pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY)
def test_foretold_shapes_are_those_of_the_maps(name, image_px):
    network = create_network(name, 3).eval()
    with torch.no_grad():
        maps = network.features(torch.randn(1, 3, image_px, image_px))
    assert network.shapes(image_px).stages == [tuple(f.shape[1:]) for f in maps]


def test_foretelling_shapes_leaves_no_mark():
    network = create_network("resnet8", 3).train()
    network.stages[0].requires_grad_(requires_grad=False)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    frozen = [parameter.requires_grad for parameter in network.parameters()]
    drawn_next = torch.get_rng_state()

    network.shapes(64)

    assert torch.equal(torch.get_rng_state(), drawn_next)
    assert all(module.training for module in network.modules())
    assert [parameter.requires_grad for parameter in network.parameters()] == frozen
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY)
def test_an_image_is_judged_alike_alone_and_in_company(name):
    network = create_network(name, 4).eval()
    images = torch.randn(5, 3, 40, 40)
    with torch.no_grad():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY)
def test_a_loss_on_preactivations_can_be_learned_from(name, images):
    network = create_network(name, 4)
    trace = network.trace(images, preactivations=True)
    kept = [before.detach().clone() for before in trace.preactivations]

    sum(before.square().mean() for before in trace.preactivations).backward()

    assert all(torch.equal(before, copy) for before, copy in zip(trace.preactivations, kept, strict=True))
    assert all(torch.count_nonzero(p.grad) for p in network.stages.parameters() if p.ndim == 4)


def test_preactivations_are_kept_only_when_asked_for(images):
    assert create_network("resnet8", 4).trace(images).preactivations is None


def test_equal_seeds_give_equal_networks():
    torch.manual_seed(3)
    first = create_network("shufflenet_v2", 4).state_dict()
    torch.manual_seed(3)
    second = create_network("shufflenet_v2", 4).state_dict()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_convolutions_start_with_the_spread_of_he_et_al():
    weight = create_network("resnet32x4", 4).stages[2].blocks[1].body[0][0].weight
    assert weight.shape == (256, 256, 3, 3)
    assert weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)
    assert weight.mean().item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(("side_px", "grid"), [(38, 4), (19, 4), (10, 5), (2, 5), (18, 1)])
def test_the_grid_head_averages_overlapping_cells_that_cover_the_whole_map(side_px, grid):
    maps = np.random.default_rng(1).normal(size=(2, 3, side_px, side_px))
    edges = [(side_px * i // grid, -(-side_px * (i + 1) // grid)) for i in range(grid)]
    cells = [maps[:, :, top:bottom, left:right].mean((2, 3)) for top, bottom in edges for left, right in edges]
    expected = np.stack(cells, axis=2).reshape(2, -1)  # channel first, then row, then column

    embedding = Head(nn.Identity(), channels=3, grid=grid, num_classes=2).embed(torch.from_numpy(maps))

    np.testing.assert_allclose(embedding.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["resnet8", "mobilenet_v2"])
def test_a_global_average_gives_one_number_a_channel(name, images):
    network = create_network(name, 4).eval()
    with torch.no_grad():
        trace = network.trace(images)
        necked = network.head.neck(trace.stages[-1])
    torch.testing.assert_close(trace.embedding, necked.mean((2, 3)))


@pytest.mark.parametrize(
    ("name", "length"),
    {"resnet8": 1024, "vgg8": 512, "shufflenet_v1": 15_360, "shufflenet_v2": 16_384, "mobilenet_v2": 32_000}.items(),
)
def test_the_grid_head_reads_a_vector_of_the_paper_s_length_whatever_the_image_size(name, length, images):
    assert create_network(name, 8, "grid").trace(images).embedding.shape == (2, length)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 31, 64),
        torch.zeros(2, 3, 64, 31),
        torch.zeros(2, 1, 64, 64),
        torch.zeros(3, 64, 64),
        torch.zeros(2, 3, 64, 64, dtype=torch.uint8),
    ],
    ids=["low", "narrow", "grey", "no batch", "integers"],
)
def test_images_that_do_not_fit_are_refused_in_one_line(images):
    network = create_network("mobilenet_v2", 4)
    for method in (network, network.features, network.trace):
        with pytest.raises(RecipeError, match=r"^images.*(at least 32 px|got torch\.\w+ \(.*\))"):
            method(images)


def test_no_shapes_are_foretold_for_images_that_are_too_small():
    with pytest.raises(RecipeError, match=r"31 × 31 px.*at least 32 px"):
        create_network("resnet8", 4).shapes(31)


def test_a_classifier_of_one_class_is_refused():
    with pytest.raises(RecipeError, match="at least 2 classes, got 1"):
        create_network("resnet8", 1)


def test_an_unknown_head_is_answered_with_the_known_ones():
    with pytest.raises(RecipeError, match=r"'flatten'.*gap, grid"):
        create_network("resnet8", 4, "flatten")


def test_the_room_hands_on_what_it_names_and_nothing_else():
    assert all(hasattr(hviskd.networks, name) for name in hviskd.networks.__all__)
    assert not hasattr(hviskd.networks, "ResNet")
