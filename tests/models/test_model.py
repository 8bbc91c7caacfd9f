"""A Model folder: what is written is read back, nothing in it is run, and damage is named."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import hviskd
from hviskd.errors import DataError, ModelError
from hviskd.models import IMAGENET, InputStep, load_model, resolve_models, save_model
from hviskd.models.export import export_model
from hviskd.storage import file_digest
from tests.conftest import CLASSES
from tests.html_tables import read_tables
from tests.models.make import make_model


@pytest.fixture
def folder(teacher_run, tmp_path):
    return shutil.copytree(teacher_run.folder / "model", tmp_path / "model")


def edit_card(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_predict_is_softmax_of_the_network_on_normalised_tiles(teacher_run, tileset):
    model = teacher_run.chosen()
    tiles = tileset.pixels[:10]
    mean, deviation = np.array(IMAGENET.mean), np.array(IMAGENET.deviation)
    images = ((tiles / 255 - mean) / deviation).transpose(0, 3, 1, 2).astype(np.float32)
    with torch.no_grad():
        logits = model.network(torch.from_numpy(images)).double().numpy()
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = shares / shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(tiles), expected, atol=1e-5)
    np.testing.assert_allclose(model.predict(tiles, batch_size=3), expected, atol=1e-5)


def test_the_input_step_keeps_the_tiles_layout():
    images = InputStep(IMAGENET)(torch.zeros(2, 8, 8, 3, dtype=torch.uint8))
    assert images.shape == (2, 3, 8, 8)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images[0, :, 0, 0].tolist() == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])


@pytest.mark.parametrize("tiles", [np.zeros((2, 31, 32, 3), np.uint8), np.zeros((2, 32, 32, 3), np.float32)])
def test_tiles_of_another_size_or_type_are_refused(teacher_run, tiles):
    with pytest.raises(ModelError, match="needs uint8 tiles of shape"):
        teacher_run.chosen().predict(tiles)


def test_the_top_level_name_loads_it(folder, teacher_run):
    assert hviskd.load_model(folder).card == teacher_run.chosen().card


def test_exchanged_weights_are_refused(folder):
    weights = load_file(folder / "weights.safetensors")
    first = next(iter(weights))
    weights[first] = weights[first] + 1
    save_file(weights, folder / "weights.safetensors")
    with pytest.raises(ModelError, match="does not match the fingerprint"):
        load_model(folder)


def test_a_pickle_in_the_place_of_the_weights_is_never_opened(folder, tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    torch.save({"weights": Evil()}, folder / "weights.safetensors")
    edit_card(folder, weights_sha256=file_digest(folder / "weights.safetensors"))
    with pytest.raises(ModelError, match="weights and card do not match"):
        load_model(folder)
    assert not (tmp_path / "ran").exists()


def test_weights_whose_header_is_nested_too_deep_are_refused(folder):
    header = b"[" * 100_000
    (folder / "weights.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    edit_card(folder, weights_sha256=file_digest(folder / "weights.safetensors"))
    with pytest.raises(ModelError, match="weights and card do not match"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"name": "resnet20", "head": "gap"}}, "weights and card do not match"),
        ({"network": {"name": "resnet9", "head": "gap"}}, "weights and card do not match .*resnet9"),
        ({"classes": ["a", "b"]}, "2 classes but 3 colours"),
        ({"classes": ["a", "a", "b"]}, "two classes have the same name"),
        ({"classes": ["a", " ", "b"]}, "a name must be printable"),
        ({"classes": ["a", "b\ud800", "c"]}, "a name must be printable"),
        ({"mpp": 1e307}, "mpp"),
        ({"metrics": {"top1": float("nan")}}, "metrics"),
        ({"format_version": 2}, "format 2 is not supported"),
        ({"surprise": 1}, "surprise: unknown key"),
        ({"tile_px": -1}, "tile_px"),
        ({"normalisation": {"mean": [0, 0, 0], "deviation": [0, 1, 1]}}, "above zero"),
    ],
)
def test_a_card_that_does_not_fit(folder, changes, message):
    edit_card(folder, **changes)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": CLASSES[::-1]},
        {"normalisation": {"mean": [0, 0, 0], "deviation": [1, 1, 1]}},
        {"tile_px": 64},
        {"mpp": 0.25},
        {"stain": {"method": "reinhard", "pixels": 0, "lab_mean": [1, 1, 1], "lab_sd": [1, 1, 1]}},
    ],
)
def test_a_card_that_gives_the_weights_another_meaning(folder, changes):
    edit_card(folder, **changes)
    with pytest.raises(ModelError, match=r"model\.json: was changed"):
        load_model(folder)


def test_weights_without_a_seal(folder):
    save_file(load_file(folder / "weights.safetensors"), folder / "weights.safetensors")
    edit_card(folder, weights_sha256=file_digest(folder / "weights.safetensors"))
    with pytest.raises(ModelError, match="older hviskd"):
        load_model(folder)


def test_a_model_replaces_nothing_but_a_model(folder, teacher_run, tmp_path):
    model = teacher_run.chosen()
    work = tmp_path / "work"
    work.mkdir()
    (work / "thesis.txt").write_text("ours")
    with pytest.raises(DataError, match="contains no model, so it is not replaced"):
        save_model(model.network, model.card, work, overwrite=True)
    for to in ("openvino", "wsinfer"):
        with pytest.raises(DataError, match=f"contains no export to {to}, so it is not replaced"):
            export_model(model, to, folder, mpp=model.card.mpp or 0.5, overwrite=True)
    assert (work / "thesis.txt").read_text() == "ours"
    assert load_model(folder).card == model.card


def test_a_name_may_be_changed(folder):
    edit_card(folder, name="ours")
    assert load_model(folder).card.name == "ours"


def test_what_is_missing_is_named(folder, tmp_path):
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match="weights.safetensors: missing"):
        load_model(folder)
    with pytest.raises(ModelError, match="not a Model"):
        load_model(tmp_path / "nowhere")
    (folder / "model.json").write_text("{")
    with pytest.raises(ModelError, match="not valid JSON"):
        load_model(folder)


def test_a_run_stands_for_its_two_models(teacher_run, tmp_path):
    chosen, last = resolve_models(teacher_run.folder)
    assert (chosen.name, last.name) == ("model", "model-last")
    assert load_model(teacher_run.folder).folder == chosen
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ModelError, match="not finished"):
        resolve_models(tmp_path)


def test_a_model_shows_itself_in_a_notebook(tmp_path):
    model = make_model(str(tmp_path / "model"), tile_px=32, classes=("<tumour>", "b & c"))
    assert repr(model) == f"Model('{tmp_path}/model': resnet8, 32 px tiles, 2 classes)"
    html = model._repr_html_()
    assert [row[1] for row in read_tables(html)] == ["class", "<tumour>", "b & c"]
    assert f"resnet8 with {model.parameters:,} parameters, 32 px tiles at 0.5 µm/px" in html
