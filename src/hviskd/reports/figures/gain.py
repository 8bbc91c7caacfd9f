"""Gain over KD against gain over the student alone, one point per arm and pair."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hviskd.colours import PALETTE
from hviskd.errors import DataError
from hviskd.experiments.design import KD, STUDENT
from hviskd.figure_text import fit, with_note
from hviskd.file_names import Paths, list_paths
from hviskd.pictures import new_figure
from hviskd.reports.figures.sources import choose, read_comparisons

_MARKERS = "os^DvPX*<>ph"
_OPEN = ("full", "none")  # beside the eight colours, a second cue


def gain_plot(folders: Paths, *, only: Sequence[str] = ()) -> Figure:
    """Draw gains in top-1, in percentage points, with their 95 % intervals where the table has them.

    The student alone and KD are the two references: they are the axes, not points.

    Args:
        folders: One or several folders that `compare` wrote, with the arms `student` and `kd`.
        only: Ways of training (arms) to draw, in this order; all where it is empty.

    Raises:
        DataError: A folder is no comparison, or no way of training has both gains.
    """
    over_student, over_kd = f"gain_over_{STUDENT}", f"gain_over_{KD}"
    columns = [f"{start}{end}" for start in (over_student, over_kd) for end in ("", "_low", "_high")]
    given = list_paths(folders)
    read = read_comparisons(given, columns)
    table = read.table.dropna(subset=[over_student, over_kd])
    if not len(table):
        raise DataError(f"{given[0]}: no method has a gain over both {STUDENT} and {KD}; add both to the comparison")
    arms = choose(list(dict.fromkeys(table["arm"])), only, "method with both gains", str(given[0]))
    table = table[table["arm"].isin(arms)]
    pairs = list(dict.fromkeys(table["pair"]))
    figure = new_figure(10.2, max(6.2, 1.4 + 0.27 * (len(arms) + len(pairs))))
    axes = figure.subplots()
    for _, row in table.iterrows():
        place = arms.index(row["arm"])
        values = {name: 100 * float(row[name]) for name in columns}
        reach = [
            [[max(0.0, values[start] - values[f"{start}_low"])], [max(0.0, values[f"{start}_high"] - values[start])]]
            if not np.isnan([values[f"{start}_low"], values[f"{start}_high"]]).any()
            else None
            for start in (over_student, over_kd)
        ]
        axes.errorbar(values[over_student], values[over_kd], xerr=reach[0], yerr=reach[1], elinewidth=0.8, alpha=0.9,
                      label=f"{row['arm']} | {row['pair']}", **_style(place, pairs.index(row["pair"])))  # fmt: skip
    _quadrants(axes)
    many = len(pairs) > 1
    handles = [
        Line2D([], [], linestyle="", label=fit(arm, 2.1, 8.5, lines=3), **_style(place, 0))
        for place, arm in enumerate(arms)
    ]
    if many:
        handles += [Line2D([], [], linestyle="", color="white", label=" ")]
        handles += [
            Line2D(
                [],
                [],
                linestyle="",
                color="0.5",
                marker=_MARKERS[place % len(_MARKERS)],
                label=fit(pair, 2.1, 8.5, lines=3),
            )
            for place, pair in enumerate(pairs)
        ]
    title = "method (colour)\nand pair (shape)" if many else f"method\npair: {fit(pairs[0], 2.1, 9, lines=3)}"
    figure.legend(handles=handles, title=title, loc="outside right center", frameon=False, fontsize=8.5,
                  title_fontsize=9)  # fmt: skip
    note = "Bars: 95 % intervals. The zero lines are the references: the student alone, and KD."
    return with_note(figure, f"{note} {read.note}".strip())


def _style(arm: int, pair: int) -> dict[str, Any]:
    return {
        "color": PALETTE[arm % 8],
        "marker": _MARKERS[pair % len(_MARKERS)],
        "fillstyle": _OPEN[arm // 8 % 2],
        "markersize": 7,
    }


def _quadrants(axes: Axes) -> None:
    """Widen the axes to include zero, draw the zero lines, and label the quadrants."""
    axes.axhline(0, color="0.35", linewidth=0.9, zorder=0)
    axes.axvline(0, color="0.35", linewidth=0.9, zorder=0)
    axes.margins(0.12)
    axes.autoscale_view()
    for side, limits in (("x", axes.get_xlim()), ("y", axes.get_ylim())):
        reach = 0.18 * max(limits[1] - limits[0], 1.0)
        axes.set(**{f"{side}lim": (min(limits[0], -reach), max(limits[1], reach))})
    for x, y, text in (
        (1, 1, "better than both"),
        (0, 1, "better than KD,\nworse than the student alone"),
        (1, 0, "better than the student alone,\nworse than KD"),
        (0, 0, "worse than both"),
    ):
        axes.text(0.015 + 0.97 * x, 0.015 + 0.97 * y, text, transform=axes.transAxes, fontsize=9, color="0.35",
                  style="italic", ha="right" if x else "left", va="top" if y else "bottom")  # fmt: skip
    axes.set_xlabel("gain over the student alone (percentage points of top-1)")
    axes.set_ylabel("gain over KD (percentage points of top-1)")
    axes.grid(color="0.93")
    axes.set_axisbelow(True)
