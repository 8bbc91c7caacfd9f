"""What a look at attention found: maps and tiles, on the disk until asked for, and how far an expert agrees."""

from dataclasses import dataclass

import numpy as np
import torch

from hviskd.arrays import RGB, Bools, Floats32, Ints
from hviskd.attention.comparing import AttentionComparison
from hviskd.attention.expert import Outlines
from hviskd.attention.maps import scaled_maps
from hviskd.attention.settings import AttentionSettings
from hviskd.tiles import TileSet


@dataclass(frozen=True, eq=False)
class Attention:
    """Maps of M models on the same N tiles, and what an expert outlined there.

    Maps lie in temporary files and tiles in their TileSet, so that none of them is in memory until it is asked for.

    Attributes:
        names: M names, safe in a file name; the first is the reference.
        maps: For each, float32 (N, h, w): as large as the stage's map, at least 0, not scaled; memory-mapped.
        tileset: The TileSet.
        rows: Rows (N,) of the tiles in it.
        classes: For which class each tile was looked at.
        outlines: What the expert outlined in these tiles, or None without an expert.
        comparison: Of models and baselines against the outlines, or None.
        settings: Which maps.
        notes: What a reader must know before believing the maps or the numbers, a sentence or two each.
    """

    names: tuple[str, ...]
    maps: dict[str, Floats32]
    tileset: TileSet
    rows: Ints
    classes: tuple[str, ...]
    outlines: Outlines | None
    comparison: AttentionComparison | None
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
        return None if self.outlines is None else self.outlines.of(self.files[position])

    def scaled(self, name: str, position: int) -> Floats32:
        """Return one map enlarged to the tile, divided by its maximum: (tile_px, tile_px)."""
        return scaled_map(self.maps[name][position], self.tileset.tile_px)


def scaled_map(values: Floats32, tile_px: int) -> Floats32:
    """Return a map (h, w) enlarged to (tile_px, tile_px), divided by its maximum."""
    drawn: Floats32 = scaled_maps(torch.from_numpy(np.array(values))[None], tile_px)[0].numpy()
    return drawn
