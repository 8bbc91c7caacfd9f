"""Writes a comparison to files: Markdown, CSV, LaTeX and two figures."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hviskd.colours import PALETTE
from hviskd.evaluation.significance import Ranks
from hviskd.experiments.comparison import Comparison
from hviskd.experiments.design import KD, STUDENT
from hviskd.figure_text import fit
from hviskd.pictures import new_figure, save_figure
from hviskd.storage import atomic_file, write_text


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write `table.md`, `table.csv`, `table.tex`, `gains.png` and, with enough arms, `ranks.png`."""
    save_figure(draw_gains(comparison), folder / "gains.png")
    if comparison.ranks is not None:
        save_figure(draw_ranks(comparison.ranks), folder / "ranks.png")
    write_text(folder / "table.md", comparison.to_markdown())
    write_text(folder / "table.tex", to_latex(comparison))
    with atomic_file(folder / "table.csv") as partial:
        comparison.to_dataframe().to_csv(partial, index=False, float_format="%.6g")


def to_latex(comparison: Comparison) -> str:
    """Return a `tabular` for the LaTeX package booktabs."""
    header, rows = comparison.summary_table()
    ends = " \\\\"
    body: list[str] = []
    for position, row in enumerate(rows):
        if position and row[0] != rows[position - 1][0]:
            body.append("\\midrule")
        body.append(" & ".join(map(_latex, row)) + ends)
    top = ["\\begin{tabular}{ll" + "r" * (len(header) - 2) + "}", "\\toprule", " & ".join(map(_latex, header)) + ends]
    return "\n".join([*top, "\\midrule", *body, "\\bottomrule", "\\end{tabular}"]) + "\n"


def draw_gains(comparison: Comparison) -> Figure:
    """Plot every arm's gain over KD and over the student alone with its interval, one panel per pair."""
    pairs = list(dict.fromkeys(row.pair for row in comparison.rows))
    arms = {pair: [row for row in comparison.rows if row.pair == pair and row.gains] for pair in pairs}
    tallest = max((len(rows) for rows in arms.values()), default=1)
    figure = new_figure(min(4.2 + 3.4 * len(pairs), 20), 1.6 + 0.3 * max(tallest, 3))
    panels = figure.subplots(1, len(pairs), squeeze=False, sharex=True)[0]
    for axes, pair in zip(panels, pairs, strict=True):
        rows = arms[pair]
        for offset, reference, colour, marker in ((-0.14, KD, PALETTE[1], "o"), (0.14, STUDENT, PALETTE[2], "s")):
            there = [(place, row.gains[reference]) for place, row in enumerate(rows) if reference in row.gains]
            if not there:
                continue
            values = np.array([gain.value for _, gain in there]) * 100
            ends = np.array([[gain.value - gain.low, gain.high - gain.value] for _, gain in there]).T * 100
            name = "KD" if reference == KD else "the student alone"
            axes.errorbar(
                values,
                [place + offset for place, _ in there],
                xerr=np.clip(np.nan_to_num(ends), 0, None),
                fmt=marker,
                color=colour,
                markersize=4,
                capsize=2,
                linewidth=1.1,
                label=f"over {name}",
            )
        axes.axvline(0, color="0.5", linewidth=0.8)
        axes.set(yticks=range(len(rows)), ylim=(len(rows) - 0.4, -0.6), title=fit(pair, 3.2, 12))
        axes.set_yticklabels([fit(row.arm, 2.0, 8) for row in rows], fontsize=8)
        axes.set_xlabel("gain in top-1, points (95 %)")
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
    shown = next((axes for axes in panels if axes.get_legend_handles_labels()[0]), None)
    if shown is not None:
        figure.legend(*shown.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def draw_ranks(ranks: Ranks) -> Figure:
    """Plot mean ranks on a line, and join by bars the arms that do not differ (Demšar 2006, figure 1)."""
    order = np.argsort(ranks.means, kind="stable")
    means, names = ranks.means[order], [ranks.names[i] for i in order]
    half = (len(names) + 1) // 2
    bars = _cliques(means, ranks.critical_difference)
    figure = new_figure(9.5, 1.7 + 0.25 * half + 0.12 * len(bars))
    axes = figure.subplots()
    low, high = 1, max(len(names), 2)
    floor = 0.5 + 0.35 * len(bars)
    for place, (mean, name) in enumerate(zip(means, names, strict=True)):
        left = place < half
        level = floor + 0.8 * ((place if left else len(names) - 1 - place) + 1)
        edge = low - 0.03 * (high - low) if left else high + 0.03 * (high - low)
        axes.plot([mean, mean, edge], [0, level, level], color="0.3", linewidth=0.9)
        name = fit(name, 1.9, 8)
        axes.text(edge, level, f"{name} {mean:.1f} " if left else f" {mean:.1f} {name}", fontsize=8, va="center",
                  ha="right" if left else "left")  # fmt: skip
    for level, (first, last) in enumerate(bars):
        axes.plot([means[first] - 0.04, means[last] + 0.04], [0.35 + 0.35 * level] * 2, color=PALETTE[2], linewidth=3)
    width = min(ranks.critical_difference, high - low)
    axes.plot([low, low + width], [-1.1, -1.1], color="black", linewidth=1.5, marker="|")
    axes.text(low + width / 2, -1.25, f"critical difference {ranks.critical_difference:.2f}", fontsize=8, ha="center",
              va="bottom")  # fmt: skip
    axes.set(
        xlim=(low - 0.45 * (high - low), high + 0.45 * (high - low)), ylim=(floor + 0.8 * half + 0.6, -2.1), yticks=[]
    )
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    step = max(1, (high - low) // 8)
    axes.set_xticks(range(low, high + 1, step))
    axes.set_xlabel(f"mean rank by top-1 over {ranks.blocks} blocks (pair, fold, seed); 1 is best")
    for side in ("left", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["top"].set_bounds(low, high)
    return figure


def _cliques(means: np.ndarray, difference: float) -> list[tuple[int, int]]:
    """Return first and last of every longest run of sorted means within the critical difference."""
    runs: list[tuple[int, int]] = []
    for first in range(len(means)):
        last = int(np.searchsorted(means, means[first] + difference, side="right")) - 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def _latex(text: str) -> str:
    for plain, safe in (("\\", "\\textbackslash "), ("%", "\\%"), ("_", "\\_"), ("&", "\\&"), ("#", "\\#")):
        text = text.replace(plain, safe)
    for plain, safe in (("±", "$\\pm$"), ("×", "$\\times$"), ("−", "$-$"), ("–", "--"), ("<", "$<$")):
        text = text.replace(plain, safe)
    return text
