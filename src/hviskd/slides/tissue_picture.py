"""Draws a slide and its detected tissue, side by side."""

from pathlib import Path
from typing import Literal

from matplotlib.lines import Line2D

from hviskd.arrays import Bools
from hviskd.colours import PALETTE
from hviskd.figure_text import fit, wrap
from hviskd.pictures import new_figure, save_figure
from hviskd.slides.slide import Slide
from hviskd.slides.slide_picture import draw_outline, draw_scale_bar, show_slide
from hviskd.slides.tissue import TissueMask

_THUMBNAIL_PX = 1200
_PANEL_IN = 5.0  # the longer side of a panel
_TISSUE, _INK = PALETTE[1], PALETTE[2]


def draw_tissue_outline(slide: Slide, tissue: TissueMask, path: Path | str) -> Path:
    """Write a PNG with the slide and a scale bar, and the slide with its tissue and ink outlined.

    Args:
        slide: An open slide.
        tissue: Its tissue.
        path: Where to write.

    Returns:
        The path.

    Raises:
        DataError: The slide is damaged.
    """
    thumbnail = slide.thumbnail(_THUMBNAIL_PX)
    width_px, height_px = slide.size
    scale = _PANEL_IN / max(width_px, height_px)
    panel_width, panel_height = max(width_px * scale, 2.2), max(height_px * scale, 1.0)
    figure = new_figure(2 * panel_width + 0.3, panel_height + 0.9)
    plain, outlined = figure.subplots(1, 2)
    for axes, title in ((plain, slide.path.name), (outlined, "tissue")):
        show_slide(axes, thumbnail, slide.size)
        axes.set_title(fit(title, panel_width, 8, lines=2), fontsize=8)
    draw_scale_bar(plain, width_px, slide.mpp)
    kinds: list[tuple[Bools, str, Literal["-", "--"], str]] = [
        (tissue.tissue, _TISSUE, "-", "tissue"),
        (tissue.ink, _INK, "--", f"ink, {tissue.ink_area_um2 / 1e6:.3g} mm² excluded"),
    ]
    shown = [kind for kind in kinds if kind[0].any()]
    for mask, colour, dash, _ in shown:
        lines = draw_outline(outlined, mask, tissue.cell_px, colour=colour, dash=dash, width=1.0)
        lines.set(clip_on=False, zorder=3)  # seen also where it runs along the edge
    if shown:
        handles = [Line2D([], [], color=colour, linestyle=dash, label=name) for _, colour, dash, name in shown]
        outlined.legend(handles=handles, fontsize=7, loc="upper right")
    figure.supxlabel(wrap(_caption(slide, tissue), figure.get_figwidth() - 0.2, 8), fontsize=8)
    return save_figure(figure, Path(path))


def _caption(slide: Slide, tissue: TissueMask) -> str:
    width_mm, height_mm = (side * slide.mpp / 1000 for side in slide.size)
    density, saturation = tissue.thresholds
    return (
        f"{width_mm:.3g} × {height_mm:.3g} mm, {slide.mpp:.4g} µm/px; tissue {tissue.area_um2 / 1e6:.3g} mm², "
        f"detected at {tissue.mpp:g} µm/px\noptical density above {density:.3f}, saturation above {saturation:.3f}"
    )
