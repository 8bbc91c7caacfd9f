import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam

from hviskd.attention.maps import attention_maps, scaled_maps
from hviskd.errors import RecipeError
from hviskd.networks import create_network
from tests.timm_samples import TIMM, WITH_CLASS_TOKEN, small

NETWORKS = ("resnet8", "wrn_16_1", "vgg8", "mobilenet_v2", "shufflenet_v1", "shufflenet_v2")


def drawn(name, head="gap", side=32):
    """A network in double precision whose normalisations have seen something."""
    torch.manual_seed(0)
    network = create_network(name, 4, head).double()
    with torch.no_grad():
        network(torch.randn(8, 3, side, side, dtype=torch.float64))
    return network.eval()


def batch(samples=5, side=32):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(samples, 3, side, side, generator=generator, dtype=torch.float64)
    return images, torch.tensor([0, 3, 1, 2, 0])[:samples]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "head"), [*((name, "gap") for name in NETWORKS), ("resnet8", "grid"), ("shufflenet_v2", "grid")]
)
def test_grad_cam_is_captums_on_every_stage(name, head):
    network = drawn(name, head)
    images, classes = batch(samples=2)
    stages = dict(enumerate(network.activations))
    if name != "resnet8":  # all are counted alike
        stages = {stage: stages[stage] for stage in (0, len(stages) - 1)}
    layers = {None: network.head.neck, **(stages if head == "gap" else {0: stages[0]})}  # no stage knows the head
    for stage, layer in layers.items():
        theirs = LayerGradCam(network, layer).attribute(images, target=classes, relu_attributions=True)
        ours = attention_maps(network, images, classes, stage=stage)
        torch.testing.assert_close(ours, theirs[:, 0].detach(), rtol=1e-9, atol=1e-14)
    assert ours.max() > 0


@pytest.mark.slow
def test_hires_cam_by_finite_differences():
    """What a logit changes by when one pixel of the map grows, times that pixel, summed over channels."""
    network = drawn("resnet8")
    images, classes = batch()
    found = attention_maps(network, images, classes, kind="hires-cam")
    with torch.no_grad():
        last = network.trace(images).last
    step, row, column = 1e-4, 3, 5
    total = torch.zeros(len(images), dtype=torch.float64)
    for channel in range(last.shape[1]):
        logits = []
        for sign in (1, -1):
            moved = last.clone()
            moved[:, channel, row, column] += sign * step
            embedding = moved.mean((2, 3))
            logits.append(network.head.classifier(embedding).detach().gather(1, classes[:, None])[:, 0])
        total += (logits[0] - logits[1]) / (2 * step) * last[:, channel, row, column]
    torch.testing.assert_close(found[:, row, column], total.clamp(min=0), rtol=1e-6, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8", "shufflenet_v2"])
def test_with_a_gap_head_all_three_are_one(name):
    """The gradient of a mean is the classifier's weight over the number of pixels."""
    network = drawn(name)
    images, classes = batch()
    cam, grad, hires = (
        attention_maps(network, images, classes, kind=kind) for kind in ("cam", "grad-cam", "hires-cam")
    )
    pixels = cam.shape[1] * cam.shape[2]
    torch.testing.assert_close(grad * pixels, cam)
    torch.testing.assert_close(hires * pixels, cam)


@pytest.mark.slow
def test_an_image_s_map_does_not_depend_on_its_neighbours():
    network = drawn("mobilenet_v2")
    images, classes = batch()
    together = attention_maps(network, images, classes)
    alone = torch.cat([attention_maps(network, images[i : i + 1], classes[i : i + 1]) for i in range(len(images))])
    torch.testing.assert_close(together, alone)


def test_the_network_is_left_as_it_was():
    network = drawn("resnet8")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images, classes = batch()
    with torch.inference_mode(False):
        attention_maps(network, images, classes)
    assert all(weight.grad is None for weight in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not images.requires_grad


def test_frozen_weights_give_the_same_maps():
    network = drawn("resnet8")
    images, classes = batch()
    free = attention_maps(network, images, classes, stage=1)
    torch.testing.assert_close(attention_maps(network.requires_grad_(False), images, classes, stage=1), free)


def test_scaled_maps_are_shares_of_the_largest_value():
    maps = torch.rand(3, 5, 7, dtype=torch.float64) + 0.2
    maps[1] = 0
    scaled = scaled_maps(maps, 40)
    assert scaled.shape == (3, 40, 40)
    assert scaled.amax((1, 2)).tolist() == [1, 0, 1]
    large = F.interpolate(maps[None], size=40, mode="bilinear")[0]
    torch.testing.assert_close(scaled[0] * large[0].max(), large[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "score-cam"}, "score-cam.*grad-cam, hires-cam, cam"),
        ({"stage": 9}, "`stage=9`.*0 .stem. to 3"),
        ({"stage": -1}, "`stage=-1`"),
        ({"kind": "cam", "stage": 1}, "needs the last stage"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(RecipeError, match=message):
        attention_maps(drawn("resnet8"), *batch(), **options)


def test_cam_wants_one_mean_a_channel():
    with pytest.raises(RecipeError, match="`gap` head"):
        attention_maps(drawn("resnet8", "grid"), *batch(), kind="cam")


def test_a_network_in_training_is_refused():
    with pytest.raises(RecipeError, match="evaluation mode"):
        attention_maps(drawn("resnet8").train(), *batch())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "head"), [*((name, "gap") for name in TIMM), *((name, "token") for name in WITH_CLASS_TOKEN)]
)
def test_networks_of_timm_have_maps_at_every_stage(name, head):
    torch.manual_seed(0)
    network = small(name, head=head).eval()
    images = torch.randn(2, 3, 32, 32)
    shapes = network.shapes(32)
    for stage, expected in ((None, shapes.last[1:]), (0, shapes.stages[0][1:]), (2, shapes.stages[2][1:])):
        for kind in ("grad-cam", "hires-cam") if stage is None else ("grad-cam",):
            maps = attention_maps(network, images, torch.tensor([0, 2]), kind=kind, stage=stage)
            assert maps.shape == (2, *expected)
            assert maps.isfinite().all()
        passed, as_map, logits = network.passing(images.clone().requires_grad_(), stage)
        slopes = torch.autograd.grad(logits[:, 1].sum(), passed)
        assert any(bool(slope.count_nonzero()) for slope in slopes)
        assert as_map(list(slopes)).shape == as_map(passed).shape


def test_a_swin_s_gradient_is_that_of_its_map():
    """Its maps lie channels last; the mean of the map is what the classifier reads, so CAM and HiRes-CAM agree."""
    torch.manual_seed(0)
    network = small("timm:swin_tiny_patch4_window7_224", tile_px=64).eval()
    images, classes = torch.randn(2, 3, 64, 64), torch.tensor([0, 2])
    cam = attention_maps(network, images, classes, kind="cam")
    hires = attention_maps(network, images, classes, kind="hires-cam")
    torch.testing.assert_close(hires * hires.shape[1] * hires.shape[2], cam, rtol=1e-4, atol=1e-5)
