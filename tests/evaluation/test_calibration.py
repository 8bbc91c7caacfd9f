"""A fitted temperature is the likeliest and changes no class; the threshold keeps its promise."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.errors import DataError
from hviskd.evaluation.calibration import (
    MIN_SURE_TILES,
    calibrate,
    fit_temperature,
    negative_log_likelihood,
    sure_from,
    tempered,
)
from hviskd.models import load_model, save_model
from hviskd.networks import create_network

from .conftest import colour_model, write_tiles


def drawn(temperature, tiles=20_000, seed=0):
    """Labels drawn from softmax(z), and the overconfident softmax(T z)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=1.5, size=(tiles, 4))
    honest = torch.softmax(torch.from_numpy(logits), 1).numpy()
    labels = (honest.cumsum(axis=1) < rng.random((tiles, 1))).sum(axis=1)
    return labels, honest, torch.softmax(torch.from_numpy(temperature * logits), 1).numpy().astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoiled_probabilities_is_found(temperature):
    labels, honest, spoiled = drawn(temperature)
    found = fit_temperature(labels, spoiled)
    assert found == pytest.approx(temperature, rel=0.03)
    assert np.abs(tempered(spoiled, temperature) - honest).max() < 1e-4
    grid = [negative_log_likelihood(labels, tempered(spoiled, t)) for t in np.linspace(0.3, 5, 48)]
    assert negative_log_likelihood(labels, tempered(spoiled, found)) <= min(grid) + 1e-9


def test_likelihood_is_torchs_cross_entropy():
    labels, _, spoiled = drawn(2.0, tiles=500)
    expected = torch.nn.functional.nll_loss(torch.from_numpy(np.log(spoiled)), torch.from_numpy(labels)).item()
    assert negative_log_likelihood(labels, spoiled) == pytest.approx(expected, rel=1e-5)


def test_no_temperature_is_made_up_where_every_tile_is_right():
    labels = np.array([0, 1, 0, 1])
    with pytest.raises(DataError, match="no temperature fits: on 4 validation tiles, the model makes no errors"):
        fit_temperature(labels, np.eye(2)[labels] * 0.4 + 0.3)


def test_a_model_that_learned_nothing_is_told_so():
    labels, _, spoiled = drawn(3.0)
    with pytest.raises(DataError, match=r"top-1 is 2\d\.\d%, .* train the model for longer"):
        fit_temperature(np.random.default_rng(1).permutation(labels), spoiled)


def test_classes_that_are_always_equally_probable_need_no_temperature():
    labels = np.array([0, 1, 2, 3] * 5)
    assert fit_temperature(labels, np.full((20, 4), 0.25)) == 1


def test_the_threshold_is_the_lowest_that_keeps_its_promise():
    labels, _, spoiled = drawn(2.0, tiles=3000)
    threshold, share = sure_from(labels, spoiled, 0.9)
    confidence, right = spoiled.max(axis=1).astype(np.float64), spoiled.argmax(axis=1) == labels
    kept = confidence >= threshold
    assert right[kept].mean() >= 0.9
    assert share == pytest.approx(kept.mean())
    assert all(right[confidence >= lower].mean() < 0.9 for lower in np.unique(confidence[confidence < threshold]))
    few = slice(0, MIN_SURE_TILES - 1)
    assert sure_from(labels[few], spoiled[few], 0.1) == (None, 0.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model that knows a little and claims far too much, and what the verb makes of it."""
    work = tmp_path_factory.mktemp("calibrated")
    tileset = write_tiles(work / "tiles", splits=("train", "val", "test"))
    torch.manual_seed(0)
    network = create_network("resnet8", len(tileset.classes), "gap").eval()
    card = colour_model(tileset, name="loud").card
    rows = tileset.rows("train")
    with torch.no_grad():  # ridge regression, its logits made loud
        images = torch.from_numpy(tileset.pixels[rows]).permute(0, 3, 1, 2) / 255
        mean, sd = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        pooled = network.trace((images - mean[:, None, None]) / sd[:, None, None]).embedding
        truth = torch.nn.functional.one_hot(torch.from_numpy(tileset.labels[rows]), len(tileset.classes)).float()
        ridge = 0.01 * pooled.square().sum(0).mean() * torch.eye(pooled.shape[1])
        solved = torch.linalg.solve(pooled.T @ pooled + ridge, pooled.T @ truth)
        network.head.classifier.weight.copy_(20 * solved.T)
        network.head.classifier.bias.zero_()
    save_model(network, card, work / "loud")
    out = work / "calm"
    given = CliRunner().invoke(
        app, ["calibrate", str(work / "loud"), str(work / "tiles"), "-o", str(out), "--accuracy", "0.2"]
    )
    return given, load_model(work / "loud"), out, tileset


@pytest.mark.slow
def test_the_new_model_gives_the_tempered_probabilities(made):
    given, loud, out, tileset = made
    assert given.exit_code == 0, given.output
    calm = load_model(out)
    record = calm.card.calibration
    tiles = np.asarray(tileset.pixels[tileset.rows("test")])
    before, after = loud.predict(tiles), calm.predict(tiles)
    assert np.abs(after - tempered(before, record.temperature)).max() < 1e-5
    assert np.array_equal(before.argmax(axis=1), after.argmax(axis=1))
    assert record.nll_after < record.nll_before
    assert record.val_tiles == len(tileset.rows("val"))
    assert calm.fingerprint != loud.fingerprint
    assert f"temperature {record.temperature:.3f}" in given.output


def test_a_calibrated_model_is_not_calibrated_again_nor_a_folder_replaced(made):
    _, loud, out, tileset = made
    again = CliRunner().invoke(app, ["calibrate", str(out), str(tileset.folder), "-o", str(out) + "-2"])
    assert again.exit_code == 2
    full = CliRunner().invoke(app, ["calibrate", str(loud.folder), str(tileset.folder), "-o", str(out)])
    assert full.exit_code == 2
    assert load_model(out).card.calibration is not None


def test_the_library_tells_how_far_it_is_and_takes_folders(made, tmp_path):
    _, loud, out, tileset = made
    told = []
    calm = calibrate(
        str(loud.folder), str(tileset.folder), str(tmp_path / "calm"), progress=lambda *at: told.append(at)
    )
    assert calm.fingerprint == load_model(out).fingerprint
    assert told[-1] == (len(tileset.rows("val")),) * 2 + ("classify with loud",)


def test_a_model_that_may_know_the_val_tiles_is_refused(made, tmp_path):
    _, loud, _, tileset = made
    other = write_tiles(tmp_path / "tiles", splits=("val", "test", "train"))
    assert other.fingerprint == tileset.fingerprint
    refused = CliRunner().invoke(app, ["calibrate", str(loud.folder), str(other.folder), "-o", str(tmp_path / "out")])
    assert refused.exit_code == 2
    assert "with another split" in refused.stderr
    assert not (tmp_path / "out").exists()
