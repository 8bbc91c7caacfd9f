"""Radar charts of models over classes, or of methods over pairs."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes
from numpy.typing import NDArray

from hviskd.errors import DataError
from hviskd.figure_text import fit, with_note
from hviskd.file_names import Paths, list_paths
from hviskd.pictures import line_style, new_figure
from hviskd.reports.figures.sources import choose, read_comparisons, read_evaluations

CLASS_METRICS = {"recall": "recall", "precision": "precision", "f1": "F1", "auroc": "AUROC"}
PAIR_METRICS = {"top1": "top-1", "balanced_accuracy": "balanced accuracy", "macro_auroc": "macro AUROC"}


def class_radar(folders: Paths, *, metric: str = "recall", centre: float = 0.0, only: Sequence[str] = ()) -> Figure:
    """Draw a metric of every class, one polygon per model; evaluations come from `folders`.

    Args:
        folders: One or several folders that `save_evaluation` wrote.
        metric: A name of `CLASS_METRICS`.
        centre: The value in the middle of the picture, 0 to below 1; it is written below the picture.
        only: Models to draw, in this order; all where it is empty.

    Raises:
        DataError: A folder is no evaluation, the metric is unknown, there are under three classes, or a value is
            smaller than `centre`.
    """
    _known(metric, CLASS_METRICS)
    read = read_evaluations(list_paths(folders), only)
    values = np.array([[getattr(own, metric).plain for own in model.per_class] for model in read.models])
    names = [model.name for model in read.models]
    return draw_radar(values, read.classes, names, what=CLASS_METRICS[metric], centre=centre, note=read.note)


def pair_radar(folders: Paths, *, metric: str = "top1", centre: float = 0.0, only: Sequence[str] = ()) -> Figure:
    """Draw a metric of every teacher–student pair, one polygon per method.

    Values are means over trainings, at the epoch chosen on validation. A pair in which a way of training is missing
    leaves a gap in its polygon.

    Args:
        folders: One or several folders that `compare` wrote.
        metric: A name of `PAIR_METRICS`.
        centre: As in `class_radar`.
        only: Ways of training (arms) to draw, in this order; all where it is empty.

    Raises:
        DataError: A folder is no comparison, the metric is unknown, there are under three pairs, or a value is
            smaller than `centre`.
    """
    _known(metric, PAIR_METRICS)
    column = f"chosen_{metric}"
    given = list_paths(folders)
    read = read_comparisons(given, [column])
    pairs = list(dict.fromkeys(read.table["pair"]))
    arms = choose(list(dict.fromkeys(read.table["arm"])), only, "method", str(given[0]))
    if len(pairs) < 3:
        raise DataError(f"{given[0]}: a radar chart needs at least three pairs; use `gain_plot()`")
    wide = read.table.pivot(index="arm", columns="pair", values=column).loc[arms, pairs]
    return draw_radar(
        wide.to_numpy(np.float64), pairs, arms, what=PAIR_METRICS[metric], centre=centre,
        note=f"Means over trainings at the selected epoch. {read.note}".strip(),
    )  # fmt: skip


def draw_radar(
    values: NDArray[np.float64],
    spokes: Sequence[str],
    names: Sequence[str],
    *,
    what: str,
    centre: float = 0.0,
    note: str = "",
) -> Figure:
    """Draw one polygon per row of `values`.

    Args:
        values: Shares from 0 to 1, float64 (polygons, spokes); NaN leaves a gap.
        spokes: Names of the columns, at least three.
        names: Names of the rows.
        what: What is measured, in words.
        centre: The value in the middle, 0 to below 1.
        note: What a reader of the lone picture must know, written below it.

    Raises:
        DataError: Fewer than three spokes, `centre` out of range, or a value smaller than it or greater than 1.
    """
    if len(spokes) < 3:
        raise DataError(f"{len(spokes)} spokes, but a radar chart needs at least three classes or pairs")
    if not 0 <= centre < 1:
        raise DataError(f"`centre={centre:g}`: must be at least 0 and below 1")
    if np.isnan(values).all():
        raise DataError(f"{what}: undefined for all models; there is nothing to draw")
    if np.nanmax(values) > 1 or np.nanmin(values) < 0:
        raise DataError(f"{what}: a value is outside 0 to 1; the folder is damaged")
    if np.nanmin(values) < centre:
        row, column = divmod(int(np.nanargmin(values)), values.shape[1])
        raise DataError(
            f"`centre={centre:g}`: {what} of {names[row]} on {spokes[column]} is {values[row, column]:.3f}; "
            "choose a centre below that"
        )
    figure = new_figure(9.6, 6.4)
    axes = figure.add_subplot(projection="polar")
    assert isinstance(axes, PolarAxes)
    angles = 2 * math.pi * np.arange(len(spokes)) / len(spokes)
    around = np.append(angles, angles[0])
    for position, (name, row) in enumerate(zip(names, values, strict=True)):
        axes.plot(around, np.append(row, row[0]), marker="os^Dv"[position % 5], markersize=4.5, linewidth=1.5,
                  label=fit(name, 2.2, 9, lines=3), **line_style(position))  # fmt: skip
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_ylim(centre, 1)
    rings = np.linspace(centre, 1, 6)[1:]
    axes.set_rgrids(rings.tolist(), [f"{100 * ring:.3g}" for ring in rings], angle=180 / len(spokes), fontsize=8)
    axes.set_xticks(angles, [fit(spoke, 1.5, 10, lines=3) for spoke in spokes], fontsize=10)
    axes.tick_params(axis="x", pad=10)
    axes.grid(color="0.88")
    axes.set_title(f"{what} (%): centre {100 * centre:g}, outer ring 100", pad=22)
    figure.legend(loc="outside right center", frameon=False, fontsize=9, handlelength=3.5)
    start = f"The centre is {100 * centre:g} %, not zero, so differences look larger. "
    return with_note(figure, (start if centre else "") + note)


def _known(metric: str, metrics: dict[str, str]) -> None:
    if metric not in metrics:
        raise DataError(f"`metric={metric!r}`: unknown; choose one of {', '.join(metrics)}")
