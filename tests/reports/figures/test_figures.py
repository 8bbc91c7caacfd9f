"""The figures of a paper show the numbers that the folders hold, and refuse folders that are not what they need."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import auc, roc_auc_score
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.errors import DataError
from hviskd.evaluation import evaluate, save_evaluation
from hviskd.pictures import save_figure
from hviskd.reports.figures import (
    average_roc,
    class_radar,
    confusion_matrices,
    draw_radar,
    gain_plot,
    macro_roc,
    micro_roc,
    pair_radar,
    training_curves,
)

from ...evaluation.conftest import colour_model, write_tiles

ARMS = ("student", "kd", "hviskd", "crd")
PAIRS = ("laptop", "ward", "phone")


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Two models measured on 5 classes, and the folder that says so."""
    work = tmp_path_factory.mktemp("measured")
    tileset = write_tiles(work / "tiles")
    models = [colour_model(tileset, name="colours"), colour_model(tileset, name="green", channels=(1,))]
    evaluation = evaluate(models, tileset, replicates=100)
    folder = work / "evaluation"
    save_evaluation(evaluation, folder)
    return evaluation, folder


def write_comparison(folder, pairs=PAIRS, *, left=0):
    """Write what the figures read of a comparison; KD gains 2 points on the student, HVisKD 5, CRD loses 1."""
    gain = {"student": 0.0, "kd": 0.02, "hviskd": 0.05, "crd": -0.01}
    rows = []
    for number, pair in enumerate(pairs):
        for arm in ARMS:
            row = {"pair": pair, "arm": arm, "chosen_top1": 0.8 + 0.01 * number + gain[arm]}
            for over in ("student", "kd"):
                difference = gain[arm] - gain[over]
                known = arm != over
                row[f"gain_over_{over}"] = difference if known else np.nan
                row[f"gain_over_{over}_low"] = difference - 0.01 if known else np.nan
                row[f"gain_over_{over}_high"] = difference + 0.03 if known else np.nan
            rows.append(row)
    folder.mkdir()
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    (folder / "comparison.json").write_text(json.dumps({"left": left, "failed": {}}))
    return folder


def lines(axes):
    return [line for line in axes.lines if not line.get_label().startswith("_")]


def test_the_macro_curve_encloses_the_mean_of_the_classes_areas():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, 200)
    probabilities = rng.dirichlet(np.ones(4), 200) + 0.4 * np.eye(4)[labels]
    probabilities = np.round(probabilities / probabilities.sum(axis=1, keepdims=True), 2)  # ties
    each = [roc_auc_score(labels == k, probabilities[:, k]) for k in range(4)]
    assert auc(*macro_roc(labels, probabilities)) == pytest.approx(np.mean(each), abs=1e-12)
    flat = roc_auc_score(np.eye(4)[labels].ravel(), probabilities.ravel())
    assert auc(*micro_roc(labels, probabilities)) == pytest.approx(flat, abs=1e-12)


def test_a_class_without_tiles_is_left_out_of_the_macro_curve():
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.4, 0.5, 0.1], [0.1, 0.8, 0.1]])
    each = [roc_auc_score(labels == k, probabilities[:, k]) for k in (0, 1)]
    assert auc(*macro_roc(labels, probabilities)) == pytest.approx(np.mean(each))
    assert macro_roc(np.zeros(4, int), probabilities)[0].size == 0


def test_the_roc_figure_states_the_evaluations_areas(measured):
    evaluation, folder = measured
    figure = average_roc(folder)
    drawn = lines(figure.axes[0])
    for result, macro in zip(evaluation.models, drawn[::2], strict=True):
        assert f"{result.metrics.macro_auroc:.3f}" in macro.get_label()
        assert auc(macro.get_xdata(), macro.get_ydata()) == pytest.approx(result.metrics.macro_auroc, abs=1e-6)
    assert len(figure.axes) == 2 + len(evaluation.classes)


def test_a_radar_has_a_corner_a_class_at_its_recall(measured):
    evaluation, folder = measured
    figure = class_radar(str(folder), only=["green"])
    (polygon,) = lines(figure.axes[0])
    recall = next(result for result in evaluation.models if result.name == "green").metrics.recall
    assert polygon.get_ydata() == pytest.approx(np.append(recall, recall[0]))


def test_a_radar_never_hides_a_value_below_its_centre():
    values = np.array([[0.9, 0.8, 0.4]])
    with pytest.raises(DataError, match=r"recall of one on c is 0\.400"):
        draw_radar(values, "abc", ["one"], what="recall", centre=0.5)
    with pytest.raises(DataError, match="three"):
        draw_radar(values[:, :2], "ab", ["one"], what="recall")
    with pytest.raises(DataError, match="outside 0 to 1"):
        draw_radar(values + 0.5, "abc", ["one"], what="recall")
    with pytest.raises(DataError, match="undefined for all models"):
        draw_radar(values * np.nan, "abc", ["one"], what="recall")


def test_a_part_of_the_confusion_matrix_keeps_shares_of_all_tiles(measured):
    evaluation, folder = measured
    figure = confusion_matrices(folder, classes=["necrosis", "LE"], only=["green"])
    axes = figure.axes[0]
    matrix = next(result for result in evaluation.models if result.name == "green").metrics.confusion
    place = {name: k for k, name in enumerate(evaluation.classes)}
    row = matrix[place["necrosis"]]
    cell = axes.texts[0].get_text()
    assert cell == f"{row[place['necrosis']] / row.sum():.0%}\n{row[place['necrosis']]:,.0f}"
    elsewhere = row.sum() - row[[place["necrosis"], place["LE"]]].sum()
    assert axes.get_yticklabels()[0].get_text() == f"necrosis\n{elsewhere / row.sum():.0%} elsewhere"


def test_gains_stand_where_the_table_says(tmp_path):
    figure = gain_plot(write_comparison(tmp_path / "one", ["laptop"]))
    points = {container.get_label(): container.lines[0] for container in figure.axes[0].containers}
    assert set(points) == {"hviskd | laptop", "crd | laptop"}  # the two references are the axes
    assert points["hviskd | laptop"].get_xydata()[0] == pytest.approx([5, 3])
    assert points["crd | laptop"].get_xydata()[0] == pytest.approx([-1, -3])
    (bar,) = figure.axes[0].containers[0].lines[2][0].get_segments()
    assert bar[:, 0] == pytest.approx([4, 8])


def test_a_radar_over_pairs_has_a_polygon_a_way_of_training(tmp_path):
    folder = write_comparison(tmp_path / "three", left=2)
    figure = pair_radar([str(folder)], only=["hviskd", "student"])
    polygons = {line.get_label(): line.get_ydata() for line in lines(figure.axes[0])}
    assert polygons["hviskd"] == pytest.approx([0.85, 0.86, 0.87, 0.85])
    assert polygons["student"] == pytest.approx([0.80, 0.81, 0.82, 0.80])
    assert any("2 trainings remain" in text.get_text() for text in figure.texts)
    with pytest.raises(DataError, match="needs at least three pairs"):
        pair_radar([write_comparison(tmp_path / "two", PAIRS[:2])])


def test_learning_curves_are_the_log_with_a_star_at_the_chosen_epoch(teacher_run):
    figure = training_curves(str(teacher_run.folder))
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    log = teacher_run.log
    line, star = panels["top-1, validation"].lines
    assert line.get_ydata() == pytest.approx(100 * log["val_top1"])
    assert star.get_xdata()[0] == teacher_run.card["chosen_epoch"]
    assert {"cross entropy, training", "learning rate", "weighted sum of losses"} <= set(panels)


@pytest.mark.parametrize("verb", ["roc", "radar", "confusion"])
def test_every_verb_writes_a_picture_and_says_where(measured, tmp_path, verb):
    _, folder = measured
    picture = tmp_path / "figure.png"
    given = CliRunner().invoke(app, ["figures", verb, str(folder), "-o", str(picture)])
    assert given.exit_code == 0, given.output
    assert str(picture) in given.output.replace("\n", "")
    with Image.open(picture) as image:
        assert min(image.size) > 400


def test_the_verbs_for_runs_and_comparisons_write_pictures(teacher_run, tmp_path):
    compared = write_comparison(tmp_path / "compared")
    for verb, folder in (("curves", teacher_run.folder), ("gain", compared), ("radar", compared)):
        picture = tmp_path / f"{verb}.png"
        given = CliRunner().invoke(app, ["figures", verb, str(folder), "-o", str(picture)])
        assert given.exit_code == 0, given.output
        assert picture.is_file()


@pytest.mark.parametrize("draw", [average_roc, class_radar, confusion_matrices, gain_plot, training_curves])
def test_a_foreign_folder_is_named_with_what_to_do(tmp_path, draw):
    with pytest.raises(DataError, match=r"that `(save_evaluation|compare|train)\(\)` wrote|that hviskd wrote"):
        draw([tmp_path])


@pytest.mark.parametrize(
    "damage",
    [
        lambda card: card.update(models=[]),
        lambda card: card["models"][0].update(confusion=[[1]]),
        lambda card: card["models"][0]["per_class"].pop(),
        lambda card: card.update(classes="LE"),
        lambda card: card["models"][0]["metrics"].update(top1={"value": "much"}),
    ],
)
def test_a_damaged_evaluation_is_refused_in_one_line(measured, tmp_path, damage):
    folder = tmp_path / "damaged"
    shutil.copytree(measured[1], folder)
    card = json.loads((folder / "evaluation.json").read_text())
    damage(card)
    (folder / "evaluation.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match="evaluate again"):
        class_radar([folder])


def test_predictions_of_other_classes_or_values_are_refused(measured, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(measured[1], folder)
    table = pd.read_parquet(folder / "predictions.parquet")
    table.assign(probability_LE=7.0).to_parquet(folder / "predictions.parquet")
    with pytest.raises(DataError, match="not probabilities"):
        average_roc([folder])
    (folder / "predictions.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match="damaged or not written by hviskd"):
        average_roc([folder])


def test_names_that_are_not_there_are_answered_with_those_that_are(measured):
    with pytest.raises(DataError, match="no model 'blue'; choose from colours, green"):
        class_radar([measured[1]], only=["blue"])
    with pytest.raises(DataError, match="no class 'XX'"):
        confusion_matrices([measured[1]], classes=["XX"])


@pytest.mark.filterwarnings("error:constrained_layout")
def test_long_and_strange_names_leave_a_picture(tmp_path):
    names = ["$x^2", "a" * 90, "%s {}"]
    figure = draw_radar(np.full((3, 5), 0.5), [*names, "b", "c"], names, what="recall", note="Many words. " * 40)
    with Image.open(save_figure(figure, tmp_path / "radar.png")) as picture:
        assert np.asarray(picture.convert("RGB")).std() > 5
