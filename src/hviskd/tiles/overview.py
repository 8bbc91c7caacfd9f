"""Summarises a TileSet as a table of counts and as a contact sheet."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle
from PIL import Image

from hviskd.arrays import RGB, Colour, Ints
from hviskd.figure_text import fit
from hviskd.letters import text_width_in
from hviskd.pictures import new_figure, save_figure
from hviskd.tiles.notebook_view import count_tiles
from hviskd.tiles.tileset import TileSet

_CELL_PX = 112
_TALLEST_PX = 8_000  # of the sheet; with very many classes the tiles shrink instead
_GAP_PX = 4
_MARGIN_PX = 12
_CAPTION_PX = 48
_DPI = 150
_GREY = (128, 128, 128)
_NAME_EMS = 15  # the longest name, in heights of its letters


def summary_table(tileset: TileSet | Path | str) -> pd.DataFrame:
    """Count tiles by class and split, and patients and slides by split.

    Returns:
        One row per class, then "all tiles", and "patients" and "slides" if any is known; one column for each of train,
        val, test and "no split" that has tiles, then "all". Integers.
    """
    tileset = TileSet.open(tileset)
    return count_tiles(tileset.table, tileset.classes)


def draw_contact_sheet(tileset: TileSet | Path | str, path: Path | str, per_class: int = 8, seed: int = 0) -> Path:
    """Draw some tiles of every class as a PNG, one row per class with its name, colour and count.

    Tiles without labels are drawn in one row.

    Args:
        tileset: The TileSet to show, or its folder.
        path: The PNG file to write.
        per_class: Maximum number of tiles per class.
        seed: Random seed for choosing tiles; the same seed gives the same sheet.

    Returns:
        `path`.
    """
    tileset = TileSet.open(tileset)
    shown = _shown(tileset)
    cell = int(np.clip(_TALLEST_PX // len(shown) - _GAP_PX, 8, _CELL_PX))
    sheet = _sheet(tileset.pixels, [line.rows for line in shown], per_class, cell, np.random.default_rng(seed))
    font_px = min(19.0, cell / 2.4)  # two lines to a row
    font_pt = font_px * 72 / _DPI
    names = [f"{fit(line.name, _NAME_EMS * font_px / _DPI, font_pt)}\n{len(line.rows):,} tiles" for line in shown]
    label_px = 40 + _DPI * max(text_width_in(line, font_pt) for name in names for line in name.split("\n"))

    # Tiles are shown pixel for pixel, so places are settled here and not by a layout.
    height, width = sheet.shape[:2]
    whole_width, whole_height = width + label_px + _MARGIN_PX, height + _MARGIN_PX + _CAPTION_PX
    figure = new_figure(whole_width / _DPI, whole_height / _DPI)
    figure.set_layout_engine("none")
    place = label_px / whole_width, _CAPTION_PX / whole_height, width / whole_width, height / whole_height
    axes = figure.add_axes(place)
    axes.imshow(sheet, interpolation="none", aspect="auto")
    middles = np.arange(len(names)) * (cell + _GAP_PX) + (cell - 1) / 2
    axes.set_yticks(middles, names, fontsize=font_pt)
    for middle, colour in zip(middles, (line.colour for line in shown), strict=True):
        bar = (-14, middle - cell / 2), 8, cell
        axes.add_patch(Rectangle(*bar, facecolor=np.array(colour) / 255, edgecolor="0.6", lw=0.4, clip_on=False))
    axes.tick_params(axis="y", length=0, pad=9)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlabel(_caption(tileset), fontsize=9, loc="left")
    return save_figure(figure, Path(path))


class _Line(NamedTuple):
    """One line of the sheet: its name and colour, and the rows (n,) of the tiles it may show."""

    name: str
    colour: Colour
    rows: Ints


def _shown(tileset: TileSet) -> list[_Line]:
    if not tileset.labelled:
        return [_Line("without label", _GREY, tileset.rows())]
    named = zip(tileset.classes, tileset.card.colours, strict=True)
    return [_Line(*each, np.flatnonzero(tileset.labels == label)) for label, each in enumerate(named)]


def _sheet(pixels: RGB, lines: list[Ints], per_line: int, cell: int, rng: np.random.Generator) -> RGB:
    """Arrange tiles in a white (lines × cells) image, each resampled to `cell` px."""
    step = cell + _GAP_PX
    sheet = np.full((len(lines) * step - _GAP_PX, per_line * step - _GAP_PX, 3), 255, dtype=np.uint8)
    for line, rows in enumerate(lines):
        chosen = np.sort(rng.choice(rows, size=min(per_line, len(rows)), replace=False)) if len(rows) else rows
        for place, row in enumerate(chosen):
            tile = Image.fromarray(np.asarray(pixels[row])).resize((cell, cell), Image.Resampling.LANCZOS)
            sheet[line * step : line * step + cell, place * step : place * step + cell] = np.asarray(tile)
    return sheet


def _caption(tileset: TileSet) -> str:
    px = tileset.tile_px
    if tileset.mpp is None:
        return f"tiles of {px} px, µm/px unknown"
    return f"tiles of {px} px at {tileset.mpp:.3g} µm/px, {px * tileset.mpp:.3g} µm wide"
