"""The result of `attend`: attention maps and tiles, read from disk when needed, and the agreement with an expert."""

from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import pandas as pd
import torch

from hviskd.arrays import RGB, Bools, Floats32, Ints
from hviskd.attention.comparing import AttentionComparison
from hviskd.attention.expert import Outlines
from hviskd.attention.maps import scaled_maps
from hviskd.attention.overlap import MEASURES
from hviskd.attention.overlays import overlay, spread
from hviskd.attention.settings import AttentionSettings
from hviskd.errors import DataError
from hviskd.evaluation.tables import Table
from hviskd.tiles import TileSet

_SHOWN = ("dice_share", "dice_otsu", "dice_mean", "pointing", "energy")
_NOTEBOOK_TILES = 3


@dataclass(frozen=True, eq=False)
class Attention:
    """Maps of M models on the same N tiles, and what an expert outlined there.

    Maps lie in temporary files and tiles in their TileSet, so that none of them is in memory until it is asked for.

    Attributes:
        names: M names, safe in a file name; the first is the reference.
        maps: For each, float32 (N, h, w): as large as the stage's map, at least 0, not scaled; memory-mapped.
        tileset: The TileSet.
        rows: Rows (N,) of the tiles in it.
        classes: The class that was explained in each tile.
        outlines: What the expert outlined in these tiles, or None without an expert.
        comparison: Of models and baselines against the outlines, or None.
        resemblance: Of each model's maps to the first one's, see `resemblance_table`; None of a single model.
        settings: Which maps.
        notes: Cautions, one or two sentences each.
    """

    names: tuple[str, ...]
    maps: dict[str, Floats32]
    tileset: TileSet
    rows: Ints
    classes: tuple[str, ...]
    outlines: Outlines | None
    comparison: AttentionComparison | None
    resemblance: pd.DataFrame | None
    settings: AttentionSettings
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def files(self) -> tuple[str, ...]:
        """File of each tile."""
        return tuple(str(file) for file in self.tileset.table["file"].iloc[self.rows])

    def tile(self, position: int) -> RGB:
        """Read a tile by its position among the N."""
        return np.asarray(self.tileset.pixels[self.rows[position]])

    def outline(self, position: int) -> Bools | None:
        """Read what the expert outlined in a tile, bool (tile_px, tile_px); None without an expert."""
        return None if self.outlines is None else self.outlines.of(int(self.rows[position]))

    def scaled(self, name: str, position: int) -> Floats32:
        """Return one map enlarged to the tile, divided by its maximum: (tile_px, tile_px)."""
        return scaled_map(self.maps[name][position], self.tileset.tile_px)

    def overlaid(self, name: str, position: int) -> RGB:
        """Draw one map over its tile, with the expert's outline if there is one."""
        return overlay(self.tile(position), self.scaled(name, position), self.outline(position))

    def summary_table(self) -> Table:
        """Return header and rows as text: means of the main measures with intervals, and p against the reference.

        Raises:
            DataError: There is no expert to compare with.
        """
        if self.comparison is None:
            raise DataError("these maps were not compared with an expert; pass `annotations` to `attend`")
        means = self.comparison.means.set_index(["model", "measure"])
        tests = self.comparison.tests.set_index(["model", "measure"])
        rows = []
        for model in means.index.unique("model"):
            cells = [str(model)]
            for measure in _SHOWN:
                one = means.loc[(model, measure)]
                cells.append(
                    _number(one["mean"])
                    + ("" if np.isnan(one["low"]) else f" ({_number(one['low'])} to {_number(one['high'])})")
                )
            tested = (model, "dice_share") in tests.index
            p = tests.loc[(model, "dice_share")]["p_flip_patients_holm"] if tested else np.nan
            rows.append([*cells, "–" if np.isnan(p) else f"{p:.3f}"])
        return ["model", *(MEASURES[name] for name in _SHOWN), "p of the first Dice, over patients"], rows

    def resemblance_table(self) -> Table:
        """Return header and rows as text: how far each model looks where the first one does.

        Raises:
            DataError: There is one model only.
        """
        if self.resemblance is None:
            raise DataError("there is one model only; pass several `models` to `attend`")
        rows = [
            [
                one["model"],
                f"{_number(one['mean'])} ({_number(one['low'])} to {_number(one['high'])})",
                str(one["tiles"]),
            ]
            for one in self.resemblance.to_dict("records")
        ]
        return ["model", f"rank correlation of its maps with those of {self.names[0]}", "tiles"], rows

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        examples = [
            (
                self.classes[at],
                PurePath(self.files[at]).name,
                show.picture(self.tile(at), "tile"),
                *(show.picture(self.overlaid(name, at), name) for name in self.names),
            )
            for at in spread(len(self), _NOTEBOOK_TILES)
        ]
        told = f"{self.settings.kind} maps of {len(self):,} tiles"
        pictures = show.table(("class", "file", "tile", *self.names), examples, html=range(2, 3 + len(self.names)))
        numbers = show.table(*self.summary_table()) if self.comparison is not None else ""
        numbers += show.table(*self.resemblance_table()) if self.resemblance is not None else ""
        return show.paragraph(told) + pictures + numbers + show.paragraph(" ".join(self.notes))


def scaled_map(values: Floats32, tile_px: int) -> Floats32:
    """Return a map (h, w) enlarged to (tile_px, tile_px), divided by its maximum."""
    drawn: Floats32 = scaled_maps(torch.from_numpy(np.array(values))[None], tile_px)[0].numpy()
    return drawn


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"
