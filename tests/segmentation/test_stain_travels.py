"""The stain that training tiles were given goes with the Model to every new slide."""

import json
import shutil

import numpy as np
import pytest

from hviskd.models import load_model
from hviskd.slides import fit_macenko, stain_to_json
from hviskd.tiles import TileSet
from hviskd.training import load_recipe, train
from tests.slides.make import stained


@pytest.mark.slow
@pytest.mark.usefixtures("without_curves")
def test_the_stain_of_the_tiles_is_on_the_card_of_the_model_trained_on_them(tileset, tmp_path):
    stain = fit_macenko(stained((200, 200), 0.9, 0.7))
    folder = shutil.copytree(tileset.folder, tmp_path / "tiles")
    card = json.loads((folder / "tileset.json").read_text())
    (folder / "tileset.json").write_text(json.dumps(card | {"stain": stain_to_json(stain)}))
    changes = {"network": "resnet8", "epochs": 1, "batch_size": 16}
    run = train(load_recipe(None, changes, role="teacher"), TileSet.open(folder), tmp_path / "run")
    found = load_model(run.folder).card.stain
    assert found.method == "macenko"
    np.testing.assert_array_equal(found.vectors, stain.vectors)
    np.testing.assert_array_equal(found.max_concentrations, stain.max_concentrations)


@pytest.mark.slow
def test_tiles_and_models_of_before_have_no_stain_and_are_read(teacher_run, tileset, tmp_path):
    for source, name in ((tileset.folder, "tileset.json"), (teacher_run.folder / "model", "model.json")):
        folder = shutil.copytree(source, tmp_path / name.removesuffix(".json"))
        card = json.loads((folder / name).read_text())
        card.pop("stain", None)
        (folder / name).write_text(json.dumps(card))
    assert TileSet.open(tmp_path / "tileset").card.stain is None
    assert load_model(tmp_path / "model").card.stain is None
