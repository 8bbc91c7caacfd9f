"""Linear probes: the optimum by another way, the choice on validation, and a teacher from them by fine-tuning."""

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.errors import DataError, RecipeError
from hviskd.models import load_model
from hviskd.models.prediction import predict_rows
from hviskd.networks import create_network
from hviskd.progress import silent
from hviskd.tiles import split_tiles
from hviskd.training import load_recipe, train
from hviskd.training.curves import draw_probes
from hviskd.training.probe import PENALTIES, Linear, best_row, fit_path, probe_rows
from tests.conftest import STRIDE, write_tiles

pytestmark = pytest.mark.usefixtures("without_curves")
PROBE = {"network": "resnet8", "network_arguments": STRIDE, "probe": True}


def blobs(classes, seed=0, count=90, width=6):
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(classes, size=count))
    labels[:classes] = range(classes)
    return rng.normal(size=(classes, width))[labels] + rng.normal(size=(count, width)), labels


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("count", [90, 12])
def test_a_fit_is_the_minimum_that_gradient_descent_finds(classes, balanced, count):
    features, labels = blobs(classes, count=count, width=6 if count == 90 else 20)
    *_, fitted = fit_path(features, labels, classes, (3.0, 0.3, 0.03), balanced=balanced)
    weights = torch.zeros(classes, features.shape[1], dtype=torch.float64, requires_grad=True)
    biases = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    seen, truth = torch.from_numpy(features), torch.from_numpy(labels)
    counts = torch.bincount(truth).double()
    each = (len(truth) / (classes * counts))[truth] if balanced else torch.ones(len(truth), dtype=torch.float64)
    optimizer = torch.optim.LBFGS([weights, biases], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        losses = torch.nn.functional.cross_entropy(seen @ weights.T + biases, truth, reduction="none")
        value = (each * losses).mean() + 0.03 * weights.square().sum() / 2
        value.backward()
        return value

    optimizer.step(loss)
    np.testing.assert_allclose(fitted.weights, weights.detach().numpy(), atol=2e-3)
    found = fitted.logits(features) - fitted.logits(features).mean(axis=1, keepdims=True)
    expected = (seen @ weights.T + biases).detach().numpy()
    np.testing.assert_allclose(found, expected - expected.mean(axis=1, keepdims=True), atol=5e-3)


def test_standardising_is_folded_into_the_weights():
    features, _ = blobs(3)
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    linear = Linear(np.arange(18.0).reshape(3, 6), np.arange(3.0))
    folded = linear.before(mean, deviation)
    np.testing.assert_allclose(folded.logits(features), linear.logits((features - mean) / deviation))


def test_the_best_on_validation_is_chosen_and_a_constant_feature_does_no_harm():
    train_set, val_set = blobs(3, seed=1), blobs(3, seed=1, count=60)
    train_set = np.column_stack([train_set[0], np.full(90, 7.0)]), train_set[1]
    val_set = np.column_stack([val_set[0], np.full(60, 7.0)]), val_set[1]
    rows, fitted = zip(*probe_rows(train_set, val_set, 3, silent), strict=True)
    assert len(rows) == 2 * len(PENALTIES)
    best = best_row(rows, "top1")
    assert rows[best]["val_top1"] == max(row["val_top1"] for row in rows)
    answers = fitted[best].logits(val_set[0]).argmax(axis=1)
    assert (answers == val_set[1]).mean() == pytest.approx(rows[best]["val_top1"])


@pytest.fixture(scope="module")
def probe_run(tileset, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hviskd.training.fit.draw_probes", draw_probes)  # its picture is looked for
        return train(load_recipe(None, PROBE), tileset, tmp_path_factory.mktemp("runs") / "probe", progress=silent)


def test_a_probe_is_an_ordinary_run_whose_network_did_not_change(probe_run, tileset):
    names = {entry.name for entry in probe_run.folder.iterdir() if entry.name[0] != "."}
    assert names == {"run.json", "recipe.yaml", "log.csv", "curves.png", "model", "model-last"}
    model = probe_run.chosen()
    torch.manual_seed(0)
    start = create_network("resnet8", 3, arguments=STRIDE).state_dict()
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, start[name]) == (not name.startswith("head.classifier")), name
    rows = tileset.rows("val")
    answers = predict_rows(model, tileset, rows, progress=silent).argmax(axis=1)
    assert model.card.metrics["val_top1"] == pytest.approx((answers == tileset.labels[rows]).mean())
    assert model.card.epoch == 0
    assert model.card.selection.startswith("linear probe with penalty")
    log = probe_run.log
    assert log["val_balanced_accuracy"].max() == pytest.approx(model.card.metrics["val_balanced_accuracy"])
    assert load_model(probe_run.folder / "model-last").fingerprint == model.fingerprint


def test_a_killed_probe_computes_no_feature_twice(tileset, tmp_path):
    def stop(done, total, what):
        if what.startswith("features of val") and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(load_recipe(None, PROBE), tileset, tmp_path / "run", progress=stop)
    told = []
    train(load_recipe(None, PROBE), tileset, tmp_path / "run", resume=True, progress=lambda *at: told.append(at))
    assert not [at for at in told if at[2].startswith("features of train")]
    assert not list((tmp_path / "run").glob("features*"))


def test_what_a_probe_cannot_do_is_said(tileset, teacher_run, tmp_path):
    recipe = load_recipe(None, PROBE)
    with pytest.raises(RecipeError, match="leave out teacher"):
        train(recipe, tileset, tmp_path / "a", teacher=teacher_run)
    unsplit = split_tiles(write_tiles(tmp_path / "tiles"), val=0.0, test=0.3)
    with pytest.raises(DataError, match="no tiles in the val split"):
        train(recipe, unsplit, tmp_path / "b")


def test_a_model_of_other_classes_is_probed_with_a_classifier_of_its_own(tileset, teacher_run, tmp_path):
    other = write_tiles(tmp_path / "tiles", patients=8, classes=("bright", "black"))
    start = teacher_run.chosen()
    recipe = load_recipe(None, {"start": str(teacher_run.folder), "probe": True})
    model = train(recipe, other, tmp_path / "run", progress=silent).chosen()
    for name, value in model.network.state_dict().items():
        if name.startswith("head.classifier"):
            assert value.shape[0] == 2
        else:
            assert torch.equal(value, start.network.state_dict()[name])
    assert "starting Model was trained on other tiles" in model.card.data.independence
    assert model.card.metrics["val_top1"] > 0.8


@pytest.mark.slow
def test_the_verb_probes_and_fine_tunes(tileset, tmp_path):
    probe, tuned = tmp_path / "probe", tmp_path / "tuned"
    words = ["train", str(tileset.folder), "-o", str(probe), "--network", "resnet8", "--probe"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "linear probe with penalty" in result.output
    quick = ["--epochs", "1", "--set", "learning_rate=0.001"]
    result = CliRunner().invoke(app, ["train", str(tileset.folder), "-o", str(tuned), "--finetune", str(probe), *quick])
    assert result.exit_code == 0, result.output
    model, start = load_model(tuned / "model-last"), load_model(probe)
    assert model.card.recipe["optimizer"] == "adamw"
    assert model.card.recipe["start"] == f"probe ({start.fingerprint[:12]})"
    moved = {
        name: (model.network.state_dict()[name] - value).abs().max().item()
        for name, value in start.network.state_dict().items()
        if name.endswith("weight")
    }
    assert all(0 < change < 0.02 for change in moved.values()), moved
    words = ["train", str(tileset.folder), "-o", str(tmp_path / "x"), "--finetune", str(probe)]
    other = CliRunner().invoke(app, [*words, "--network", "resnet14"])
    assert other.exit_code == 2
    assert "resnet14" in other.output


def test_the_model_started_from_stays_where_no_epoch_improves_upon_it(tileset, teacher_run, tmp_path):
    ruinous = {"start": str(teacher_run.folder), "epochs": 1, "learning_rate": 10, "warm_up": 0}
    run = train(load_recipe("finetune", ruinous), tileset, tmp_path / "run", progress=silent)
    start, model, log = teacher_run.chosen(), run.chosen(), run.log
    assert all(
        torch.equal(value, start.network.state_dict()[name]) for name, value in model.network.state_dict().items()
    )
    assert list(log["epoch"]) == [0, 1]
    assert log["val_balanced_accuracy"][1] < log["val_balanced_accuracy"][0]
    assert log["val_cross_entropy"][0] == pytest.approx(start.card.metrics["val_cross_entropy"], rel=1e-6)
    assert np.isnan(log["loss_total"][0])
    assert (run.card["chosen_epoch"], model.card.epoch) == (0, 0)
    assert "no epoch improved upon" in model.card.selection


def test_a_recipe_may_take_its_network_from_the_model_it_starts_from(probe_run):
    recipe = load_recipe("finetune", {"start": str(probe_run.folder)})
    assert (recipe.network, recipe.optimizer) == ("resnet8", "adamw")
    with pytest.raises(RecipeError, match="`start`"):
        load_recipe("finetune")
    assert isinstance(pd.read_csv(probe_run.log_file), pd.DataFrame)
