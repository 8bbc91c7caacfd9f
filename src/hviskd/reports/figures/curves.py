"""Training curves of one or several runs, in small panels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from hviskd.errors import DataError
from hviskd.figure_text import fit
from hviskd.file_names import Paths, list_paths
from hviskd.pictures import line_style, new_figure
from hviskd.storage import require_smaller
from hviskd.training import Run

_COLUMNS = 3
_WIDE = 30  # from this ratio of largest to smallest on, a loss is drawn on a logarithmic axis
_LOG_LIMIT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class _Log:
    name: str
    log: pd.DataFrame
    chosen: int | None


def training_curves(folders: Paths) -> Figure:
    """Draw top-1 and every loss term of runs against the epoch, one panel per term and one line per run.

    The chosen epoch carries a star. A term that spans more than a factor of 30 gets a logarithmic axis, and says so.

    Args:
        folders: One or several folders of runs; unfinished ones too.

    Raises:
        DataError: A folder is no run, or its log is missing or damaged.
    """
    given = list_paths(folders)
    if not given:
        raise DataError("no run given; give a folder that `train()` wrote")
    names = _names(given)
    runs = [_read_run(folder, name) for folder, name in zip(given, names, strict=True)]
    columns = list(dict.fromkeys(str(name) for run in runs for name in run.log.columns))
    losses = [name for name in columns if name.startswith("loss_") and name != "loss_total"]
    known = {"epoch", "seconds", "learning_rate", "loss_total", *losses}
    learned = [name for name in columns if name not in known and not name.startswith(("train_", "val_"))]
    wanted = ["train_top1", "val_top1", "loss_total", *losses, "val_cross_entropy", *learned, "learning_rate"]
    drawn = [name for name in wanted if name in columns]
    rows = -(-len(drawn) // _COLUMNS)
    figure = new_figure(11.5, 2.7 * rows + 0.5 + 0.22 * -(-len(runs) // 4))
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel().tolist()
    for axes in panels[len(drawn) :]:
        axes.axis("off")
    for axes, column in zip(panels, drawn, strict=False):
        _panel(axes, runs, column)
    handles = _legend_lines(runs)
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)), frameon=False, fontsize=9)
    return figure


def _panel(axes: Axes, runs: Sequence[_Log], column: str) -> None:
    factor = 100 if column.endswith("top1") else 1
    smallest, largest = math.inf, 0.0
    for position, run in enumerate(runs):
        if column not in run.log:
            continue
        values = run.log[column] * factor
        marker = "." if len(values) == 1 else ""
        axes.plot(run.log["epoch"], values, linewidth=1.4, marker=marker, label=run.name, **line_style(position))
        smallest, largest = min(smallest, values.min()), max(largest, values.max())
        at_chosen = values[run.log["epoch"] == run.chosen]
        if run.chosen is not None and len(at_chosen):
            axes.plot([run.chosen], [at_chosen.iloc[0]], "*", color=line_style(position)["color"], markersize=10,
                      markeredgecolor="white", markeredgewidth=0.6, label="_chosen")  # fmt: skip
    wide = column.startswith(("loss_", "val_cross")) and smallest > 0 and largest > _WIDE * smallest
    if column == "learning_rate" and smallest > 0:
        wide = True
    heading, unit = _told(column)
    if wide:
        axes.set_yscale("log")
        unit += ", log scale"
    axes.set_title(heading, fontsize=10)
    axes.set_xlabel("epoch", fontsize=9)
    axes.set_ylabel(unit, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=8)
    axes.grid(color="0.92")


def _told(column: str) -> tuple[str, str]:
    """Return a column's title and its axis label."""
    fixed = {
        "train_top1": ("top-1, training", "accuracy (%)"),
        "val_top1": ("top-1, validation", "accuracy (%)"),
        "loss_total": ("weighted sum of losses", "loss"),
        "val_cross_entropy": ("cross-entropy, validation", "loss (nats)"),
        "learning_rate": ("learning rate", "learning rate"),
    }
    if column in fixed:
        return fixed[column]
    if column.startswith("loss_"):
        heading = column.removeprefix("loss_").replace("_", " ")
        return fit(f"{heading}, training", 3.4, 10, lines=2), "loss, unweighted"
    return fit(f"{column.replace('_', ' ')} (learned)", 3.4, 10, lines=2), "value"


def _legend_lines(runs: Sequence[_Log]) -> list[Line2D]:
    lines = [
        Line2D([], [], label=fit(run.name, 2.4, 9, lines=3), **line_style(position))
        for position, run in enumerate(runs)
    ]
    if any(run.chosen is not None for run in runs):
        lines.append(Line2D([], [], linestyle="", marker="*", markersize=10, color="0.4", label="selected epoch"))
    return lines


def _names(folders: Sequence[Path]) -> list[str]:
    """Return each folder's name, with as many parent folders as needed to distinguish them."""
    parts = [folder.resolve().parts for folder in folders]
    if len(set(parts)) < len(parts):
        raise DataError(f"{folders[0]}: a run is given twice; give each only once")
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names


def _read_run(folder: Path, name: str) -> _Log:
    run = Run(folder)
    card = run.card
    if not card:
        raise DataError(f"{folder}: not a run (no run.json); give a folder that `train()` wrote")
    path = run.log_file
    if not path.is_file():
        raise DataError(f"{path}: no such file; the run has not finished an epoch, or the file was lost")
    require_smaller(path, _LOG_LIMIT_BYTES, "; not the log of a run")
    try:
        log = run.log.astype(float)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: damaged, not the log of a run ({str(error)[:120]})") from error
    if "epoch" not in log or not len(log) or not log["epoch"].is_monotonic_increasing:
        raise DataError(f"{path}: damaged, not the log of a run (one row per epoch, in order)")
    chosen = card.get("chosen_epoch")
    return _Log(name, log, chosen if isinstance(chosen, int) else None)
