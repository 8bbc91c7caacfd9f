"""ROC curves of models: averages over the classes, and one panel per class."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import auc, roc_curve

from hviskd.evaluation.tables import format_value
from hviskd.figure_text import fit, with_note
from hviskd.file_names import Paths, list_paths
from hviskd.pictures import line_style, new_figure
from hviskd.reports.figures.sources import read_evaluations, read_predictions

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
_COLUMNS = 4


def macro_roc(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Curve:
    """Average the classes' one-against-the-rest ROC curves vertically (Fawcett 2006, section 9.1).

    At every false positive rate at which any class's curve bends, the true positive rates are averaged; where curves
    rise steeply both ends of the rise are kept, so that the area below is exactly the mean of the classes' areas.

    Args:
        labels: True class of every tile, int64 (N,).
        probabilities: Class probabilities, float64 (N, K).

    Returns:
        False and true positive rates, float64 (M,) each. Classes without tiles, or with all of them, are left out;
        both are empty if that leaves none.
    """
    count = probabilities.shape[1]
    curves = [_class_roc(labels, probabilities, k) for k in range(count) if 0 < (labels == k).sum() < len(labels)]
    if not curves:
        return np.empty(0), np.empty(0)
    grid = np.unique(np.concatenate([false_positive for false_positive, _ in curves]))
    # At a repeated abscissa np.interp takes the last point; mirrored, that is the foot of the rise.
    foot = np.mean([np.interp(-grid, -false[::-1], true[::-1]) for false, true in curves], axis=0)
    top = np.mean([np.interp(grid, false, true) for false, true in curves], axis=0)
    return np.repeat(grid, 2), np.stack([foot, top], axis=1).ravel()


def micro_roc(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Curve:
    """Return the micro-averaged ROC curve of all N × K decisions `this tile is of this class`; arguments as above."""
    truth = labels[:, None] == np.arange(probabilities.shape[1])
    false_positive, true_positive, _ = roc_curve(truth.ravel(), probabilities.ravel())
    return false_positive, true_positive


def average_roc(folders: Paths, *, only: Sequence[str] = ()) -> Figure:
    """Draw macro- and micro-averaged ROC curves of every model in one panel, and one panel per class.

    Areas and intervals are those of the evaluation; the micro area is computed here and has no interval.

    Args:
        folders: One or several folders that `save_evaluation` wrote.
        only: Models to draw, in this order; all where it is empty.

    Raises:
        DataError: A folder is no evaluation or is damaged, or a model is not there.
    """
    read = read_evaluations(list_paths(folders), only)
    predictions = [read_predictions(folder, name, read.classes) for folder, name in read.homes]
    rows = -(-len(read.classes) // _COLUMNS)
    entries = [fit(model.name, 2.6, 8.5, lines=3) for model in read.models]
    head = max(4.6, 0.4 + sum(0.34 + 0.16 * text.count("\n") for text in entries) * 1.5)
    figure = new_figure(11.5, head + 2.9 * rows)
    grid = figure.add_gridspec(1 + rows, _COLUMNS, height_ratios=[head, *[2.9] * rows])
    averages = figure.add_subplot(grid[0, :2])
    _square(averages, "average over classes")
    for position, (model, name, (labels, probabilities)) in enumerate(
        zip(read.models, entries, predictions, strict=True)
    ):
        colour = line_style(position)["color"]
        micro = micro_roc(labels, probabilities)
        area = model.metrics.get("macro_auroc")
        told = format_value(area.plain, area.interval) if area else "–"
        averages.plot(*macro_roc(labels, probabilities), color=colour, linewidth=1.7, label=f"{name}\n  macro {told}")
        averages.plot(*micro, color=colour, linewidth=1.2, linestyle=":", label=f"  micro {auc(*micro):.3f}")
    legend = figure.add_subplot(grid[0, 2:])
    legend.axis("off")
    legend.legend(*averages.get_legend_handles_labels(), loc="center left", frameon=False, fontsize=8.5,
                  title="area under the curve (95 % interval)\nsolid: macro, equal weight per class\n"
                  "dotted: micro, equal weight per tile", title_fontsize=9, alignment="left",
                  handlelength=3)  # fmt: skip
    for k, class_name in enumerate(read.classes):
        axes = figure.add_subplot(grid[1 + k // _COLUMNS, k % _COLUMNS])
        tiles = int(read.models[0].matrix[k].sum())
        _square(axes, f"{fit(class_name, 2.0, 9.5, lines=2)} ({tiles:,} tiles)", small=True)
        for position, (labels, probabilities) in enumerate(predictions):
            if 0 < (labels == k).sum() < len(labels):
                axes.plot(*_class_roc(labels, probabilities, k), linewidth=1.1, **line_style(position))
        areas = [model.per_class[k].auroc for model in read.models]
        if len(areas) <= 6:
            for position, area in enumerate(reversed(areas)):
                colour = line_style(len(areas) - 1 - position)["color"]
                axes.text(0.98, 0.03 + 0.095 * position, format_value(area.plain, area.interval), color=colour,
                          fontsize=7, ha="right", transform=axes.transAxes)  # fmt: skip
    return with_note(figure, read.note)


def _class_roc(labels: NDArray[np.int64], probabilities: NDArray[np.float64], k: int) -> Curve:
    false_positive, true_positive, _ = roc_curve(labels == k, probabilities[:, k])
    return false_positive, true_positive


def _square(axes: Axes, title: str, *, small: bool = False) -> None:
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_title(title, fontsize=9.5 if small else 11)
    axes.set_xlabel("1 − specificity" if small else "false positive rate (1 − specificity)", fontsize=8.5)
    axes.set_ylabel("sensitivity" if small else "true positive rate (sensitivity)", fontsize=8.5)
    axes.tick_params(labelsize=8)
