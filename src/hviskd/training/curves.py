"""Training curves: the log of a run as one figure."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import MaxNLocator

from hviskd.figure_text import fit, wrap
from hviskd.pictures import line_style, new_figure, save_figure

_LOW_POWER = "loss_low_power/"


def draw_curves(log: pd.DataFrame, path: Path, *, title: str, chosen: int | None = None, note: str = "") -> Path:
    """Plot accuracy, every loss term, the learned scales and the learning rate against the epoch.

    Args:
        log: A run's log, one row an epoch.
        path: The PNG to write.
        title: What the picture is of.
        chosen: The epoch to mark as the chosen one.
        note: What a reader must know, under the title.
    """
    columns = [str(name) for name in log.columns]
    losses = [name for name in columns if name.startswith("loss_")]
    terms = [name for name in losses if name != "loss_total" and not name.startswith(_LOW_POWER)]
    known = {"epoch", "learning_rate", "seconds", *losses}
    learned = [name for name in columns if name not in known and not name.startswith(("train_", "val_"))]
    rows = 1 + -(-(len(terms) + 1 + bool(learned)) // 3)
    heading = fit(title, 10.6, 12)
    heading += f"\n{wrap(note, 10.6, 12)}" if note else ""
    figure, grid = _panels(rows, heading)
    accuracy = figure.add_subplot(grid[0, :2])
    shown = ("train_top1", "val_top1", "val_balanced_accuracy", "val_low_power_balanced_accuracy")
    _curves(accuracy, log, [name for name in shown if name in columns], percent=True)
    accuracy.set_ylabel("accuracy (%)")
    accuracy.set_title("accuracy", y=1)  # given where, matplotlib need not look for a place above the ticks
    total = figure.add_subplot(grid[0, 2])
    _curves(total, log, ["loss_total"], legend=False)
    total.set_title("weighted sum of losses", y=1)
    panels = [([term], term.removeprefix("loss_").replace("_", " ") + ", unweighted") for term in terms]
    for names, _ in panels:
        low = names[0].replace("loss_", _LOW_POWER, 1)
        if low in losses:
            names.append(low)
    if "val_cross_entropy" in columns and "loss_cross_entropy" in terms:
        panels[terms.index("loss_cross_entropy")][0].append("val_cross_entropy")
    panels += [(learned, "learned scales")] if learned else []
    panels += [(["learning_rate"], "learning rate")]
    for position, (names, heading) in enumerate(panels):
        axes = figure.add_subplot(grid[1 + position // 3, position % 3])
        _curves(axes, log, names, legend=len(names) > 1)
        axes.set_title(heading, y=1)
        if names == ["learning_rate"]:
            axes.set_yscale("log")
    for axes in figure.axes:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(alpha=0.25)
        if chosen is not None:
            axes.axvline(chosen, color="0.4", linewidth=0.8, linestyle=":")
    if chosen is not None:
        accuracy.annotate(
            f"selected: {chosen}", (chosen, 0.02), xycoords=("data", "axes fraction"), fontsize=8, rotation=90,
            ha="right", va="bottom", color="0.3",
        )  # fmt: skip
    return save_figure(figure, path)


def draw_probes(log: pd.DataFrame, path: Path, *, title: str, chosen: int | None = None, note: str = "") -> Path:
    """Plot accuracy on training and validation split against the penalty, for both class weights, as `draw_curves`."""
    figure = new_figure(9, 3.8)
    heading = fit(title, 8.6, 12)
    figure.suptitle(f"{heading}\n{wrap(note, 8.6, 12)}" if note else heading)
    for axes, metric in zip(figure.subplots(1, 2, sharey=True), ("balanced_accuracy", "top1"), strict=True):
        for place, (balanced, name) in enumerate(((0, "equal"), (1, "balanced"))):
            own = log[log["balanced"] == balanced]
            style = line_style(place)
            label = f"{name} class weights, validation"
            axes.plot(own["penalty"], 100 * own[f"val_{metric}"], marker=".", label=label, **style)
            axes.plot(own["penalty"], 100 * own[f"train_{metric}"], alpha=0.35, label=f"{name}, training", **style)
        marked = log[log["epoch"] == chosen]
        axes.plot(marked["penalty"], 100 * marked[f"val_{metric}"], "o", ms=11, mfc="none", mec="0.3", label="selected")
        axes.set(xscale="log", xlabel="penalty λ of the weights", title=f"{metric.replace('_', ' ')} (%)")
        axes.grid(alpha=0.25)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return save_figure(figure, path)


def _panels(rows: int, heading: str) -> tuple[Figure, GridSpec]:
    """Return a figure and the places of its panels, three in a row, below the heading."""
    head_in, foot_in = 0.5 + 0.2 * len(heading.split("\n")), 0.5
    height_in = 2.7 * rows + head_in
    figure = new_figure(11, height_in, arranged=False)
    figure.suptitle(heading, y=1 - 0.1 / height_in, va="top")
    top, bottom = 1 - head_in / height_in, foot_in / height_in
    return figure, figure.add_gridspec(rows, 3, left=0.07, right=0.985, bottom=bottom, top=top, wspace=0.25, hspace=0.4)


def _curves(axes: Axes, log: pd.DataFrame, names: list[str], *, percent: bool = False, legend: bool = True) -> None:
    for position, name in enumerate(names):
        label = name.replace("loss_", "train_").replace("_", " ")
        values = log[name] * (100 if percent else 1)
        axes.plot(log["epoch"], values, label=label, marker="." if len(log) < 40 else "", **line_style(position))
    if legend:
        axes.legend(fontsize=8)
