"""Pictures show what was measured, for 2 to 12 classes, with names of any kind and classes without tiles."""

import numpy as np
import pytest
from PIL import Image

from hviskd.evaluation import Interval, measure
from hviskd.evaluation.figures import comparison_figure, confusion_figure, roc_figure
from hviskd.evaluation.tables import format_value
from hviskd.pictures import save_figure

NAMES = [
    "LE", "IT", "CT", "CTpnz", "CTpan", "CTpnn", "hyperplastic blood vessels", "microvascular_proliferation",
    "necrosis $x^2", "浸润肿瘤", "a" * 90, "%s {}",
]  # fmt: skip


def measured(classes, absent=None):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, 300)
    if absent is not None:
        labels[labels == absent] = 0
    probabilities = rng.dirichlet(np.ones(classes), 300).astype(np.float32)
    return labels, probabilities, measure(labels, probabilities)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 12])
@pytest.mark.filterwarnings("error:constrained_layout")  # something would be cut off
@pytest.mark.filterwarnings("ignore:Glyph")
def test_pictures_are_written_for_any_number_of_classes(tmp_path, classes):
    labels, probabilities, metrics = measured(classes)
    intervals = [Interval(0.4, 0.6)] * (classes - 1) + [None]
    names = NAMES[-classes:]
    note = "Many words. " * 60
    drawn = {
        "roc": roc_figure(labels, probabilities, names, metrics, intervals, title="a $ model", note=note),
        "confusion": confusion_figure(metrics.confusion, names, title="a $ model", note=note),
    }
    for name, figure in drawn.items():
        with Image.open(save_figure(figure, tmp_path / f"{name}.png")) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        assert min(pixels.shape[:2]) > 500
        assert pixels.std() > 10  # not a blank sheet


def test_roc_curves_differ_without_colour_and_name_their_area():
    labels, probabilities, metrics = measured(12)
    figure = roc_figure(labels, probabilities, NAMES, metrics, [None] * 12, title="model")
    curves = [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    assert len({(line.get_marker(), line.get_linestyle()) for line in curves}) == 12
    assert f"{metrics.auroc[0]:.3f}" in curves[0].get_label()
    assert f"{metrics.macro_auroc:.3f}" in figure.axes[0].get_title()


def test_the_area_under_the_drawn_curve_is_the_stated_auroc():
    labels, probabilities, metrics = measured(5)
    figure = roc_figure(labels, probabilities, NAMES[:5], metrics, [None] * 5, title="model")
    curves = [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    areas = [np.trapezoid(line.get_ydata(), line.get_xdata()) for line in curves]
    assert areas == pytest.approx(metrics.auroc)


def test_a_class_without_tiles_is_named_in_both_pictures():
    labels, probabilities, metrics = measured(5, absent=3)
    roc = roc_figure(labels, probabilities, NAMES[:5], metrics, [None] * 5, title="model")
    assert any("CTpnz  undefined" in line.get_label() for line in roc.axes[0].lines)
    confusion = confusion_figure(metrics.confusion, NAMES[:5], title="model")
    assert "no tiles of this class" in [text.get_text() for text in confusion.axes[0].texts]


def test_confusion_cells_give_share_and_count_in_readable_ink():
    figure = confusion_figure(np.array([[90.0, 10.0], [0.0, 1500.0]]), ["a", "b"], title="model")
    cells = [(text.get_text(), text.get_color()) for text in figure.axes[0].texts]
    assert cells == [("90%\n90", "white"), ("10%\n10", "black"), ("0", "black"), ("100%\n1,500", "white")]


def test_comparison_draws_a_dot_a_model_and_an_interval_where_there_is_one(tmp_path):
    values = {"top1": [(0.7, Interval(0.6, 0.8)), (0.75, None)], "macro_auroc": [(0.9, None), (0.95, None)]}
    figure = comparison_figure(["first", "second"], values, note="note")
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["first (reference)", "second"]
    dots = [tuple(line.get_xdata()) for line in left.lines if line.get_marker() == "o"]
    assert dots == [(0.7,), (0.75,)]
    assert [tuple(line.get_xdata()) for line in left.lines if line.get_linewidth() == 2] == [(0.6, 0.8)]
    assert not [line for line in right.lines if line.get_linewidth() == 2]
    assert save_figure(figure, tmp_path / "comparison.png").stat().st_size > 5000


def test_values_are_written_with_interval_sign_and_dash():
    assert format_value(0.7124, Interval(0.68, 0.74)) == "0.712 (0.680 to 0.740)"
    assert format_value(-0.01, Interval(-0.02, 0.003), signed=True) == "−0.010 (−0.020 to +0.003)"
    assert format_value(float("nan"), None) == "–"
