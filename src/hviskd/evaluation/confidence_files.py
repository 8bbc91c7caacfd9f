"""Reliability and risk–coverage curves of an Evaluation's models, as a figure and two tables."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hviskd.evaluation.confidence import reliability, risk_coverage
from hviskd.evaluation.metrics import CALIBRATION_BINS
from hviskd.evaluation.result import Evaluation
from hviskd.figure_text import fit, with_note
from hviskd.pictures import line_style, new_figure

MAX_POINTS = 1001  # of a curve of risk in the table
FEWEST_DRAWN = 10  # tiles in a step of probability; the hit rate of fewer is noise


def draw_confidence(evaluation: Evaluation, note: str) -> Figure:
    """Plot accuracy against stated probability, and error rate against coverage, one line per model."""
    figure = new_figure(10.5, 4.6)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    for place, model in enumerate(evaluation.models):
        style = line_style(place)
        steps = reliability(evaluation.labels, model.probabilities)
        filled = steps.tiles >= FEWEST_DRAWN
        left.plot(steps.stated[filled], steps.right[filled], linewidth=1.2, **style)
        left.scatter(
            steps.stated[filled],
            steps.right[filled],
            s=4 + 80 * steps.tiles[filled] / len(evaluation.labels),
            color=style["color"],
        )
        curve = risk_coverage(evaluation.labels, model.probabilities)
        name = fit(model.name, 2.0, 8, lines=3)
        text = f"{name}\n{model.metrics.ece:.3f}, {curve.area:.3f}"
        right.plot(curve.coverage, curve.risk, linewidth=1.4, label=text, **style)
    left.set(
        xlabel=f"stated probability of the predicted class ({CALIBRATION_BINS} bins)",
        ylabel="accuracy",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        title="below the line: overconfident",
    )
    right.set(
        xlabel="coverage (share of tiles kept, most probable first)",
        ylabel="risk (error rate of the kept tiles)",
        xlim=(-0.01, 1.01),
        title="risk against coverage",
    )
    right.set_ylim(bottom=-0.005)
    for axes in (left, right):
        axes.title.set_fontsize(10)
        axes.grid(color="0.92")
    figure.legend(
        title="calibration error, mean risk",
        loc="outside right upper",
        frameon=False,
        fontsize=8,
        title_fontsize=9,
        handlelength=3.5,
    )
    return with_note(figure, f"Points: larger for more tiles, omitted for fewer than {FEWEST_DRAWN}. {note}")


def reliability_table(evaluation: Evaluation) -> pd.DataFrame:
    """Return one row per model and non-empty probability bin: `from`, `to`, `tiles`, `stated`, `right`."""
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    frames = []
    for model in evaluation.models:
        steps = reliability(evaluation.labels, model.probabilities)
        frames.append(pd.DataFrame({"model": model.name, "from": edges[:-1], "to": edges[1:], **steps._asdict()}))
    table = pd.concat(frames, ignore_index=True)
    return table[table["tiles"] > 0]


def risk_table(evaluation: Evaluation) -> pd.DataFrame:
    """Return one row per model and threshold, at most 1,001 per model: `threshold`, `coverage`, `risk`."""
    frames = []
    for model in evaluation.models:
        curve = pd.DataFrame(risk_coverage(evaluation.labels, model.probabilities)._asdict())
        kept = np.unique(np.linspace(0, len(curve) - 1, MAX_POINTS).round().astype(np.int64))
        frames.append(curve.iloc[kept].assign(model=model.name)[["model", "threshold", "coverage", "risk"]])
    return pd.concat(frames, ignore_index=True)
