import copy
import sys
from functools import cache

import pytest
import torch
from torch.nn import functional as F

from hviskd.errors import RecipeError
from hviskd.networks import NetworkInput, create_network
from hviskd.networks.timm_body import check_arguments, import_timm, timm_names

from ..processes import start
from ..timm_samples import TIMM, WITH_CLASS_TOKEN, small


@cache
def kept(name):
    """One of the small networks, for tests that only look at it."""
    return small(name).eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "head"), [*((name, "gap") for name in TIMM), *((name, "token") for name in WITH_CLASS_TOKEN)]
)
def test_every_network_learns_and_shows_its_way(name, head, images):
    network = small(name, 5, head)

    F.cross_entropy(network(images), torch.tensor([0, 4])).backward()
    unused = [n for n, p in network.named_parameters() if p.grad is None]
    assert all("crossvit" in name and "revert_projs" in n for n in unused) or not unused, unused
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())

    network.eval()
    with torch.no_grad():
        logits = network(images)
        maps = network.features(images)
        trace = network.trace(images, preactivations=True, blocks=True)
    assert logits.shape == (2, 5)
    assert torch.equal(trace.logits, logits)
    assert torch.equal(network.head.classifier(trace.embedding), logits)
    assert torch.equal(trace.class_weights, network.head.classifier.weight)
    assert all(torch.equal(traced, given) for traced, given in zip(trace.stages, maps, strict=True))
    assert len(trace.stages) >= 4
    assert len(trace.preactivations) == len(trace.stages)
    for before, after in zip(trace.preactivations, trace.stages, strict=True):
        assert before is after or torch.equal(before.clamp(min=0), after.clamp(min=0))
    shapes = network.shapes(32)
    assert shapes.stages == [tuple(stage.shape[1:]) for stage in trace.stages]
    assert shapes.blocks == [tuple(block.shape[1:]) for block in trace.blocks]
    assert shapes.last == tuple(trace.last.shape[1:])
    assert shapes.embedding == trace.embedding.shape[1]
    if network.averages:
        torch.testing.assert_close(trace.last.mean((2, 3)), trace.embedding)


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM)
def test_an_image_is_judged_alike_alone_and_in_company(name):
    network = kept(name)
    images = torch.randn(3, 3, 40, 40)
    with torch.no_grad():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM)
def test_every_parameter_belongs_to_stem_a_stage_or_the_head(name):
    network = kept(name)
    parts = network.parts()
    assert sorted(id(p) for part in parts for p in part) == sorted(id(p) for p in network.parameters())
    assert all(parts)
    assert len(parts) == len(network.shapes(32).stages) + 1


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM)
def test_the_network_is_timm_s_own(name, images):
    """Fed as timm would feed it, timm's own model with the same weights gives what our Trace calls `last`."""
    timm = import_timm()
    network = kept(name)
    theirs = copy.deepcopy(network.body)
    with torch.device("meta"):
        assert isinstance(theirs, type(timm.create_model(name.removeprefix("timm:"), num_classes=0)))
    pixels = (
        images * torch.tensor([0.229, 0.224, 0.225])[:, None, None] + torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    )
    own = network.own_input
    fed = (pixels - torch.tensor(own.mean)[:, None, None]) / torch.tensor(own.deviation)[:, None, None]
    if own.px is not None and own.px != 32:
        fed = F.interpolate(fed, size=own.px, mode=own.interpolation, align_corners=False)
    with torch.no_grad():
        final = theirs.forward_features(fed)
        trace = network.trace(images)
    if isinstance(final, list):  # CrossViT's branches
        expected = torch.cat([tokens[:, 0] for tokens in final], 1)
        given = small(name, head="token").eval()
        given.body.load_state_dict(theirs.state_dict())
        with torch.no_grad():
            torch.testing.assert_close(given.trace(images).embedding, expected, rtol=1e-3, atol=1e-4)
    elif final.ndim == 3:
        patches = final[:, theirs.num_prefix_tokens :]
        torch.testing.assert_close(trace.embedding, patches.mean(1), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(trace.last.flatten(2).transpose(1, 2), patches, rtol=1e-3, atol=1e-4)
    else:
        torch.testing.assert_close(trace.embedding, theirs.forward_head(final, pre_logits=True), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["timm:vit_small_patch14_reg4_dinov2", "timm:vit_small_patch16_224"])
def test_a_transformer_s_stages_are_its_blocks_without_class_token_and_registers(name, images):
    network = small(name).eval()
    body, kept = network.body, []
    for block in body.blocks:
        block.register_forward_hook(lambda _, __, output: kept.append(output))
    with torch.no_grad():
        trace = network.trace(images)
    for tokens, stage, token in zip(kept, trace.stages[1:], trace.class_tokens[1:], strict=True):
        mean, variance = tokens.mean(dim=2, keepdim=True), tokens.var(dim=2, keepdim=True, correction=0)
        expected = (tokens - mean) / (variance + 1e-5).sqrt()
        torch.testing.assert_close(
            stage.flatten(2).transpose(1, 2), expected[:, body.num_prefix_tokens :], rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(token, expected[:, 0], rtol=1e-4, atol=1e-5)
    assert body.num_prefix_tokens == 1 + body.num_reg_tokens > 1
    assert len(trace.class_tokens) == len(trace.stages)


@pytest.mark.parametrize("name", ["timm:vit_small_patch16_224", "timm:swin_tiny_patch4_window7_224"])
def test_what_a_transformer_hands_on_does_not_grow_with_its_blocks(name, images):
    """Fine-tuning may enlarge what leaves the blocks tenfold; a student sent after that would learn nothing else."""
    network = small(name).eval()
    with torch.no_grad():
        before = network.trace(images).stages[-1]
        for layer in network.modules():
            if isinstance(layer, torch.nn.Linear) and layer is not network.head.classifier:
                layer.weight.mul_(5)
        after = network.trace(images).stages[-1]
    for maps in (before, after):
        assert maps.std(dim=1, correction=0).mean().item() == pytest.approx(1, abs=0.05)


def test_stages_end_at_the_quarters_of_a_transformer_s_depth():
    network = create_network("timm:vit_tiny_patch16_224", 3, tile_px=32, arguments={"embed_dim": 12, "num_heads": 2})
    assert network._points.ends == ("", "blocks.2", "blocks.5", "blocks.8", "blocks.11")
    assert len(network.shapes(32).blocks) == 12


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tile_px", "px"),
    [
        ("timm:vit_tiny_patch16_224", 150, 144),
        ("timm:vit_small_patch14_reg4_dinov2", 150, 154),
        ("timm:swin_tiny_patch4_window7_224", 150, 160),
        ("timm:crossvit_tiny_240", 150, 120),
        ("timm:convnext_atto", 150, None),
    ],
)
def test_tiles_of_any_size_are_resized_for_the_networks_that_need_it(name, tile_px, px):
    network = small(name, tile_px=tile_px).eval()
    assert network.own_input.px == px
    with torch.no_grad():
        assert network(torch.randn(1, 3, tile_px, tile_px)).isfinite().all()
        assert network.hollow()(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 3)


def test_the_size_of_the_images_can_be_set():
    network = create_network("timm:vit_tiny_patch16_224", 3, tile_px=32, arguments={"depth": 1, "img_size": 64})
    assert network.own_input.px == 64
    assert network.shapes(32).last == (192, 4, 4)


def test_a_network_that_takes_any_size_may_see_another_than_the_tiles_have():
    name, tiles = "timm:regnetx_002", torch.randn(2, 3, 32, 32)
    larger = create_network(name, 3, arguments={"img_size": 96}).eval()
    plain = create_network(name, 3, own_input=larger.own_input.model_copy(update={"px": None})).eval()
    plain.load_state_dict(larger.state_dict())
    resized = torch.nn.functional.interpolate(tiles, size=(96, 96), mode="bicubic", align_corners=False)
    with torch.no_grad():
        assert torch.equal(larger(tiles), plain(resized))
    assert larger.shapes(32).last[1:] == (3, 3)
    assert larger.arguments == {}
    assert larger.own_input.px == 96


def test_a_network_is_built_again_from_what_it_says_of_itself(images):
    first = small("timm:eva02_tiny_patch14_224").eval()
    again = create_network(
        "timm:eva02_tiny_patch14_224", 3, arguments=first.arguments, own_input=first.own_input
    ).eval()
    again.load_state_dict(first.state_dict())
    with torch.no_grad():
        assert torch.equal(first(images), again(images))


def test_a_network_gets_images_with_the_mean_and_deviation_that_it_learned_with(images):
    own = NetworkInput(mean=(0.5, 0.4, 0.3), deviation=(0.1, 0.2, 0.3))
    network = create_network("timm:regnetx_002", 3, own_input=own).eval()
    plain = create_network("timm:regnetx_002", 3, own_input=NetworkInput()).eval()
    plain.load_state_dict(network.state_dict())
    common = NetworkInput()
    by_channel = [
        torch.tensor(values)[:, None, None] for values in (common.mean, common.deviation, own.mean, own.deviation)
    ]
    with torch.no_grad():
        expected = plain((images * by_channel[1] + by_channel[0] - by_channel[2]) / by_channel[3])
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)


def test_a_projector_takes_the_classifier_of_another_network(images):
    for name in ("timm:vit_tiny_patch16_224", "timm:convnext_atto"):
        network = small(name)
        network.put_projector(20, 2)
        trace = network.trace(images)
        assert trace.last.shape[1] == 20
        assert torch.equal(trace.embedding, trace.last.mean((2, 3)))
        assert torch.equal(network(images), trace.logits)


@pytest.mark.parametrize("name", ["timm:regnetx_002", "timm:efficientnet_lite0"])
def test_preactivations_are_what_the_last_activation_was_given(name, images):
    network = small(name)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # the last of a block starts at zero, which would hide its share
            torch.nn.init.ones_(module.weight)
    trace = network.trace(images, preactivations=True)
    pairs = list(zip(trace.preactivations, trace.stages, strict=True))
    activated = [torch.equal(before.clamp(min=0), after) and bool((before < 0).any()) for before, after in pairs]
    linear = [before is after for before, after in pairs]
    assert activated == ([True] * 5 if "regnet" in name else [True] + [False] * 5)
    assert linear == [not each for each in activated]


def test_equal_seeds_give_equal_networks():
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(small("timm:vit_tiny_patch16_224").state_dict())
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("timm:vit_tinny_patch16_224", {}, r"no such architecture; did you mean .*vit_tiny_patch16_224"),
        ("timm:hf-hub:someone/something", {}, "no such architecture"),
        ("timm:local-dir:/tmp", {}, "no such architecture"),
        ("timm:", {}, "no such architecture"),
        ("timm:vit_tiny_patch16_224.no_such_tag", {}, "cannot build it"),
        ("timm:hiera_tiny_224", {}, "cannot be used, its stages are not maps"),
        ("timm:cait_xxs24_224", {"depth": 2}, "cannot be used, its stages are not maps"),
        ("timm:convnext_atto", {"img_size": 4}, "from 8"),
        ("timm:convnext_atto", {"reg_tokens": 4}, "cannot build it"),
        ("timm:vit_tiny_patch16_224", {"embed_dim": 50}, "cannot build it"),
        ("resnet8", {"depth": 14}, "takes only stem_stride"),
        ("resnet8", {"stem_stride": 3}, "must be one of 1, 2, 4"),
        ("resnet8", {"stem_stride": True}, "must be one of 1, 2, 4"),
        ("vgg8", {"stem_stride": 2}, "takes no arguments"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(name, arguments, message):
    with pytest.raises(RecipeError, match=message) as caught:
        create_network(name, 3, tile_px=32, arguments=arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"pretrained": True},
        {"checkpoint_path": "/etc/passwd"},
        {"pretrained_cfg": {"url": "http://example.org"}},
        {"depth": 10_000},
        {"depth": -1},
        {"depth": "12"},
        {"depth": True},
        {"embed_dim": [[8] * 100]},
        {"embed_dim": []},
        {"img_size": [32, 64]},
        {"mlp_ratio": float("nan")},
        {"class_token": "yes"},
        {"mlp_layer": "os.system"},
        {"act_layer": ["gelu"]},
    ],
)
def test_arguments_are_few_and_bounded(arguments):
    with pytest.raises(RecipeError, match="network_arguments"):
        check_arguments(arguments)


@pytest.mark.parametrize(("name", "head"), [("timm:regnetx_002", "token"), ("timm:vit_tiny_patch16_224", "grid")])
def test_a_head_that_a_network_cannot_have_is_answered_with_those_it_can(name, head):
    with pytest.raises(RecipeError, match=f"head '{head}'.*gap"):
        small(name, head=head)


def test_only_one_line_is_said_where_timm_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(RecipeError, match=r"^networks of timm need .*pip install 'hviskd\[timm\]', and .*$"):
        create_network("timm:regnetx_002", 3)


def name_timm_s_networks(first_on_the_path):
    sys.path.insert(0, first_on_the_path)
    timm_names("*")


def test_a_torchvision_that_does_not_match_torch_is_one_line_too(tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('operator does not exist\\nmore')")
    process = start(name_timm_s_networks, str(tmp_path), says=tmp_path / "said.txt")
    process.join()
    said = (tmp_path / "said.txt").read_text().splitlines()[-1]
    assert said.startswith(
        "hviskd.errors.RecipeError: networks of timm need timm and a torchvision that matches torch ("
    )
    assert said.endswith(
        "(operator does not exist); pip install 'hviskd[timm]', and torchvision from the package index of torch"
    )


def test_timm_s_names_are_found_by_a_pattern():
    assert "vit_tiny_patch16_224" in timm_names("vit_tiny*")
    assert timm_names("no_such_network*") == []


def test_images_that_do_not_fit_are_refused_in_one_line():
    network = small("timm:regnetx_002")
    for method in (network, network.features, network.trace):
        with pytest.raises(RecipeError, match="at least 32 px"):
            method(torch.zeros(2, 3, 31, 64))
