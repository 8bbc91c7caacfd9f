"""Summarises a TileSet as a table of counts and as a contact sheet."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from hviskd.figure_text import fit, text_width_in
from hviskd.pictures import new_figure, save_figure
from hviskd.tiles.notebook_view import count_tiles
from hviskd.tiles.tileset import TileSet

_CELL_PX = 112
_TALLEST_PX = 8_000  # of the sheet; with very many classes the tiles shrink instead
_GAP_PX = 4
_MARGIN_PX = 12
_CAPTION_PX = 48
_DPI = 150
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

    Args:
        tileset: The TileSet to show, or its folder.
        path: The PNG file to write.
        per_class: Maximum number of tiles per class.
        seed: Random seed for choosing tiles; the same seed gives the same sheet.

    Returns:
        `path`.
    """
    tileset = TileSet.open(tileset)
    cell = int(np.clip(_TALLEST_PX // len(tileset.classes) - _GAP_PX, 8, _CELL_PX))
    sheet = _sheet(tileset, per_class, cell, np.random.default_rng(seed))
    counts = np.bincount(tileset.labels, minlength=len(tileset.classes))
    font_px = min(19.0, cell / 2.4)  # two lines to a row
    font_pt = font_px * 72 / _DPI
    names = [
        f"{fit(name, _NAME_EMS * font_px / _DPI, font_pt)}\n{count:,} tiles"
        for name, count in zip(tileset.classes, counts, strict=True)
    ]
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
    for middle, colour in zip(middles, tileset.card.colours, strict=True):
        bar = (-14, middle - cell / 2), 8, cell
        axes.add_patch(Rectangle(*bar, facecolor=np.array(colour) / 255, edgecolor="0.6", lw=0.4, clip_on=False))
    axes.tick_params(axis="y", length=0, pad=9)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlabel(_caption(tileset), fontsize=9, loc="left")
    return save_figure(figure, Path(path))


def _sheet(tileset: TileSet, per_class: int, cell: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Arrange tiles in a white (rows × cells) image, each resampled to `cell` px."""
    step = cell + _GAP_PX
    sheet = np.full((len(tileset.classes) * step - _GAP_PX, per_class * step - _GAP_PX, 3), 255, dtype=np.uint8)
    for label in range(len(tileset.classes)):
        rows = np.flatnonzero(tileset.labels == label)
        chosen = np.sort(rng.choice(rows, size=min(per_class, len(rows)), replace=False)) if len(rows) else rows
        for place, row in enumerate(chosen):
            tile = Image.fromarray(np.asarray(tileset.pixels[row])).resize((cell, cell), Image.Resampling.LANCZOS)
            sheet[label * step : label * step + cell, place * step : place * step + cell] = np.asarray(tile)
    return sheet


def _caption(tileset: TileSet) -> str:
    px = tileset.tile_px
    if tileset.mpp is None:
        return f"tiles of {px} px, µm/px unknown"
    return f"tiles of {px} px at {tileset.mpp:.3g} µm/px, {px * tileset.mpp:.3g} µm wide"
