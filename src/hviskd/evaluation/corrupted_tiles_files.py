"""Tables and figures of the robustness to corrupted tiles."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hviskd.evaluation.corrupted_tiles import METRICS, Robustness
from hviskd.evaluation.tables import TITLES
from hviskd.figure_text import fit, with_note
from hviskd.pictures import line_style, new_figure, save_figure
from hviskd.storage import write_text
from hviskd.tiles.corruptions import LEVELS, corrupt


def write_robustness(found: Robustness, folder: Path) -> None:
    """Write `robustness.md`, `.csv` (every level), `-means.csv`, `.png` and `-tiles.png` into a folder that stands."""
    write_text(folder / "robustness.md", found.to_markdown())
    write_text(folder / "robustness.csv", found.levels.to_csv(index=False, float_format="%.6g"))
    write_text(folder / "robustness-means.csv", found.means.to_csv(index=False, float_format="%.6g"))
    save_figure(draw_robustness(found), folder / "robustness.png")
    save_figure(draw_worse_tiles(found), folder / "robustness-tiles.png")


def draw_robustness(found: Robustness) -> Figure:
    """Plot each metric (rows of panels) against the level of each corruption (columns), one line per model."""
    figure = new_figure(1.2 + 2.05 * len(found.corruptions), 2.2 * len(METRICS) + 0.7)
    panels = figure.subplots(len(METRICS), len(found.corruptions), sharey="row", squeeze=False)
    for row, metric in zip(panels, METRICS, strict=True):
        for axes, corruption in zip(row, found.corruptions, strict=True):
            for place, model in enumerate(found.evaluation.models):
                steps = found.steps(model.name, corruption.name, metric)
                style = line_style(place)
                axes.plot(
                    steps["level"],
                    steps["value"],
                    marker=".",
                    linewidth=1.3,
                    label=fit(model.name, 2.2, 9, lines=3),
                    **style,
                )
                axes.fill_between(
                    steps["level"],
                    steps["value_low"],
                    steps["value_high"],
                    color=style["color"],
                    alpha=0.12,
                    linewidth=0,
                )
            _ticks(axes, corruption.strengths, corruption.unit, bottom=metric == METRICS[-1])
            if metric == METRICS[0]:
                axes.set_title(corruption.title, fontsize=10)
        row[0].set_ylabel(TITLES[metric], fontsize=9)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(5, len(handles)), frameon=False, fontsize=9)
    bands = "Bands: 95 % intervals. " if found.evaluation.replicates else ""
    return with_note(figure, bands + " ".join([*found.evaluation.statements, *found.notes]))


def draw_worse_tiles(found: Robustness) -> Figure:
    """Draw one tile clean and at each level of each corruption, to show the levels."""
    figure = new_figure(1.35 * (LEVELS + 1) + 0.9, 1.45 * len(found.corruptions) + 0.5)
    panels = figure.subplots(len(found.corruptions), LEVELS + 1, squeeze=False)
    for line, corruption in zip(panels, found.corruptions, strict=True):
        for level, axes in enumerate(line):
            worse = corrupt(found.tile[None], corruption, level, numbers=[found.row], seed=found.evaluation.seed)[0]
            axes.imshow(worse, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.set_title("clean" if level == 0 else f"{corruption.strengths[level - 1]:g}", fontsize=8, pad=3)
        line[0].set_ylabel(f"{corruption.title}\n({corruption.unit})", fontsize=7.5)
    return figure


def _ticks(axes: Axes, strengths: tuple[float, ...], unit: str, *, bottom: bool) -> None:
    axes.set_xticks(range(LEVELS + 1), ["clean", *(f"{strength:g}" for strength in strengths)])
    axes.tick_params(labelsize=7, axis="x", rotation=45, labelbottom=bottom)
    axes.tick_params(labelsize=8, axis="y")
    axes.grid(color="0.92")
    if bottom:
        axes.set_xlabel(unit, fontsize=8)
