"""Robustness is what evaluating worsened tiles one by one gives; changes are paired with the clean tiles."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hviskd.errors import DataError
from hviskd.evaluation import bootstrap_weights, evaluate, measure, save_evaluation
from hviskd.evaluation.corrupted_tiles import relative_change, robustness
from hviskd.tiles.corruptions import CORRUPTIONS, corrupt
from tests.html_tables import read_tables


@pytest.fixture(scope="module")
def told():
    """What `found` told of its progress."""
    return []


@pytest.fixture(scope="module")
def found(tileset, told):
    from dataclasses import replace

    from .conftest import colour_model

    models = [
        colour_model(tileset),
        replace(colour_model(tileset, name="green"), channels=(1,), fingerprint="1" * 64),
    ]
    evaluation = evaluate(models, tileset, replicates=100)
    more = {"corruptions": ["stain", "brightness"], "replicates": 60}
    return models, robustness(evaluation, models, tileset, **more, progress=lambda *at: told.append(at))


def row_of(table, **wanted):
    (row,) = table[np.logical_and.reduce([table[name] == value for name, value in wanted.items()])].to_dict("records")
    return row


@pytest.mark.slow
def test_values_are_those_of_the_worsened_tiles(found, tileset):
    models, result = found
    for level in (1, 5):
        worse = corrupt(np.asarray(tileset.pixels[:]), CORRUPTIONS["brightness"], level, numbers=range(len(tileset)))
        by_hand = measure(tileset.labels, models[1].predict(worse))
        for metric in ("top1", "macro_auroc", "ece"):
            row = row_of(result.levels, model="green", corruption="brightness", level=level, metric=metric)
            assert row["value"] == pytest.approx(by_hand.overall()[metric], abs=1e-6)


def test_changes_and_their_intervals_are_paired_over_patients(found, tileset):
    models, result = found
    worse = corrupt(np.asarray(tileset.pixels[:]), CORRUPTIONS["stain"], 5, numbers=range(len(tileset)))
    right = {"clean": models[0].predict(np.asarray(tileset.pixels[:])), "worse": models[0].predict(worse)}
    hit = {name: (shares.argmax(axis=1) == tileset.labels).astype(float) for name, shares in right.items()}
    _, owner = tileset.clusters(tileset.rows("test"))
    drawn = [
        np.average(hit["worse"], weights=weight) - np.average(hit["clean"], weights=weight)
        for weight in bootstrap_weights(owner, 60, 0)
    ]
    row = row_of(result.levels, model="colours", corruption="stain", level=5, metric="top1")
    assert row["change"] == pytest.approx(hit["worse"].mean() - hit["clean"].mean())
    assert row["relative_change"] == pytest.approx(hit["worse"].mean() / hit["clean"].mean() - 1)
    assert (row["change_low"], row["change_high"]) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    clean = row_of(result.levels, model="colours", corruption="stain", level=0, metric="top1")
    assert (clean["change"], clean["change_low"], clean["change_high"]) == (0, 0, 0)


def test_means_are_over_the_five_levels_and_differences_against_the_first_model(found):
    _, result = found
    own = {}
    for model in ("colours", "green"):
        steps = result.steps(model, "stain", "top1")
        own[model] = steps["value"].iloc[1:].mean() - steps["value"].iloc[0]
        assert row_of(result.means, model=model, corruption="stain", metric="top1")["change"] == pytest.approx(
            own[model]
        )
    row = row_of(result.means, model="green", corruption="stain", metric="top1")
    assert row["difference"] == pytest.approx(own["green"] - own["colours"])
    assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    assert np.isnan(row_of(result.means, model="colours", corruption="stain", metric="top1")["difference"])


def test_calibration_errors_lie_within_their_intervals(found):
    _, result = found
    for table, names in ((result.levels, ("value", "change")), (result.means, ("change",))):
        errors = table[table["metric"] == "ece"]
        for name in names:
            assert (errors[f"{name}_low"] <= errors[name]).all()
            assert (errors[name] <= errors[f"{name}_high"]).all()
    levels = result.levels[result.levels["metric"] == "ece"]
    assert (levels["value_low"] >= 0).all()
    assert levels["relative_change_low"].isna().all()


@pytest.mark.slow
def test_tables_and_pictures_are_written(found, tmp_path):
    _, result = found
    tmp_path = save_evaluation(result.evaluation, tmp_path / "results", robustness=result)
    assert (tmp_path / "evaluation.json").is_file()
    levels = pd.read_csv(tmp_path / "robustness.csv")
    assert len(levels) == 2 * 2 * 6 * 3
    text = (tmp_path / "robustness.md").read_text()
    assert "green − colours" in text
    assert text.count("| colours |") == 1 + 3 * 2
    for name in ("robustness.png", "robustness-tiles.png", "confidence.png"):
        with Image.open(tmp_path / name) as picture:
            assert np.asarray(picture.convert("RGB")).std() > 10


def test_it_tells_how_far_it_is(found, told):
    models, result = found
    done = len(result.evaluation.labels) * len(models) * 2 * 5
    assert (done, done, "classify corrupted tiles") in told
    assert told[-1] == (60, 60, "resample")


def test_of_nothing_there_is_no_relative_change():
    change = relative_change(np.array([0.5, 1.0, 0.0, np.nan]), np.array([0.0, 0.8, 0.0, 0.5]))
    assert change == pytest.approx([np.nan, 0.25, np.nan, np.nan], nan_ok=True)


def test_an_unknown_corruption_is_refused(found, tileset):
    models, result = found
    with pytest.raises(DataError, match=r"`corruptions=\['fog'\]`: unknown"):
        robustness(result.evaluation, models, tileset, corruptions=["fog"])


def test_it_shows_itself_in_a_notebook(found):
    _, result = found
    header, rows = result.summary_table()
    assert read_tables(result._repr_html_())[: 1 + len(rows)] == [header, *rows]
    assert "mean over five levels" in result._repr_html_()
