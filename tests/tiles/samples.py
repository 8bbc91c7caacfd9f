"""Small tile sets and pictures that the tests of this room make for themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from hviskd.tiles import Origin, TileSet, TileSetWriter, TileSource, new_card


def noise(seed: int, side: int = 8, height: int | None = None) -> np.ndarray:
    """A picture that no other seed gives."""
    return np.random.default_rng(seed).integers(0, 256, (height or side, side, 3), dtype=np.uint8)


def write_picture(path: Path, seed: int = 0, side: int = 8, height: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(seed, side, height)).save(path)
    return path


def make_tileset(
    folder: Path,
    rows: Sequence[Mapping[str, object]],
    *,
    classes: Sequence[str] = ("A", "B"),
    tile_px: int = 4,
    mpp: float | None = None,
) -> TileSet:
    """A TileSet with one noisy tile a row; a row may say `class_name` (else A), `pixels`, and what `add` takes."""
    card = new_card(classes, tile_px=tile_px, mpp=mpp, origin=Origin(verb="sample"), labelled=bool(classes))
    with TileSetWriter(folder, card) as writer:
        for number, row in enumerate(rows):
            given = {"file": f"{number}.png", "class_name": "A", "pixels": noise(number, tile_px), **row}
            source = TileSource(**{name: given.pop(name) for name in TileSource._fields if name in given})
            writer.add(given.pop("pixels"), source=source, **given)
    return TileSet.open(folder)
