"""The legend of an overview: number, colour, name, area and share of each class."""

import math
from dataclasses import dataclass

import numpy as np

from hviskd.arrays import Colour
from hviskd.class_marks import MARK_PT, mark_inks
from hviskd.letters import fit_lines, shorten, text_width_in, wrap_lines
from hviskd.page import GREY, Page
from hviskd.segmentation.certainty import Labels
from hviskd.segmentation.slide_map import SlideMap

LINE_IN = 0.16

_NAME_PT, _ABSENT_PT = 8.0, 7.5
_EDGE, _STRIPES, _RULE = (102, 102, 102), (235, 235, 235), (178, 178, 178)
_MOST_ROWS, _NAME_LINES = 40, 3
_LEAST_IN, _MOST_IN = 1.3, 2.0  # of the column of names
_NAME_IN, _AREA_IN, _SHARE_IN = 0.38, 0.75, 0.65  # where names begin, and how wide the columns of numbers are


@dataclass(frozen=True)
class LegendRow:
    """A label with tiles: its number, its name in lines, its area in mm² and its share of all tiles."""

    label: int
    mark: str
    colour: Colour
    striped: bool
    lines: list[str]
    area: str
    share: str


@dataclass(frozen=True)
class MapLegend:
    """The text beside a map.

    Attributes:
        rows: The labels that cover something, in the order of the classes; the largest if there are many.
        together: Area of all tiles, in mm².
        absent: Lines that name the classes of no tile.
        name_in: Width of the column of names, in inches.
    """

    rows: list[LegendRow]
    together: str
    absent: list[str]
    name_in: float

    @classmethod
    def of(cls, slide_map: SlideMap, labels: Labels) -> "MapLegend":
        """Summarise a map."""
        areas = labels.areas_mm2(slide_map.stride_um)
        total = float(areas.sum())
        decimals = max(0, 2 - math.floor(math.log10(total))) if total else 0
        largest = np.argsort(-areas, kind="stable")[:_MOST_ROWS]
        rows = []
        for label in np.sort(largest[areas[largest] > 0]).tolist():
            unsure = label == len(slide_map.classes)
            share = areas[label] / total
            rows.append(
                LegendRow(
                    label=label,
                    mark="?" if unsure else str(label + 1),
                    colour=labels.colours[label],
                    striped=unsure,
                    lines=fit_lines(labels.names[label], _MOST_IN, _NAME_PT, lines=_NAME_LINES),
                    area=_area(float(areas[label]), decimals),
                    share=f"{share:.1%}" if share >= 0.0005 else "<0.1%",
                )
            )
        name_in = max([_LEAST_IN, *(text_width_in(line, _NAME_PT) for row in rows for line in row.lines)])
        missing = [name for name, area in zip(labels.names, areas, strict=True) if not area]
        return cls(rows, _area(total, decimals), _absent(missing, name_in + _AREA_IN + _SHARE_IN), name_in)

    @property
    def width_in(self) -> float:
        """Width in inches."""
        return _NAME_IN + self.name_in + _AREA_IN + _SHARE_IN

    @property
    def height_in(self) -> float:
        """Height in inches."""
        lines = sum(len(row.lines) + 0.5 for row in self.rows) + len(self.absent)
        return LINE_IN * (lines + 5)

    def draw(self, page: Page, left: float, top: float) -> None:
        """Draw it onto a page, with its upper left corner at this place in inches."""
        name_x, area_x = left + _NAME_IN, left + _NAME_IN + self.name_in + _AREA_IN
        share_x = area_x + _SHARE_IN
        page.text(name_x, top + LINE_IN, ["class"], size_pt=_NAME_PT, colour=GREY)
        page.text(area_x, top + LINE_IN, ["mm²"], size_pt=_NAME_PT, colour=GREY, side="right")
        page.text(share_x, top + LINE_IN, ["share"], size_pt=_NAME_PT, colour=GREY, side="right")
        y = top + 2 * LINE_IN
        for row in self.rows:
            middle = y + LINE_IN * len(row.lines) / 2
            _draw_swatch(page, row, left, middle)
            page.text(name_x, middle, row.lines, size_pt=_NAME_PT)
            page.text(area_x, middle, [row.area], size_pt=_NAME_PT, side="right")
            page.text(share_x, middle, [row.share], size_pt=_NAME_PT, side="right")
            y += LINE_IN * (len(row.lines) + 0.5)
        if self.rows:
            y += 0.5 * LINE_IN
            page.line(name_x, share_x, y - 0.4 * LINE_IN, width_pt=0.6, colour=_RULE)
            page.text(name_x, y + 0.5 * LINE_IN, ["together"], size_pt=_NAME_PT)
            page.text(area_x, y + 0.5 * LINE_IN, [self.together], size_pt=_NAME_PT, side="right")
            y += 2 * LINE_IN
        page.text(name_x, y + LINE_IN * len(self.absent) / 2, self.absent, size_pt=_ABSENT_PT, colour=GREY)


def _draw_swatch(page: Page, row: LegendRow, left: float, middle: float) -> None:
    box = (left + 0.05, middle - 0.09, left + 0.29, middle + 0.09)
    page.box(box, fill=row.colour, edge=_EDGE, stripes=_STRIPES if row.striped else None)
    page.mark(left + 0.17, middle, row.mark, *mark_inks(row.colour), size_pt=MARK_PT)


def _area(area_mm2: float, decimals: int) -> str:
    least = 10.0**-decimals
    return f"{area_mm2:.{decimals}f}" if not 0 < area_mm2 < least / 2 else f"<{least:.{decimals}f}"


def _absent(names: list[str], width_in: float) -> list[str]:
    if not names:
        return []
    listed = ", ".join(shorten(name, 30) for name in names[:_MOST_ROWS])
    more = f" and {len(names) - _MOST_ROWS} more" if len(names) > _MOST_ROWS else ""
    return wrap_lines(f"not found: {listed}{more}", width_in, _ABSENT_PT)
