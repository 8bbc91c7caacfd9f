"""Figures of attention: maps of several models on tiles, overlays, and box plots of the agreement."""

from pathlib import PurePath

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hviskd.attention.comparing import AttentionComparison
from hviskd.attention.looking import CHANCE, EDGES
from hviskd.attention.overlap import MEASURES
from hviskd.attention.overlays import COLOURS, OUTLINE, SHADE, spread
from hviskd.attention.result import Attention
from hviskd.colours import PALETTE
from hviskd.figure_text import fit, wrap
from hviskd.pictures import new_figure

_TILE_IN = 1.6


def draw_examples(attention: Attention, most: int = 6) -> Figure:
    """Draw an evenly spread selection of tiles: the tile with the expert's outline, then each model's map."""
    chosen = spread(len(attention), most)
    columns = 1 + len(attention.names)
    figure = new_figure(1.75 * columns + 0.6, 1.75 * len(chosen) + 0.75)
    grid = figure.subplots(len(chosen), columns, squeeze=False)
    for row, position in zip(grid, chosen, strict=True):
        tile, outline = attention.tile(position), attention.outline(position)
        _tile(row[0], tile, outline)
        told = (attention.classes[position], PurePath(attention.files[position]).stem)
        row[0].set_ylabel("\n".join(fit(text, _TILE_IN, 7) for text in told), fontsize=7)
        for axes, name in zip(row[1:], attention.names, strict=True):
            _tile(axes, tile, outline)
            painted = axes.imshow(attention.scaled(name, position), cmap=COLOURS, vmin=0, vmax=1, alpha=SHADE)
    for axes, title in zip(grid[0], ("tile", *attention.names), strict=True):
        axes.set_title(fit(title, _TILE_IN, 8, lines=2), fontsize=8)
    bar = figure.colorbar(painted, ax=grid, fraction=0.025, pad=0.02)
    bar.set_label("attention, relative to the maximum", fontsize=7)
    bar.ax.tick_params(labelsize=7)
    said = "" if attention.outlines is None else "; line: expert's outline"
    figure.supxlabel(f"{attention.settings.kind} for the class at the left{said}", fontsize=7)
    return figure


def draw_boxes(comparison: AttentionComparison, measure: str) -> Figure:
    """Draw a measure of every model as a box plot over its tiles, with p over patients against the reference."""
    models = list(dict.fromkeys(comparison.tiles["model"]))
    figure = new_figure(max(4.5, 1.15 * len(models) + 1.4), 4.2)
    axes = figure.subplots()
    rng = np.random.default_rng(0)
    tests = comparison.tests[comparison.tests["measure"] == measure].set_index("model")
    for place, model in enumerate(models):
        values = comparison.tiles.loc[comparison.tiles["model"] == model, measure].dropna().to_numpy(np.float64)
        colour = "0.55" if model in (CHANCE, EDGES) else PALETTE[1]
        axes.plot(place + rng.uniform(-0.22, 0.22, len(values)), values, ".", color=colour, alpha=0.35, markersize=3)
        axes.boxplot(
            [values], positions=[place], widths=0.5, showfliers=False, medianprops={"color": "black", "linewidth": 1.6}
        )
        p = float(tests.loc[model]["p_flip_patients_holm"]) if model in tests.index else np.nan
        said = "reference" if model == comparison.reference else "not tested" if np.isnan(p) else f"p = {p:.3f}"
        axes.annotate(said, (place, 1.01), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(models)), [fit(model, 1.1, 8, lines=3) for model in models], fontsize=8)
    axes.set_ylabel(MEASURES.get(measure, measure), fontsize=9)
    axes.set_ylim(-0.02, 1.02)
    axes.tick_params(axis="y", labelsize=8)
    patients = comparison.means["patients"].max()
    note = f"one point per tile; p: sign-flip test over {patients} patients against {comparison.reference}, after Holm"
    figure.supxlabel(wrap(note, figure.get_figwidth() - 0.2, 7), fontsize=7)
    return figure


def _tile(axes: Axes, pixels: NDArray[np.uint8], outline: NDArray[np.bool_] | None) -> None:
    axes.imshow(pixels)
    if outline is not None and outline.any() and not outline.all():
        axes.contour(outline, levels=[0.5], colors=OUTLINE, linewidths=0.9)
    axes.set_xticks([])
    axes.set_yticks([])
