"""Choosing values on the validation split: what is trained, chosen, kept and refused."""

import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.errors import DataError, DivergedError, RecipeError
from hviskd.experiments import tune, tuning
from hviskd.models import load_model
from hviskd.networks import create_network
from hviskd.progress import silent
from hviskd.training import load_recipe

pytestmark = pytest.mark.usefixtures("without_curves")
RECIPE = {"network": "resnet8", "epochs": 1, "batch_size": 16, "methods": "plain", "seed": 7}


@pytest.fixture(scope="module")
def tuned(tileset, without_curves, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned") / "out"
    grid = {"learning_rate": [1e-9, 0.02], "methods.cross_entropy.label_smoothing": [0.0, 0.1]}
    return tune(load_recipe(None, RECIPE), tileset, folder, grid=grid, seeds=[1, 2], progress=silent), folder


@pytest.mark.slow
def test_the_best_mean_over_seeds_is_chosen(tuned):
    found, folder = tuned
    table = found.table
    assert len(table) == 8
    assert set(table["seed"]) == {1, 2}
    by_hand = {
        values: part["value"].mean()
        for values, part in table.groupby(["learning_rate", "methods.cross_entropy.label_smoothing"])
    }
    best = max(by_hand, key=by_hand.get)
    assert tuple(found.chosen.values()) == best
    assert best[0] == 0.02
    assert found.tried[0].mean == pytest.approx(by_hand[best])
    assert found.best.learning_rate == 0.02
    assert found.best.methods["cross_entropy"].label_smoothing == best[1]
    assert found.best.seed == 7
    assert load_recipe(folder / "best.yaml") == found.best
    assert len(pd.read_csv(folder / "tuning.csv")) == 8
    assert (folder / "tuning.md").read_text().splitlines()[2].startswith("| 0.02 |")
    assert "0.02" in found._repr_html_()
    with Image.open(folder / "tuning.png") as picture:
        assert picture.width > 500
    for name, value in zip(table["seed"], table["value"], strict=True):
        assert 0 <= value <= 1, name


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_what_is_finished_is_not_trained_again(tuned, tileset, monkeypatch):
    found, folder = tuned
    trained = []
    train = tuning.train
    monkeypatch.setattr(tuning, "train", lambda *args, **more: trained.append(more["resume"]) or train(*args, **more))
    grid = {"learning_rate": [1e-9, 0.02], "methods.cross_entropy.label_smoothing": [0.0, 0.1]}
    before = {path: path.stat().st_mtime_ns for path in folder.glob("trainings/*/log.csv")}
    again = tune(load_recipe(None, RECIPE), tileset, folder, grid=grid, seeds=[1, 2], progress=silent)
    assert trained == [True] * 8
    assert {path: path.stat().st_mtime_ns for path in folder.glob("trainings/*/log.csv")} == before
    pd.testing.assert_frame_equal(again.table, found.table)


@pytest.mark.parametrize(
    ("grid", "error", "message"),
    [
        ({}, RecipeError, "at least one key"),
        ({"learning_rate": []}, RecipeError, "at least one value"),
        ({"learning_rat": [1]}, RecipeError, "learning_rat"),
        ({"methods.kd.temprature": [1]}, RecipeError, "temprature"),
        ({"learning_rate": [0.1, -1]}, RecipeError, "learning_rate"),
        ({"learning_rate": [0.1, 0.1]}, RecipeError, "twice"),
        ({"seed": [1]}, RecipeError, "as `seeds`"),
        ({"epochs": list(range(1, 202))}, DataError, "more than 200"),
    ],
)
def test_what_cannot_be_tried_is_refused_before_the_first_training(grid, error, message, tileset, tmp_path):
    with pytest.raises(error, match=message):
        tune(load_recipe(None, RECIPE), tileset, tmp_path / "out", grid=grid)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_values_of_any_kind_come_back_as_they_were_given(tileset, tmp_path):
    torch.manual_seed(0)
    torch.save(create_network("resnet8", 3).state_dict(), tmp_path / "w.pth")
    recipe = load_recipe(None, RECIPE | {"weights": str(tmp_path / "w.pth"), "weights_licence": "mit"})
    grid = {"warm_up": [0], "decay_at": [[0.5], [0.6, 0.8]], "weights_licence": [None], "nesterov": [True]}
    found = tune(recipe, tileset, tmp_path / "out", grid=grid, seeds=[1], progress=silent)
    assert len(found.tried) == 2
    assert all(each.values["weights_licence"] is None for each in found.tried)
    assert found.best.decay_at == tuple(found.chosen["decay_at"])
    assert found.best.weights == recipe.weights  # a recipe's dump leaves the path out
    run = next((tmp_path / "out" / "trainings").iterdir())
    assert load_model(run).card.pretrained.name == "w.pth"
    assert "among 2 combinations" in found.notes[0]


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_what_diverges_is_last_and_the_others_are_trained(tileset, tmp_path, monkeypatch):
    train = tuning.train

    def diverging(recipe, *args, **more):
        if recipe.learning_rate == 1:
            raise DivergedError("loss is nan")
        return train(recipe, *args, **more)

    monkeypatch.setattr(tuning, "train", diverging)
    recipe = load_recipe(None, RECIPE)
    found = tune(recipe, tileset, tmp_path / "out", grid={"learning_rate": [1, 0.02]}, seeds=[1], progress=silent)
    assert [each.values["learning_rate"] for each in found.tried] == [0.02, 1]
    assert "diverged" in (tmp_path / "out" / "tuning.md").read_text()
    assert found.best.learning_rate == 0.02
    with pytest.raises(DivergedError, match="every combination"):
        tune(recipe, tileset, tmp_path / "none", grid={"learning_rate": [1]}, seeds=[1], progress=silent)


def test_seeds_differ(tileset, tmp_path):
    for seeds in ([], [1, 1]):
        with pytest.raises(RecipeError, match="`seeds="):
            tune(load_recipe(None, RECIPE), tileset, tmp_path, grid={"learning_rate": [1]}, seeds=seeds)


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_the_verb_tunes_kd_and_its_recipe_distils(tileset, teacher_run, tmp_path):
    words = ["tune", str(tileset.folder), "-o", str(tmp_path / "t"), "--teacher", str(teacher_run.folder)]
    words += ["--network", "resnet8", "--epochs", "1", "--batch-size", "16", "--method", "kd"]
    result = CliRunner().invoke(app, [*words, "--try", "methods.kd.temperature=2,4", "--with-seed", "1"])
    assert result.exit_code == 0, result.output
    assert "methods.kd.temperature" in result.output
    assert "measure it once on the test split" in result.output
    assert load_recipe(tmp_path / "t" / "best.yaml").methods["kd"].temperature in (2.0, 4.0)
    wrong = CliRunner().invoke(app, [*words, "--try", "epochs"])
    assert wrong.exit_code == 2
    assert "write KEY=VALUE,VALUE" in wrong.output
    twice = CliRunner().invoke(app, [*words, "--try", "epochs=1", "--try", "epochs=2"])
    assert "is there twice" in twice.output
