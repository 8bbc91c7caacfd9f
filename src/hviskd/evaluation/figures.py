"""Figures of an evaluation: ROC curves, confusion matrix, models side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from hviskd.colours import PALETTE
from hviskd.evaluation.intervals import Interval
from hviskd.evaluation.metrics import Metrics
from hviskd.evaluation.tables import TITLES, format_value
from hviskd.figure_text import fit, with_note
from hviskd.pictures import DASHES, new_figure

_MARKERS = "os^DvPX*<>ph"


def roc_figure(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    classes: Sequence[str],
    metrics: Metrics,
    intervals: Sequence[Interval | None],
    *,
    title: str,
    note: str = "",
) -> Figure:
    """Plot each class's ROC curve against the rest, distinguished by colour, dash and marker.

    Args:
        labels: True class of every tile, int64 (N,).
        probabilities: Class probabilities, float32 (N, K).
        classes: K class names.
        metrics: What `measure` gave for these tiles.
        intervals: Interval of each class's AUROC, K of them.
        title: The model's name.
        note: What a reader of the lone picture must know, written below it.
    """
    from sklearn.metrics import roc_curve

    figure = new_figure(9.2, 5.3)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    for k, name in enumerate(classes):
        area = format_value(metrics.auroc[k], intervals[k])
        if np.isnan(metrics.auroc[k]):
            axes.plot([], [], " ", label=f"{fit(name, 2.0, 8, lines=3)}  undefined")
            continue
        false_positive, true_positive, _ = roc_curve(labels == k, probabilities[:, k])
        axes.plot(
            false_positive,
            true_positive,
            color=PALETTE[k % 8],  # the ninth, yellow, is too pale for a thin line
            linestyle=DASHES[k % len(DASHES)],
            marker=_MARKERS[k % len(_MARKERS)],
            markevery=(0.02 + 0.15 * k / len(classes), 0.15),
            markersize=5,
            linewidth=1.4,
            label=f"{fit(name, 2.0, 8, lines=3)}  {area}",
        )
    axes.set(
        xlabel="false positive rate (1 − specificity)",
        ylabel="true positive rate (sensitivity)",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
        title=f"{fit(title, 5.2, 12, lines=3)}\nmacro AUROC {format_value(metrics.macro_auroc, None)}",
    )
    figure.legend(
        title="one class against the rest: AUROC",
        loc="outside right center",
        frameon=False,
        fontsize=8,
        title_fontsize=9,
        handlelength=3.5,
    )
    return with_note(figure, note)


def confusion_figure(confusion: NDArray[np.float64], classes: Sequence[str], *, title: str, note: str = "") -> Figure:
    """Draw a confusion matrix: the share of each true class (rows) predicted as each class, with counts of tiles.

    Args:
        confusion: Tiles of each true class (rows) given each class (columns), float64 (K, K).
        classes: K class names.
        title: The model's name.
        note: What a reader of the lone picture must know, written below it.
    """
    side = max(4.6, 2.2 + 0.72 * len(classes))
    figure = new_figure(side + 0.9, side + 0.4)
    axes = figure.subplots()
    image = draw_confusion(axes, confusion, confusion.sum(axis=1), classes)
    axes.set(title=fit(title, 0.75 * side, 12, lines=3))
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.7, format="{x:.0%}")
    return with_note(figure, note)


def draw_confusion(
    axes: Axes,
    confusion: NDArray[np.float64],
    held: NDArray[np.float64],
    classes: Sequence[str],
    rows: Sequence[str] | None = None,
) -> AxesImage:
    """Draw a confusion matrix into `axes`, with share and count in every cell, and return the image.

    Args:
        axes: Where to draw.
        confusion: Tiles of each true class (rows) given each class (columns), float64 (K, K).
        held: All tiles of each true class, also those given a class that is not drawn, float64 (K,).
        classes: K class names.
        rows: K labels of the rows; the class names by default.
    """
    count, held = len(classes), held[:, None]
    shares = np.divide(confusion, held, out=np.full_like(confusion, np.nan), where=held > 0)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(count, count):
        if held[row, 0]:
            share, tiles = shares[row, column], confusion[row, column]
            colour = "white" if share > 0.7 else "black"
            text = f"{share:.0%}\n{tiles:,.0f}" if tiles else "0"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
        elif column == 0:
            axes.text((count - 1) / 2, row, "no tiles of this class", ha="center", va="center", fontsize=8)
    names = [fit(name, 1.35, 9, lines=3) for name in classes]
    axes.set_xticks(range(count), names, rotation=90 if max(map(len, names)) > 6 else 0)
    axes.set_yticks(range(count), names if rows is None else rows)
    axes.tick_params(labelsize=9)
    axes.set(xlabel="predicted class", ylabel="true class")
    return image


def comparison_figure(
    names: Sequence[str],
    values: Mapping[str, Sequence[tuple[float, Interval | None]]],
    *,
    note: str = "",
) -> Figure:
    """Plot several models side by side: a dot with its interval for each; a line marks the first, the reference.

    Args:
        names: Model names, from top to bottom.
        values: For each metric, by its name in `TITLES`, the value and interval of every model.
        note: What a reader of the lone picture must know, written below it.
    """
    figure = new_figure(3.4 + 3.2 * len(values), 1.2 + 0.4 * len(names))
    panels: Sequence[Axes] = np.atleast_1d(figure.subplots(1, len(values), sharey=True)).tolist()
    for axes, (metric, measured) in zip(panels, values.items(), strict=True):
        axes.axvline(measured[0][0], color="0.6", linewidth=0.8, linestyle="--")
        for row, (value, interval) in enumerate(measured):
            if interval is not None:
                axes.plot([interval.low, interval.high], [row, row], color=PALETTE[1], linewidth=2)
            axes.plot([value], [row], "o", color=PALETTE[0], markersize=6)
        axes.set(xlabel=TITLES[metric])
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
    shown = [f"{names[0]} (reference)", *names[1:]] if len(names) > 1 else names
    panels[0].set_yticks(range(len(names)), [fit(name, 2.2, 10, lines=3) for name in shown])
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    return with_note(figure, note)
