"""Pixels of a TileSet that count how many tiles are in memory at once."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hviskd.tiles import TileSet


@dataclass
class CountingPixels:
    """Stands for `TileSet.pixels`; `most` is the largest number of tiles that were asked for in one go."""

    pixels: np.ndarray
    most: int = 0

    def __getitem__(self, rows: Any) -> np.ndarray:
        taken = self.pixels[rows]
        self.most = max(self.most, 1 if taken.ndim == 3 else len(taken))
        return taken

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise AssertionError("all tiles were asked for at once")

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pixels.shape


def counting(tileset: TileSet) -> TileSet:
    """Give the same tile set with pixels that count."""
    return replace(tileset, pixels=CountingPixels(tileset.pixels))  # type: ignore[arg-type]
