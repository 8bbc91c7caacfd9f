"""The overview figure of a map: the slide, its classes, and their areas.

Classes have their own colours, so that a map looks like the masks it was learned from. Some of these are alike to many
eyes, so each class also has a number, in the legend and on its regions.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hviskd.arrays import NO_CLASS, RGB, ClassGrid, Colour, Floats
from hviskd.class_marks import mark_regions
from hviskd.figure_text import fit, wrap
from hviskd.pictures import new_figure
from hviskd.segmentation.certainty import Labels, label_map
from hviskd.segmentation.drawing import described, fit_panel
from hviskd.segmentation.legend import MapLegend
from hviskd.segmentation.slide_map import SlideMap
from hviskd.slides.slide_picture import draw_scale_bar, show_slide
from hviskd.version import DISCLAIMER

_WIDE = 2.0  # from this width to height on, the panels stand one above the other
_PANEL_IN, _WIDE_PANEL_IN, _TALL_IN = 4.6, 7.0, 6.0
_SLOT_IN = 1.6  # what a panel's title and scale bar need, however narrow the slide
_GAP_IN, _MARGIN_IN, _HEAD_IN, _TITLE_IN, _BELOW_IN = 0.25, 0.15, 0.35, 0.25, 0.3
_CAPTION_PT, _CAPTION_LINE_IN = 7.5, 0.15
_STRIPE_PX = 5
_BORDER = 0.75  # brightness of the line between two classes
_DPI = 150
_WHITE: RGB = np.full((1, 1, 3), 255, np.uint8)


def draw_overview(slide_map: SlideMap, thumbnail: RGB | None = None, *, unsure_below: float | None = None) -> Figure:
    """Draw the slide, its map, and the area of each class.

    Args:
        slide_map: A map.
        thumbnail: The whole slide at low power, uint8 (H, W, 3), as `Slide.thumbnail` gives it; white if not given.
        unsure_below: Tiles whose most probable class is less probable are striped grey and counted apart; the map's own
            threshold if not given, and 0 counts none.

    Raises:
        ValueError: `unsure_below` is not between 0 and 1.
    """
    card = slide_map.card
    labels = label_map(slide_map, unsure_below)
    legend = MapLegend.of(slide_map, labels)
    wide = card.slide_width_px >= _WIDE * card.slide_height_px
    panel = fit_panel(card, _WIDE_PANEL_IN if wide else _PANEL_IN, _TALL_IN)
    slot = max(panel[0], _SLOT_IN) + _GAP_IN, panel[1] + _TITLE_IN + _BELOW_IN
    across, down = (1, 2) if wide else (2, 1)

    # Panels are as large as the slide's proportions say, so places are settled here and not by a layout.
    width = 2 * _MARGIN_IN + across * slot[0] + legend.width_in
    caption = _caption(slide_map, labels.unsure_below, width - 2 * _MARGIN_IN)
    below = _CAPTION_LINE_IN * (caption.count("\n") + 1) + 2 * _MARGIN_IN
    height = _HEAD_IN + max(down * slot[1], legend.height_in) + below
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    name = fit(card.slide, width - 2 * _MARGIN_IN, 11)
    left = _MARGIN_IN / width
    figure.text(left, 1 - 0.2 / height, name, fontsize=11, va="center")
    figure.text(left, _MARGIN_IN / height, caption, fontsize=_CAPTION_PT, va="bottom")
    for number, title in enumerate(("slide", _map_title(slide_map))):
        left = _MARGIN_IN + number % across * slot[0]
        bottom = height - _HEAD_IN - number // across * slot[1] - _TITLE_IN - panel[1]
        axes = figure.add_axes((left / width, bottom / height, panel[0] / width, panel[1] / height))
        axes.set_title(title, fontsize=9, loc="left", pad=4)
        show_slide(axes, _WHITE if thumbnail is None else thumbnail, card.slide_size, faded=number == 1)
        if number:
            _draw_map(axes, slide_map, labels, legend, pt_per_px=72 * panel[0] / card.slide_width_px)
        else:
            draw_scale_bar(axes, card.slide_width_px, card.slide_mpp)
    left, tall = _MARGIN_IN + across * slot[0], height - _HEAD_IN - below
    axes = figure.add_axes((left / width, below / height, legend.width_in / width, tall / height))
    axes.axis("off")
    legend.draw(axes)
    axes.set(xlim=(0, legend.width_in), ylim=(tall, 0))
    return figure


def _map_title(slide_map: SlideMap) -> str:
    if not len(slide_map):
        return "no tile was classified"
    return f"classes of {len(slide_map):,} tiles" if len(slide_map) > 1 else "class of one tile"


def _caption(slide_map: SlideMap, unsure_below: float | None, width_in: float) -> str:
    card = slide_map.card
    width_mm, height_mm = (side * card.slide_mpp / 1000 for side in (card.slide_width_px, card.slide_height_px))
    ink = f", {card.ink_area_um2 / 1e6:.3g} mm² excluded as marker ink" if card.ink_area_um2 else ""
    lines = [
        f"{described(slide_map)}.",
        f"Slide {width_mm:.3g} × {height_mm:.3g} mm, {card.slide_mpp:.3g} µm/px; "
        f"tissue {card.tissue_area_um2 / 1e6:.3g} mm²{ink}. "
        "Class area: grid cells with this class as the most probable.",
    ]
    if unsure_below is not None:
        lines.append(f"Unsure: top probability below {unsure_below:.3g}.")
    return wrap("\n".join([*lines, DISCLAIMER]), width_in, _CAPTION_PT)


def _draw_map(axes: Axes, slide_map: SlideMap, labels: Labels, legend: MapLegend, *, pt_per_px: float) -> None:
    """Draw the cells over the slide, opaque so that colours match the legend, and number the regions."""
    card, step = slide_map.card, slide_map.stride0_px
    sides = card.slide_size
    x, y = (_centres(side, pt_per_px * _DPI / 72) / step for side in sides)
    painted = _paint(_sampled(labels.of_cells, y, x), labels.colours, unsure=len(slide_map.classes))
    axes.imshow(painted, extent=(0, sides[0], sides[1], 0), interpolation="none")
    regions = [(labels.of_cells == row.label, row.mark, row.colour) for row in legend.rows]
    mark_regions(axes, regions, cell=step, cell_pt=step * pt_per_px)


def _centres(side: int, scale: float) -> Floats:
    """Return the centres of an image's px along a side, in level-0 px."""
    count = max(1, round(side * scale))
    centres: Floats = (np.arange(count, dtype=np.float64) + 0.5) * (side / count)
    return centres


def _sampled(cells: ClassGrid, y: Floats, x: Floats) -> ClassGrid:
    """Return the label at every place (y × x, in cells); none outside the grid."""
    framed = np.pad(cells, (0, 1), constant_values=NO_CLASS)
    row, column = (
        np.minimum(np.floor(place).astype(np.int64), side) for place, side in zip((y, x), cells.shape, strict=True)
    )
    return framed[np.ix_(row, column)]


def _paint(picture: ClassGrid, colours: tuple[Colour, ...], *, unsure: int) -> RGB:
    """Colour labels (H, W), darker at class borders and striped where unsure; RGBA, transparent without a label."""
    there = picture != NO_CLASS
    shown = np.array(colours, np.uint8)[np.where(there, picture, 0)].astype(np.float32)
    y, x = np.ogrid[: picture.shape[0], : picture.shape[1]]
    shown[(picture == unsure) & ((x + y) // _STRIPE_PX % 2 == 0)] = 235
    line = np.zeros(picture.shape, bool)
    line[:, 1:] |= picture[:, 1:] != picture[:, :-1]
    line[1:] |= picture[1:] != picture[:-1]
    shown[line] *= _BORDER
    return np.dstack([shown, np.where(there, 255, 0)]).astype(np.uint8)
