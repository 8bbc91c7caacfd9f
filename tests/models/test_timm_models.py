"""A Model of a timm network: read back as written, exported, and never built larger than its weights."""

import json
import shutil

import numpy as np
import pytest
import torch

from hviskd.errors import ModelError
from hviskd.models import NetworkChoice, load_model, save_model
from hviskd.models.card import untrained_card
from hviskd.models.export import export_model
from tests.timm_samples import ONE_OF_EACH_KIND, TIMM

TILES = np.random.default_rng(0).integers(0, 256, (5, 40, 40, 3), np.uint8)


def make(folder, name, head="gap"):
    torch.manual_seed(0)
    choice = NetworkChoice(name=name, head=head, arguments=TIMM[name])
    network = choice.build(3, 40)
    return save_model(network, untrained_card(choice.settled(network), ("a", "b", "c"), 40, 0.5), folder)


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    return make(tmp_path_factory.mktemp("vit") / "model", "timm:vit_small_patch14_reg4_dinov2", "token")


@pytest.fixture
def copied(vit, tmp_path):
    return shutil.copytree(vit.folder, tmp_path / "copy")


def edit_network(folder, **changes):
    path = folder / "model.json"
    card = json.loads(path.read_text())
    card["network"] |= changes
    path.write_text(json.dumps(card))


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_it_is_read_back_as_it_was_written(tmp_path, name):
    model = make(tmp_path / "model", name)
    again = load_model(tmp_path / "model")
    assert again.card.network == model.card.network
    assert again.card.network.own_input is not None
    np.testing.assert_array_equal(again.predict(TILES), model.predict(TILES))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["timm:vit_small_patch14_reg4_dinov2", "timm:convnext_atto"])
@pytest.mark.parametrize("to", ["onnx", "torchscript"])
def test_it_is_exported_and_gives_the_same_probabilities(tmp_path, name, to):
    written = export_model(make(tmp_path / "model", name), to, tmp_path / "exported")
    assert written.largest_difference < 1e-5


def test_another_input_is_another_meaning(vit, copied):
    own = vit.card.network.own_input.model_dump(mode="json")
    edit_network(copied, own_input=own | {"mean": [0.5, 0.5, 0.5]})
    with pytest.raises(ModelError, match="was changed"):
        load_model(copied)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pretrained": True}, "unknown"),
        ({"checkpoint_path": "/etc/passwd"}, "unknown"),
        ({"depth": 100_000}, "whole numbers up to"),
        ({"depth": 16, "embed_dim": 16_384, "num_heads": 2}, "has other tensors"),
        ({"depth": 5}, "has other tensors"),
        ({"embed_dim": 50, "num_heads": 4}, "timm cannot build it"),
    ],
)
def test_a_card_cannot_ask_for_a_network_that_is_not_in_the_weights(vit, copied, arguments, message):
    edit_network(copied, arguments={**vit.card.network.arguments, **arguments})
    with pytest.raises(ModelError, match=message):
        load_model(copied)


@pytest.mark.parametrize("name", ["timm:hf-hub:timm/vit_tiny_patch16_224", "timm:local-dir:.", "timm:os", "timm:"])
def test_a_card_cannot_name_what_timm_would_download_or_open(copied, name):
    edit_network(copied, name=name)
    with pytest.raises(ModelError, match="no such architecture"):
        load_model(copied)


def test_a_reader_without_timm_is_told_what_to_install(copied, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ModelError, match=r"pip install 'hviskd\[timm\]'"):
        load_model(copied)
