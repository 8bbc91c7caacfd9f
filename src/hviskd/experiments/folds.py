"""Cross-validation: several splits of the same tiles, so that every patient is once in the test split."""

import os
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hviskd.errors import DataError
from hviskd.storage import atomic_folder
from hviskd.tiles import TileSet, split_tiles
from hviskd.tiles.balance import share_out
from hviskd.tiles.card import CARD_FILE
from hviskd.tiles.rows import TABLE_FILE, write_rows
from hviskd.tiles.tileset import PIXELS_FILE


def make_folds(tileset: TileSet, folds: int, folder: Path, *, seed: int = 0, val: float = 0.15) -> list[TileSet]:
    """Return one TileSet per fold; all share the pixels, and each patient is in the test split of exactly one.

    Patients are dealt out so that the folds hold about as many tiles of every class. Without known patients whole
    slides are dealt out. A folder that holds the folds already is read, not written.

    Args:
        tileset: Its own split does not matter.
        folds: Number of parts.
        folder: Where the folds go: `fold-0`, `fold-1`, …
        seed: Of the dealing.
        val: Share of the tiles outside the test split that chooses the epoch.

    Raises:
        DataError: Neither patients nor slides are known, there are fewer of them than folds, or the folder holds
            folds of other tiles.
    """
    unit, clusters = tileset.clusters(tileset.rows())
    if unit == "tile":
        raise DataError(
            f"{tileset.folder}: cross-validation needs to know the patient or the slide of every tile; "
            "import with a CSV that lists them, or omit `folds`"
        )
    if len(np.unique(clusters)) < folds:
        raise DataError(f"{tileset.folder}: {len(np.unique(clusters))} {unit}s are too few for {folds} folds")
    part = _deal(clusters, tileset.labels, folds, seed)
    return [_fold(tileset, number, part == number, unit, folder, val) for number in range(folds)]


def _deal(clusters: NDArray[np.str_], labels: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Assign a fold to each tile, keeping clusters together and every class as balanced as possible."""
    names, position = np.unique(clusters, return_inverse=True)
    counts = np.zeros((len(names), labels.max() + 1), np.int64)
    np.add.at(counts, (position, labels), 1)
    dealt: NDArray[np.int64] = share_out(counts, np.full(folds, 1 / folds), seed=seed)[position]
    return dealt


def _fold(tileset: TileSet, number: int, test: NDArray[np.bool_], unit: str, folder: Path, val: float) -> TileSet:
    """Return one fold's TileSet, and create it if it does not exist."""
    place = folder / f"fold-{number}"
    if not (place / CARD_FILE).is_file():
        with atomic_folder(place) as partial:
            shutil.copyfile(tileset.folder / CARD_FILE, partial / CARD_FILE)
            try:
                os.link(tileset.folder / PIXELS_FILE, partial / PIXELS_FILE)
            except OSError:  # another disk, or one that knows no links
                shutil.copyfile(tileset.folder / PIXELS_FILE, partial / PIXELS_FILE)
            division = np.where(test, "test", "train").astype(object)
            write_rows(partial / TABLE_FILE, tileset.table.assign(split=division), {"by": unit, "fold": number})
            split_tiles(TileSet.open(partial), by=unit, val=val, keep_test=True, seed=number)
    fold = TileSet.open(place)
    if fold.fingerprint != tileset.fingerprint or not np.array_equal(fold.rows("test"), np.flatnonzero(test)):
        raise DataError(f"{place}: contains a fold of other tiles or another assignment; choose another folder")
    return fold
