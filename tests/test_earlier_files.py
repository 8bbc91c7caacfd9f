"""Folders of every kind, as an earlier version wrote them, can be read and used."""

import tarfile

import numpy as np
import pandas as pd
import pytest

import hviskd
from hviskd.reports.figures.sources import read_comparisons, read_evaluations, read_predictions
from hviskd.segmentation import read_summary
from tests.data import DATA


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(DATA / "earlier.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_every_folder_of_an_earlier_version_is_read(earlier):
    tiles, cut = hviskd.TileSet.open(earlier / "tiles"), hviskd.TileSet.open(earlier / "cut")
    assert (len(tiles), tiles.classes, tiles.tile_px) == (60, ("pale", "middle", "dark"), 32)
    assert tiles.table["split"].value_counts().to_dict() == {"train": 36, "val": 12, "test": 12}
    report = hviskd.read_report(earlier / "cut-qc")
    assert len(cut) == sum(report.slides[0].tiles.values()) == 25
    assert hviskd.check_leak(tiles).units == 10

    for name, method in (("teacher", "cross_entropy"), ("student", "kd")):
        run = hviskd.Run(earlier / "runs" / name)
        assert run.finished
        assert method in run.recipe.methods
        assert len(run.log) == 2
        assert run.chosen().fingerprint
        assert run.last().card.epoch == 2
    assert hviskd.load_model(earlier / "int8").int8_onnx()

    slide_map = hviskd.load_slide_map(earlier / "maps" / "section")
    summary = read_summary(earlier / "maps" / "section")
    assert len(slide_map) == summary.tiles == 42
    for name, area in slide_map.areas_mm2().items():
        assert area == pytest.approx(summary.areas_mm2[name])

    evaluation = read_evaluations([earlier / "evaluation"])
    assert [model.name for model in evaluation.models] == ["student", "student-last", "teacher", "teacher-last"]
    assert len(read_comparisons([earlier / "comparison"], ["chosen_top1"]).table) == 3


def test_an_earlier_model_gives_the_probabilities_that_were_stored(earlier):
    tiles = hviskd.TileSet.open(earlier / "tiles")
    rows = tiles.require_split("test")
    found = hviskd.load_model(earlier / "runs" / "student").predict(tiles.pixels[rows], device="cpu")
    _, stored = read_predictions(earlier / "evaluation", "student", tiles.classes)
    np.testing.assert_allclose(found, stored, atol=1e-4)
    assert len(pd.unique(found.argmax(axis=1))) > 1


@pytest.mark.usefixtures("unpainted")
def test_an_earlier_comparison_is_continued_without_training_again(earlier, monkeypatch):
    monkeypatch.chdir(earlier)  # the experiment names its pair's file, tiny.yaml
    trained = (earlier / "comparison" / "students" / "tiny" / "kd-fold0-seed0" / "run.json").read_bytes()
    before = pd.read_csv(earlier / "comparison" / "table.csv")
    design = hviskd.load_design(earlier / "comparison" / "experiment.yaml")
    result = hviskd.compare(design, earlier / "tiles", earlier / "comparison", device="cpu")
    assert (result.left, result.failed) == (0, {})
    after = pd.read_csv(earlier / "comparison" / "table.csv")
    pd.testing.assert_series_equal(after["chosen_top1"], before["chosen_top1"])
    assert (earlier / "comparison" / "students" / "tiny" / "kd-fold0-seed0" / "run.json").read_bytes() == trained


@pytest.mark.slow
def test_one_report_shows_all_earlier_folders(earlier, tmp_path):
    kinds = ("runs", "evaluation", "maps", "agreement", "attention", "comparison")
    sections = hviskd.write_report([earlier / kind for kind in kinds], tmp_path / "report.html")
    assert len(sections) == len(kinds)
