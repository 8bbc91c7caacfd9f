"""Figures of accuracy against cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullLocator
from pydantic import BaseModel, ValidationError

from hviskd.colours import PALETTE
from hviskd.errors import DataError, first_problem
from hviskd.evaluation.intervals import Interval
from hviskd.evaluation.tables import TITLES
from hviskd.figure_text import fit, with_note
from hviskd.pictures import new_figure
from hviskd.storage import read_json

COSTS = {
    "multiply-adds": "multiply-adds per tile, millions (log scale)",
    "milliseconds": "time per tile on the fastest engine, ms (log scale)",
}
_MARKERS = "os^DvPX*"
_NEAR = 1.6  # costs closer than by this factor leave no room for a name between them


class _Value(BaseModel):
    value: float | None
    low: float | None
    high: float | None


class _Measured(BaseModel):
    fingerprint: str
    metrics: dict[str, _Value]


class _Evaluation(BaseModel):
    models: list[_Measured]


@dataclass(frozen=True)
class Point:
    """One network in the figure.

    Attributes:
        name: Its label.
        cost: On the lower axis, above 0.
        value: Its accuracy, 0 to 1.
        interval: Of the accuracy.
        parameters: Learned numbers; the marker's area follows them.
    """

    name: str
    cost: float
    value: float
    interval: Interval | None
    parameters: int


def read_accuracy(folder: Path, metric: str) -> dict[str, tuple[float, Interval | None]]:
    """Read a metric and its interval of every model of an evaluation, by the fingerprint of the weights.

    Raises:
        DataError: There is no evaluation in the folder, or it is damaged.
    """
    path = folder / "evaluation.json"
    try:
        models = _Evaluation.model_validate(read_json(path)).models
    except ValidationError as error:
        raise DataError(f"{path}: {first_problem(error)}; repeat `save_evaluation()`") from error
    found = {}
    for model in models:
        each = model.metrics.get(metric)
        if each is None or each.value is None:
            continue
        interval = None if each.low is None or each.high is None else Interval(each.low, each.high)
        found[model.fingerprint] = (each.value, interval)
    return found


def cost_figure(points: Sequence[Point], *, cost: str, metric: str, note: str = "") -> Figure:
    """Plot accuracy against cost: one marker per network, area by parameters, whisker for the 95 % interval.

    Args:
        points: At least one.
        cost: A name in `COSTS`.
        metric: A name in `evaluation.figures.TITLES`.
        note: What a reader of the lone picture must know, written below it.
    """
    figure = new_figure(7.4, 4.8)
    axes = figure.subplots()
    largest = max(point.parameters for point in points)
    for position, point in enumerate(sorted(points, key=lambda point: -point.parameters)):  # the small lie on top
        colour = PALETTE[1 + position % 7]
        if point.interval is not None:
            axes.plot([point.cost] * 2, [point.interval.low, point.interval.high], color=colour, linewidth=1.4)
        axes.scatter(
            [point.cost],
            [point.value],
            s=60 + 340 * point.parameters / largest,
            color=colour,
            marker=_MARKERS[position % len(_MARKERS)],
            edgecolors="white",
            zorder=3,
            label=f"{fit(point.name, 1.7, 8, lines=3)}, {point.parameters / 1e6:.2f} M",
        )
        crowded = any(1 < other.cost / point.cost < _NEAR for other in points)  # then its right side is taken
        axes.annotate(
            fit(point.name, 1.5, 8, lines=2),
            (point.cost, point.value),
            xytext=(-13 if crowded else 13, 0),
            textcoords="offset points",
            ha="right" if crowded else "left",
            va="center",
            fontsize=8,
            path_effects=[withStroke(linewidth=3, foreground="white")],
            zorder=4,
        )
    axes.set_xscale("log")
    costs = [point.cost for point in points]
    axes.set(xlabel=COSTS[cost], ylabel=TITLES[metric], xlim=(min(costs) / _NEAR**2, max(costs) * _NEAR**2))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    legend = figure.legend(title="network, parameters", loc="outside right center", frameon=False, fontsize=8)
    for handle in legend.legend_handles:
        handle.set_sizes([40.0])  # type: ignore[union-attr]
    return with_note(figure, note)
