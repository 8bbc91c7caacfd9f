"""Writes a comparison to files: Markdown, CSV, LaTeX and two figures."""

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hviskd.evaluation.significance import Gain, Ranks
from hviskd.evaluation.tables import markdown_table
from hviskd.experiments.comparison import REFERENCES, Comparison, Row, Spread
from hviskd.experiments.design import KD, STUDENT
from hviskd.figure_text import fit
from hviskd.pictures import PALETTE, new_figure, save_figure
from hviskd.storage import atomic_file, write_text

_HEADER = (
    "pair",
    "arm",
    "n",
    "top-1 %, chosen",
    "95 %",
    "last",
    "balanced %",
    "AUROC",
    "gain over KD, points",
    "p",
    "gain over student, points",
    "p",
    "parameters",
    "multiply-adds",
    "passes",
    "time",
)
_MARK = 0.05
_TITLE = "Which training method helped the student"


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write `table.md`, `table.csv`, `table.tex`, `gains.png` and, with enough arms, `ranks.png`."""
    save_figure(draw_gains(comparison), folder / "gains.png")
    if comparison.ranks is not None:
        save_figure(draw_ranks(comparison.ranks), folder / "ranks.png")
    write_text(folder / "table.md", to_markdown(comparison))
    write_text(folder / "table.tex", to_latex(comparison))
    with atomic_file(folder / "table.csv") as partial:
        comparison.to_dataframe().to_csv(partial, index=False, float_format="%.6g")


def table_cells(comparison: Comparison) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return header and rows as text; a gain whose two corrected p are both below 0.05 has a star."""
    return _HEADER, [_cells(row) for row in comparison.rows]


def explain() -> tuple[str, ...]:
    """Explain the columns."""
    return (
        "n: number of trainings (seeds × folds). parameters and multiply-adds (per tile): of the deployed "
        "network. passes: forward passes of the student in one training, relative to the student alone. time: "
        "of an epoch, relative to KD, under whatever load the computer had.",
        "p: over trainings / over patients (or slides or tiles), with Holm's correction. A gain with * has both "
        "below 0.05.",
    )


def to_markdown(comparison: Comparison) -> str:
    """Return title, notes and table."""
    lines = [f"# {_TITLE}", "", *(f"- {note}" for note in (*comparison.notes, *explain()))]
    if comparison.ranks is not None:
        lines += [f"- {_told(comparison.ranks)}"]
    lines += ["", markdown_table(table_cells(comparison), words=2)]
    return "\n".join(lines) + "\n"


def to_latex(comparison: Comparison) -> str:
    """Return a `tabular` for the LaTeX package booktabs."""
    header, rows = table_cells(comparison)
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


def _told(ranks: Ranks) -> str:
    p = "" if math.isnan(ranks.friedman_p) else f" Friedman's p {_p(ranks.friedman_p)}."
    order = np.argsort(ranks.means, kind="stable")
    best = ", ".join(f"{ranks.names[i]} {ranks.means[i]:.1f}" for i in order[:5])
    return (
        f"Mean ranks by top-1 over {ranks.blocks} blocks (pair, fold, seed), the best: {best}; ranks closer than "
        f"{ranks.critical_difference:.1f} do not differ significantly.{p}"
    )


def _cells(row: Row) -> list[str]:
    trainings = str(row.trainings)
    if row.diverged or row.missing:
        lost = [f"{row.diverged} diverged"] if row.diverged else []
        trainings += f" ({', '.join([*lost, *([f'{row.missing} missing'] if row.missing else [])])})"
    chosen = row.chosen
    interval = chosen["top1"]
    cells = [row.pair, row.arm, trainings, _percent(interval), _range(interval.low, interval.high)]
    cells += [_percent(row.last["top1"]), _percent(chosen["balanced_accuracy"]), _plain(chosen["macro_auroc"])]
    for reference in REFERENCES:
        cells += list(_gain(row.gains.get(reference), row.corrected.get(reference)))
    cells += [f"{row.parameters:,}" if row.parameters else "–"]
    cells += [f"{row.multiply_adds / 1e6:,.1f} M" if row.multiply_adds else "–"]
    return [*cells, _times(row.student_passes), _times(row.seconds)]


def _percent(spread: Spread) -> str:
    if math.isnan(spread.mean):
        return "–"
    return f"{100 * spread.mean:.1f}" + ("" if math.isnan(spread.deviation) else f" ± {100 * spread.deviation:.1f}")


def _plain(spread: Spread) -> str:
    if math.isnan(spread.mean):
        return "–"
    return f"{spread.mean:.3f}" + ("" if math.isnan(spread.deviation) else f" ± {spread.deviation:.3f}")


def _range(low: float, high: float) -> str:
    return "–" if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}"


def _gain(gain: Gain | None, corrected: tuple[float, float] | None) -> tuple[str, str]:
    if gain is None or corrected is None:
        return "", ""
    ends = "" if math.isnan(gain.low) else f" ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    star = "*" if max(corrected) < _MARK else ""  # NaN is never below
    return f"{100 * gain.value:+.1f}{star}{ends}".replace("-", "−"), " / ".join(map(_p, corrected))


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _times(ratio: float) -> str:
    return "–" if math.isnan(ratio) else f"{ratio:.2g} ×"


def _latex(text: str) -> str:
    for plain, safe in (("\\", "\\textbackslash "), ("%", "\\%"), ("_", "\\_"), ("&", "\\&"), ("#", "\\#")):
        text = text.replace(plain, safe)
    for plain, safe in (("±", "$\\pm$"), ("×", "$\\times$"), ("−", "$-$"), ("–", "--"), ("<", "$<$")):
        text = text.replace(plain, safe)
    return text
