"""Draws the tiles cut from a slide."""

from pathlib import Path

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from hviskd.annotations import Legend
from hviskd.class_marks import place_marks, write_mark
from hviskd.colours import PALETTE
from hviskd.cutting.candidates import Candidates
from hviskd.figure_text import fit
from hviskd.pictures import new_figure, save_figure
from hviskd.slides import Slide
from hviskd.slides.slide_picture import draw_outline

_THUMBNAIL_PX = 900
_PANEL_IN = 6.0
_LEGEND_IN = 1.5
_TISSUE, _INK = PALETTE[0], PALETTE[2]


def draw_cut_tiles(slide: Slide, found: Candidates, chosen: NDArray[np.int64], legend: Legend, path: Path) -> Path:
    """Draw a PNG of a slide with its tissue outline and the chosen tiles in their class colours, numbered.

    Args:
        slide: An open slide.
        found: Its candidates.
        chosen: Positions of the tiles among them.
        legend: Names and colours of the classes.
        path: Where to write.

    Raises:
        DataError: The slide is damaged.
    """
    width_px, height_px = slide.size
    scale = _PANEL_IN / max(width_px, height_px)
    figure = new_figure(max(width_px * scale, 2.5) + 2.2, max(height_px * scale, 1.8) + 0.8)
    axes = figure.subplots()
    um = slide.mpp
    axes.imshow(
        slide.thumbnail(_THUMBNAIL_PX),
        extent=(0, width_px * um, height_px * um, 0),
        interpolation="antialiased",
    )
    cell_um = found.tissue.cell_px * um
    for mask, line_colour, dash in ((found.tissue.tissue, _TISSUE, "-"), (found.tissue.ink, _INK, "--")):
        if mask.any():
            draw_outline(axes, mask, cell_um, colour=line_colour, dash=dash, width=0.8)
    labels = found.label[chosen]
    colours = np.array(legend.colours)[labels] / 255
    left, top = found.x_px[chosen] * um, found.y_px[chosen] * um
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * found.grid.tile0_px * um
    squares = list(np.stack([left, top], axis=-1)[:, None] + corners)
    axes.add_collection(PolyCollection(squares, facecolors=colours, alpha=0.5, edgecolors="0.25", linewidths=0.25))
    handles: list[Patch | Line2D] = []
    regions = []
    row, column = (np.rint(px[chosen] / found.grid.tile0_px).astype(np.int64) for px in (found.y_px, found.x_px))
    for position, (name, colour) in enumerate(zip(legend.names, legend.colours, strict=True)):
        inside = np.zeros((found.grid.rows, found.grid.columns), np.bool_)
        inside[row[labels == position], column[labels == position]] = True
        if count := inside.sum():
            mark = str(position + 1)
            regions.append((inside, mark, colour))
            shown = f"{mark}  {fit(name, _LEGEND_IN, 8, lines=3)}\n    {count:,} tiles"
            handles.append(Patch(facecolor=f"#{bytes(colour).hex()}", alpha=0.5, edgecolor="0.25", label=shown))
    cell_um = found.grid.tile0_px * um
    for x, y, mark, colour in place_marks(regions, cell_pt=found.grid.tile0_px * scale * 72):
        write_mark(axes, x * cell_um, y * cell_um, mark, colour)
    handles.append(Line2D([], [], color=_TISSUE, label="tissue"))
    if found.tissue.ink.any():
        excluded = f"ink, {found.tissue.ink_area_um2 / 1e6:.3g} mm² excluded"
        handles.append(Line2D([], [], color=_INK, linestyle="--", label=excluded))
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
    axes.set(xlim=(0, width_px * um), ylim=(height_px * um, 0), xlabel="µm", ylabel="µm")
    title = fit(slide.path.name, figure.get_figwidth() - 2.4, 9)
    axes.set_title(f"{title}\n{len(chosen):,} of {len(found.label):,} possible tiles", fontsize=9)
    axes.tick_params(labelsize=7)
    return save_figure(figure, path, settle=True)
