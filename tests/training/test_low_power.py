"""A student that learns both powers: chosen by both, normalised as it will be, with a threshold on its card."""

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.errors import RecipeError
from hviskd.evaluation.calibration import calibrate
from hviskd.models import NetworkChoice
from hviskd.models.coarse_to_fine import coarse_to_fine_record
from hviskd.networks.network_input import NetworkInput
from hviskd.tiles.low_power import at_low_power
from hviskd.training import load_recipe, train
from hviskd.training.low_power import epoch_worth, keep_statistics, require_low_power
from tests.conftest import write_tiles

PLAIN = {"network": "resnet8", "epochs": 2, "batch_size": 12, "low_power": 0.5}

pytestmark = pytest.mark.usefixtures("without_curves")


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "tiles"
    return write_tiles(folder, tile_px=64, patients=6, tiles_per_class=4, step=30)


@pytest.fixture(scope="module")
def run(tiles, tmp_path_factory, without_curves):
    return train(load_recipe(None, PLAIN), tiles, tmp_path_factory.mktemp("runs") / "both")


@pytest.mark.slow
def test_the_threshold_on_the_card_is_that_of_the_validation_tiles(run, tiles):
    rows = tiles.rows("val")
    for model in (run.chosen(), run.last()):
        pixels = np.asarray(tiles.pixels[rows])
        first, full = model.at_low_power().predict(at_low_power(pixels)), model.predict(pixels)
        expected = coarse_to_fine_record(first, full, data="tiles", data_fingerprint=tiles.fingerprint)
        assert model.card.coarse_to_fine == expected
        low = (first.argmax(axis=1) == tiles.labels[rows]).mean()
        assert model.card.metrics["val_low_power_top1"] == pytest.approx(low, abs=1e-6)
    assert run.recipe.low_power == run.chosen().card.recipe["low_power"] == 0.5


@pytest.mark.slow
def test_the_epoch_is_chosen_by_both_powers(run):
    log = run.log
    both = (log["val_balanced_accuracy"] + log["val_low_power_balanced_accuracy"]) / 2
    assert run.chosen().card.epoch == log["epoch"][both.idxmax()]
    assert "best balanced accuracy at full and at low power" in run.chosen().card.selection
    assert {"loss_cross_entropy", "loss_low_power/cross_entropy"} <= set(log.columns)
    expected = (log["loss_cross_entropy"] + log["loss_low_power/cross_entropy"]) / 2
    np.testing.assert_allclose(log["loss_total"], expected, rtol=1e-5)


def test_the_worth_of_an_epoch_is_weighted_as_the_losses_are():
    recipe = load_recipe(None, PLAIN | {"low_power": 0.25, "choose_by": "top1"})
    assert epoch_worth({"val_top1": 0.8, "val_low_power_top1": 0.4}, recipe) == pytest.approx(0.7)
    assert epoch_worth({"val_top1": 0.8}, recipe) == 0.8
    assert epoch_worth({}, recipe) is None


def test_in_the_last_quarter_normalisations_keep_their_statistics():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    for progress, kept in ((0.7, False), (0.75, True), (0.9, True)):
        network.train()
        keep_statistics(network, progress)
        before = network[1].running_mean.clone()
        network(torch.rand(2, 3, 8, 8))
        assert torch.equal(network[1].running_mean, before) is kept
        assert network[2].training


def test_what_cannot_be_read_at_low_power_is_refused(tileset, tmp_path):
    with pytest.raises(RecipeError, match="even number of px, 64 or more, but these have 32; set low_power: 0"):
        train(load_recipe(None, PLAIN), tileset, tmp_path / "run")
    resizing = NetworkChoice(name="timm:some_vit", own_input=NetworkInput(px=224))
    with pytest.raises(RecipeError, match="some_vit resizes every tile to 224 px"):
        require_low_power(resizing, 150)


def test_the_teacher_of_a_pair_reads_full_power_alone(tmp_path):
    pair = tmp_path / "pair.yaml"
    pair.write_text("teacher: {name: resnet14}\nstudent: {name: resnet8}\nlow_power: 0.5\n")
    powers = [load_recipe(pair, role=role).low_power for role in ("teacher", "student", "distilled student")]
    assert powers == [0, 0.5, 0.5]


@pytest.mark.slow
def test_calibrating_probabilities_finds_the_threshold_again(run, tiles, tmp_path):
    loud = run.last()
    calm = calibrate(loud, tiles, tmp_path / "calm", accuracy=0.2)
    pixels = np.asarray(tiles.pixels[tiles.rows("val")])
    first, full = calm.at_low_power().predict(at_low_power(pixels)), calm.predict(pixels)
    expected = coarse_to_fine_record(first, full, data="tiles", data_fingerprint=tiles.fingerprint)
    found = calm.card.coarse_to_fine
    assert (found.closely, found.agreement) == (expected.closely, expected.agreement)
    assert found.unsure_below == pytest.approx(expected.unsure_below, abs=1e-5)
    assert found.unsure_below != pytest.approx(loud.card.coarse_to_fine.unsure_below, abs=1e-5)


@pytest.mark.slow
def test_the_summary_tells_what_coarse_to_fine_costs(run, tiles):
    given = ["train", str(tiles.folder), "-o", str(run.folder), "--resume", "--network", "resnet8", "--epochs", "2"]
    told = CliRunner().invoke(app, [*given, "--batch-size", "12", "--set", "low_power=0.5"])
    assert told.exit_code == 0, told.output
    record = run.chosen().card.coarse_to_fine
    expected = "no threshold was found for coarse to fine" if record is None else str(record)
    assert expected in told.output
