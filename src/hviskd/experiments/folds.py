"""Cross-validation: the same tiles under several splits, so that every patient is once among the unseen."""

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
    """Give one TileSet a fold; each shares the pixels, and each patient is in the test split of just one.

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
            "import with a CSV of them, or leave `folds` out"
        )
    if len(np.unique(clusters)) < folds:
        raise DataError(f"{tileset.folder}: {len(np.unique(clusters))} {unit}s cannot be dealt out to {folds} folds")
    part = _deal(clusters, tileset.labels, folds, seed)
    return [_fold(tileset, number, part == number, unit, folder, val) for number in range(folds)]


def _deal(clusters: NDArray[np.str_], labels: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Give each tile its fold: whole clusters together, every class as even as they allow."""
    names, position = np.unique(clusters, return_inverse=True)
    counts = np.zeros((len(names), labels.max() + 1), np.int64)
    np.add.at(counts, (position, labels), 1)
    dealt: NDArray[np.int64] = share_out(counts, np.full(folds, 1 / folds), seed=seed)[position]
    return dealt


def _fold(tileset: TileSet, number: int, test: NDArray[np.bool_], unit: str, folder: Path, val: float) -> TileSet:
    """Give one fold's TileSet, made if it is not there."""
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
        raise DataError(f"{place}: holds a fold of other tiles or another dealing; choose another folder")
    return fold
