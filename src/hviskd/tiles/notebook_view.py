"""Shows a TileSet in a notebook: tiles counted by class and split, and a strip of each class; `TileSet` calls it."""

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd
from PIL import Image

from hviskd.arrays import RGB, Ints
from hviskd.notebook_html import picture
from hviskd.tiles.rows import SPLITS

_CLASSES = 30  # more would make the page of a notebook long and heavy
_TILES, _TILE_PX, _GAP_PX = 8, 40, 2


def count_tiles(table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Count tiles by class and split, and patients and slides by split; `summary_table` describes the result."""
    table = table.assign(split=table["split"].fillna("no split"))
    columns = [name for name in (*SPLITS, "no split") if (table["split"] == name).any()]
    parts = {name: table[table["split"] == name] for name in columns} | {"all": table}
    rows: dict[str, list[int]] = {}
    for name in classes:
        rows[name] = [int((part["class"] == name).sum()) for part in parts.values()]
    rows["all tiles"] = [len(part) for part in parts.values()]
    for unit in ("patient", "slide"):
        if table[unit].notna().any():
            rows[f"{unit}s"] = [part[unit].nunique() for part in parts.values()]
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(parts))


def tileset_html(title: str, table: pd.DataFrame, classes: Sequence[str], labels: Ints, pixels: RGB) -> str:
    """Give a table of counts with a strip of tiles beside each of the first 30 classes.

    Args:
        title: One line above it.
        table: One row a tile.
        classes: Class names; without any, the strip is beside the row of all tiles.
        labels: (N,) the class of each tile, or zeros.
        pixels: (N, tile_px, tile_px, 3) of which only the tiles that are shown are read.
    """
    counts = count_tiles(table, classes)
    head = "".join(f"<th>{escape(str(name))}</th>" for name in ("", *counts.columns, ""))
    lines = []
    for place, (name, row) in enumerate(counts.iterrows()):
        cells = "".join(f"<td style='text-align:right'>{count:,}</td>" for count in row)
        strip = _strip(pixels, np.flatnonzero(labels == place)) if place < min(len(classes) or 1, _CLASSES) else ""
        label = f"<th style='text-align:left'>{escape(str(name))}</th>"
        lines.append(f"<tr>{label}{cells}<td style='text-align:left'>{strip}</td></tr>")
    return f"<p>{escape(title)}</p><table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _strip(pixels: RGB, rows: Ints) -> str:
    """Give up to eight tiles of a class, spread over its rows, as one image of some kilobytes."""
    if not len(rows):
        return ""
    chosen = np.unique(rows[np.linspace(0, len(rows) - 1, min(_TILES, len(rows))).round().astype(int)])
    strip = Image.new("RGB", (len(chosen) * (_TILE_PX + _GAP_PX) - _GAP_PX, _TILE_PX), "white")
    for place, row in enumerate(chosen.tolist()):
        tile = Image.fromarray(np.asarray(pixels[row])).resize((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS)
        strip.paste(tile, (place * (_TILE_PX + _GAP_PX), 0))
    return picture(np.asarray(strip), "tiles")
