"""Tables and files carry every value, its interval and every caution, and never half of it."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from hviskd.errors import DataError
from hviskd.evaluation import evaluate, save_evaluation
from tests.conftest import figures_unpainted
from tests.html_tables import read_tables

from .conftest import colour_model, write_tiles


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    """Two models on tiles in which one class is missing."""
    tileset = write_tiles(tmp_path_factory.mktemp("data") / "tiles", held={"BG": []})
    models = [colour_model(tileset), colour_model(tileset, name="a|b", channels=(1,))]
    return evaluate(models, tileset, replicates=100)


@pytest.fixture(scope="module")
def saved(evaluation, tmp_path_factory):
    with figures_unpainted():
        return save_evaluation(evaluation, tmp_path_factory.mktemp("evaluation") / "results")


@pytest.mark.slow
def test_save_writes_every_file(saved):
    assert sorted(path.name for path in saved.iterdir()) == [
        "comparison.png", "confidence.png", "confusion-a-b.png", "confusion-colours.png", "differences.csv",
        "evaluation.json", "metrics.csv", "per-class.csv", "predictions.parquet", "reliability.csv",
        "risk-coverage.csv", "roc-a-b.png", "roc-colours.png", "table.md",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_one_model_has_nothing_to_compare(tileset, model, tmp_path):
    folder = save_evaluation(evaluate(model, tileset, replicates=100), str(tmp_path / "results"))
    assert not (folder / "comparison.png").exists()
    assert not (folder / "differences.csv").exists()
    assert "difference" not in (folder / "table.md").read_text(encoding="utf-8")


def test_saving_over_something_must_be_asked_for(evaluation, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="overwrite"):
        save_evaluation(evaluation, tmp_path / "results")
    assert (tmp_path / "results" / "thesis.txt").exists()
    with pytest.raises(DataError, match="no evaluation, so it is not replaced"):
        save_evaluation(evaluation, tmp_path / "results", overwrite=True)
    assert (tmp_path / "results" / "thesis.txt").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_an_earlier_evaluation_is_replaced_on_request(evaluation, saved, tmp_path):
    shutil.copytree(saved, tmp_path / "results")
    (tmp_path / "results" / "old.txt").write_text("old")
    with pytest.raises(DataError, match="overwrite"):
        save_evaluation(evaluation, tmp_path / "results")
    save_evaluation(evaluation, tmp_path / "results", overwrite=True)
    assert not (tmp_path / "results" / "old.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_json_holds_the_same_numbers_with_null_for_the_undefined(evaluation, saved):
    def refuse(name):
        raise AssertionError(name)

    text = (saved / "evaluation.json").read_text(encoding="utf-8")
    content = json.loads(text, parse_constant=refuse)
    assert content == evaluation.to_dict()
    first, result = content["models"][0], evaluation.models[0]
    assert first["metrics"]["top1"] == {
        "value": result.metrics.top1,
        "low": result.intervals["top1"].low,
        "high": result.intervals["top1"].high,
    }
    assert list(first["metrics"]) == ["top1", "top3", "balanced_accuracy", "macro_f1", "macro_auroc", "ece"]
    assert first["per_class"][4]["auroc"] == {"value": None, "low": None, "high": None}
    assert np.array(first["confusion"]).sum() == content["tiles"] == len(evaluation.labels)
    assert content["data"]["split_fingerprint"] == evaluation.split_fingerprint
    assert content["leak"] == evaluation.leak


def test_csv_files_read_back_as_the_tables(evaluation, saved):
    for name, frame in {
        "metrics": evaluation.to_dataframe(),
        "per-class": evaluation.per_class_dataframe(),
        "differences": evaluation.differences_dataframe(),
    }.items():
        read = pd.read_csv(saved / f"{name}.csv")
        pd.testing.assert_frame_equal(read, frame, check_dtype=False, rtol=1e-12)
        assert (read["leak"] == evaluation.leak).all()
    metrics = pd.read_csv(saved / "metrics.csv").set_index("model")
    result = evaluation.models[1]
    assert metrics.loc["a-b", "macro_auroc"] == pytest.approx(result.metrics.macro_auroc)
    assert (metrics["top1_low"] < metrics["top1"]).all()
    assert (metrics["top1"] < metrics["top1_high"]).all()
    per_class = pd.read_csv(saved / "per-class.csv")
    assert len(per_class) == 10
    assert math.isnan(per_class.loc[per_class["class"] == "BG", "auroc"].iloc[0])


def test_predictions_repeat_the_measurement(evaluation, saved):
    path = saved / "predictions.parquet"
    table = pd.read_parquet(path)
    assert list(table.columns) == ["row", "file", "patient", "slide", "label", "model"] + [
        f"probability_{name}" for name in evaluation.classes
    ]
    for result in evaluation.models:
        own = table[table["model"] == result.name]
        shares = own.filter(like="probability_")
        given = shares.idxmax(axis=1).str.removeprefix("probability_")
        assert (given == own["label"]).mean() == pytest.approx(result.metrics.top1)
        assert shares.dtypes.unique().tolist() == [np.float32]
        assert own["file"].str.startswith(own["patient"].iloc[0]).any()
    assert evaluation.leak in json.dumps(
        {key.decode(): value.decode() for key, value in pq.read_schema(path).metadata.items()}
    )


def test_markdown_tables_are_whole_and_carry_the_cautions(evaluation):
    text = evaluation.to_markdown()
    for statement in evaluation.statements:
        assert statement in text
    widths = [{line.count("|") for line in block.splitlines()} for block in text.split("\n\n") if block.startswith("|")]
    assert [len(each) for each in widths] == [1, 1, 1]  # three tables, no ragged rows
    result = evaluation.models[0]
    low, high = result.intervals["top1"]
    assert f"| colours | {result.metrics.top1:.3f} ({low:.3f} to {high:.3f}) |" in text
    assert "| a-b − colours |" in text
    assert "| BG | 0 | – | – |" in text


def test_it_shows_itself_in_a_notebook(evaluation):
    html = replace(evaluation, data_name="<tiles>")._repr_html_()
    (header, rows), (others, differences) = evaluation.summary_table(), evaluation.difference_table()
    assert read_tables(html) == [header, *rows, others, *differences]
    assert "of &lt;tiles&gt;: " in html
