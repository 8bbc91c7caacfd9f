"""The overview figure of a map: the slide, its classes, and their areas.

Classes have their own colours, so that a map looks like the masks it was learned from. Some of these are alike to many
eyes, so each class also has a number, in the legend and on its regions.
"""

import numpy as np
from PIL import Image

from hviskd.arrays import NO_CLASS, RGB, ClassGrid, Colour, Floats
from hviskd.class_marks import MARK_PT, mark_inks, place_marks
from hviskd.letters import fit_lines, wrap_lines
from hviskd.page import Page
from hviskd.png_file import DPI
from hviskd.segmentation.certainty import Labels, label_map
from hviskd.segmentation.drawing import described, fit_panel
from hviskd.segmentation.legend import MapLegend
from hviskd.segmentation.slide_map import SlideMap
from hviskd.slides.slide_picture import faded_slide, scale_bar
from hviskd.version import DISCLAIMER

_WIDE = 2.0  # from this width to height on, the panels stand one above the other
_PANEL_IN, _WIDE_PANEL_IN, _TALL_IN = 4.6, 7.0, 6.0
_SLOT_IN = 1.6  # what a panel's title and scale bar need, however narrow the slide
_GAP_IN, _MARGIN_IN, _HEAD_IN, _TITLE_IN, _BELOW_IN = 0.25, 0.15, 0.35, 0.25, 0.3
_NAME_PT, _TITLE_PT, _CAPTION_PT, _CAPTION_LINE_IN = 11.0, 9.0, 7.5, 0.125
_BAR_IN, _BAR_PT = 0.1, 2.5
_STRIPE_PX = 5
_BORDER = 0.75  # brightness of the line between two classes
_FRAME = (178, 178, 178)
_WHITE: RGB = np.full((1, 1, 3), 255, np.uint8)


def draw_overview(slide_map: SlideMap, thumbnail: RGB | None = None, *, unsure_below: float | None = None) -> Page:
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

    width = 2 * _MARGIN_IN + across * slot[0] + legend.width_in
    caption = _caption(slide_map, labels.unsure_below, width - 2 * _MARGIN_IN)
    below = _CAPTION_LINE_IN * len(caption) + 2 * _MARGIN_IN
    height = _HEAD_IN + max(down * slot[1], legend.height_in) + below
    page = Page(width, height)
    page.text(_MARGIN_IN, 0.2, fit_lines(card.slide, width - 2 * _MARGIN_IN, _NAME_PT), size_pt=_NAME_PT)
    page.text(_MARGIN_IN, height - below / 2, caption, size_pt=_CAPTION_PT)
    slide = _resized(_WHITE if thumbnail is None else thumbnail, panel)
    for number, title in enumerate(("slide", _map_title(slide_map))):
        left = _MARGIN_IN + number % across * slot[0]
        top = _HEAD_IN + number // across * slot[1] + _TITLE_IN
        page.text(left, top - _TITLE_IN / 2, [title], size_pt=_TITLE_PT)
        page.image(left, top, _mapped(slide, slide_map, labels) if number else slide)
        page.box((left, top, left + panel[0], top + panel[1]), edge=_FRAME)
        if number:
            _mark_map(page, left, top, slide_map, labels, legend, in_per_px=panel[0] / card.slide_width_px)
        else:
            length_px, words = scale_bar(card.slide_width_px, card.slide_mpp)
            end, middle = left + length_px * panel[0] / card.slide_width_px, top + panel[1] + _BAR_IN
            page.line(left, end, middle, width_pt=_BAR_PT)
            page.text(end + 0.06, middle, [words], size_pt=8)
    legend.draw(page, _MARGIN_IN + across * slot[0], _HEAD_IN)
    return page


def _map_title(slide_map: SlideMap) -> str:
    if not len(slide_map):
        return "no tile was classified"
    return f"classes of {len(slide_map):,} tiles" if len(slide_map) > 1 else "class of one tile"


def _caption(slide_map: SlideMap, unsure_below: float | None, width_in: float) -> list[str]:
    card = slide_map.card
    width_mm, height_mm = (side * card.slide_mpp / 1000 for side in (card.slide_width_px, card.slide_height_px))
    ink = f", {card.ink_area_um2 / 1e6:.3g} mm² excluded as marker ink" if card.ink_area_um2 else ""
    lines = [
        f"{described(slide_map)}.",
        f"Slide {width_mm:.3g} × {height_mm:.3g} mm, {card.slide_mpp:.3g} µm/px; "
        f"tissue {card.tissue_area_um2 / 1e6:.3g} mm²{ink}. "
        "Class area: grid cells with this class as the most probable.",
    ]
    if card.first_pass is not None:
        lines.append(
            f"Looked at closely: {card.first_pass.closely:,} of {len(slide_map):,} tiles; the others at "
            f"{card.first_pass.mpp:.3g} µm/px."
        )
    if unsure_below is not None:
        lines.append(f"Unsure: top probability below {unsure_below:.3g}.")
    return wrap_lines("\n".join([*lines, DISCLAIMER]), width_in, _CAPTION_PT)


def _resized(thumbnail: RGB, panel_in: tuple[float, float]) -> RGB:
    """Return a thumbnail at the size of a panel."""
    width, height = (max(1, round(side * DPI)) for side in panel_in)
    return np.asarray(Image.fromarray(thumbnail).resize((width, height), Image.Resampling.HAMMING, reducing_gap=2))


def _mapped(slide: RGB, slide_map: SlideMap, labels: Labels) -> RGB:
    """Paint the cells over the faded slide, opaque so that colours match the legend."""
    (x, y), step = slide_map.card.slide_size, slide_map.stride0_px
    sampled = _sampled(labels.of_cells, *(_centres(*sides) / step for sides in zip((y, x), slide.shape, strict=False)))
    painted, bare = _paint(sampled, labels.colours, unsure=len(slide_map.classes)), sampled == NO_CLASS
    painted[bare] = faded_slide(slide[bare])
    return painted


def _mark_map(
    page: Page, left: float, top: float, slide_map: SlideMap, labels: Labels, legend: MapLegend, *, in_per_px: float
) -> None:
    """Number the regions of a map whose upper left corner is at this place."""
    cell = slide_map.stride0_px * in_per_px
    regions = [(labels.of_cells == row.label, row.mark, row.colour) for row in legend.rows]
    for x, y, mark, colour in place_marks(regions, cell_pt=72 * cell):
        page.mark(left + x * cell, top + y * cell, mark, *mark_inks(colour), size_pt=MARK_PT)


def _centres(side: int, count: int) -> Floats:
    """Return the centres of an image's px along a side, in level-0 px."""
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
    """Colour labels (H, W), darker at class borders and striped where unsure."""
    shown = np.array(colours, np.uint8).take(picture, axis=0, mode="clip")  # no class is painted over
    y, x = np.ogrid[: picture.shape[0], : picture.shape[1]]
    shown[(picture == unsure) & ((x + y) // _STRIPE_PX % 2 == 0)] = 235
    line = np.zeros(picture.shape, bool)
    line[:, 1:] |= picture[:, 1:] != picture[:, :-1]
    line[1:] |= picture[1:] != picture[:-1]
    shown[line] = shown[line] * _BORDER
    return shown
