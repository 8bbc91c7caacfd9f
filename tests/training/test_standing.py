"""A teacher that is no better than a guess is refused before anything is distilled."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.errors import ModelError
from hviskd.evaluation import evaluate
from hviskd.models import NetworkChoice, save_model
from hviskd.models.card import untrained_card
from hviskd.models.prediction import predict_rows
from hviskd.networks import create_network
from hviskd.progress import silent
from hviskd.training import Teaching, load_recipe, train
from hviskd.training.standing import Standing, least_accuracy, standing_of
from tests.conftest import STRIDE

pytestmark = pytest.mark.usefixtures("without_curves")
QUICK = {"network": "resnet8", "network_arguments": STRIDE, "epochs": 1, "batch_size": 16, "methods": "kd"}


@pytest.fixture(scope="module")
def random_teacher(tileset, tmp_path_factory):
    """What a pretrained network is whose weights were silently not loaded."""
    torch.manual_seed(4)
    card = untrained_card(NetworkChoice(name="resnet8"), tileset.classes, tileset.tile_px, tileset.mpp)
    return save_model(create_network("resnet8", 3), card, tmp_path_factory.mktemp("models") / "random")


def with_metric(model, tileset, value):
    data = model.card.data.model_copy(
        update={"fingerprint": tileset.fingerprint, "split_fingerprint": tileset.split_fingerprint}
    )
    return replace(
        model, card=model.card.model_copy(update={"metrics": {"val_balanced_accuracy": value}, "data": data})
    )


@pytest.mark.slow
def test_random_weights_are_refused_with_numbers_and_a_way_out(random_teacher, tileset, tmp_path):
    rows = tileset.rows("val")
    answers = predict_rows(random_teacher, tileset, rows, progress=silent).argmax(axis=1)
    balanced = np.mean([(answers[tileset.labels[rows] == label] == label).mean() for label in range(3)])
    with pytest.raises(ModelError, match=rf"{balanced:.3f} on 48 tiles.*0\.333.*allow_weak=True"):
        train(load_recipe(None, QUICK), tileset, tmp_path / "run", teacher=random_teacher)
    assert not (tmp_path / "run").exists()
    allowed = Teaching(random_teacher, allow_weak=True)
    run = train(load_recipe(None, QUICK), tileset, tmp_path / "run", teacher=allowed, progress=silent)
    assert "no better than a guess" in run.card["teacher"]
    assert "no better than a guess" in run.chosen().card.teacher.weak
    evaluation = evaluate(run.chosen(), tileset, replicates=100, progress=silent)
    assert any("no better than a guess" in statement for statement in evaluation.statements)


def test_a_teacher_that_learned_is_none(teacher_run, tileset):
    teacher = teacher_run.chosen()
    known = teacher.card.metrics["val_balanced_accuracy"]
    assert standing_of(teacher, tileset, "cpu", silent) == Standing(accuracy=known)


def test_a_card_of_this_split_is_believed_and_small_numbers_are_not_enough(random_teacher, tileset):
    def weakness(known):
        return standing_of(with_metric(random_teacher, tileset, known), tileset, "cpu", silent).weak

    assert weakness(0.9) == ""
    assert "balanced accuracy 0.400" in weakness(0.4)
    assert weakness(0.5) == ""


def test_where_there_is_no_validation_split_outputs_say_so(random_teacher, tileset):
    table = tileset.table.assign(split=tileset.table["split"].replace("val", "test"))
    standing = standing_of(random_teacher, replace(tileset, table=table), "cpu", silent)
    assert standing.weak == ""
    assert "unknown: there is no validation split" in standing.note


@pytest.mark.parametrize("counts", [(25, 25, 25, 25), (12, 7, 3), (400, 20), (3, 3, 3, 3, 3), (1500, 300, 40)])
def test_a_guess_passes_as_seldom_as_it_should(counts):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    guesses = rng.integers(len(counts), size=(2000, len(labels))) == labels
    found = np.mean([guesses[:, labels == label].mean(axis=1) for label in range(len(counts))], axis=0)
    assert (found >= least_accuracy(np.array(counts))).mean() < 0.075


def test_what_is_asked_of_a_teacher_in_closed_form():
    assert least_accuracy(np.array([16] * 4)) == pytest.approx(0.25 + 1.645 * math.sqrt(0.25 * 0.75 / 64))
    assert least_accuracy(np.array([10_000] * 5)) == pytest.approx(0.28)  # a tenth of the way from 0.2 to 1
    rare = 0.5 + 1.645 * math.sqrt(0.25 * (1 / 9_900 + 1 / 20)) / 2  # an empty class does not count
    assert least_accuracy(np.array([9_900, 0, 20])) == pytest.approx(rare)
    assert least_accuracy(np.array([1, 1])) == 1  # what makes no error passes


@pytest.mark.slow
def test_the_verb_spells_the_option(random_teacher, tileset, tmp_path):
    words = ["distill", str(tileset.folder), "--teacher", str(random_teacher.folder), "-o", str(tmp_path / "run")]
    words += ["--network", "resnet8", "--method", "kd", "--epochs", "1", "--batch-size", "16"]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "--allow-weak-teacher" in refused.output
    allowed = CliRunner().invoke(app, [*words, "--allow-weak-teacher"])
    assert allowed.exit_code == 0, allowed.output
    assert "no better than a guess" in allowed.output


@pytest.mark.slow
def test_a_peer_may_begin_as_a_guess(random_teacher, tileset, tmp_path):
    recipe = load_recipe(None, QUICK | {"methods": "dml"})
    assert train(recipe, tileset, tmp_path / "run", teacher=random_teacher, progress=silent).finished
