"""Splits a TileSet into train, val and test by patient, by slide or at random."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hviskd.errors import DataError
from hviskd.storage import atomic_file
from hviskd.tiles.balance import share_out
from hviskd.tiles.rows import TABLE_FILE, SplitRecord, write_rows
from hviskd.tiles.tileset import TileSet

WAYS = ("auto", "patient", "slide", "random")


def split_tiles(
    tileset: TileSet | Path | str,
    *,
    by: str = "auto",
    val: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    keep_test: bool = False,
) -> TileSet:
    """Split the tiles into train, val and test, with each class as close to its share as whole groups allow.

    The new split replaces the old one in a single step; pixels and card are unchanged.

    Args:
        tileset: The TileSet to split, or its folder.
        by: "patient" or "slide" keep whole patients or slides together. "random" assigns single tiles, class by class,
            and keeps only identical images together. "auto" is by patient if every patient is known, else by
            slide if every slide is known.
        val: Share of tiles in the validation split; with `keep_test`, of the tiles not in the test split.
        test: Share of tiles in the test split; without effect with `keep_test`.
        seed: Random seed; the same seed gives the same split.
        keep_test: Keep the existing test split and divide the rest.

    Returns:
        The TileSet, opened again.

    Raises:
        DataError: Tiles have no labels, patients or slides are unknown, there are fewer groups than splits, the shares
            are impossible, or there is no test split to keep.
    """
    tileset = TileSet.open(tileset)
    tileset.require_labels()
    rows, record = _rows_to_divide(tileset, keep_test)
    shares = {"val": val} if keep_test else {"val": val, "test": test}
    names, fractions = _fractions(shares)
    way = _settle(tileset, rows, by)
    labels = tileset.labels[rows]
    groups = pd.factorize(tileset.table["digest" if way == "random" else way].iloc[rows])[0]
    if groups.max() + 1 < len(names):
        unit = "different images" if way == "random" else f"{way}s"
        few = f"{groups.max() + 1} {unit} cannot make {len(names)} splits"
        raise DataError(f"{tileset.folder}: {few}; omit one, for example with `test=0`")
    if way == "random":
        which = draw_splits(groups, labels, fractions, seed)
    else:
        counts = np.zeros((groups.max() + 1, len(tileset.classes)), dtype=np.int64)
        np.add.at(counts, (groups, labels), 1)
        which = share_out(counts, fractions, seed=seed)[groups]
    if len(np.unique(which)) < len(names):
        raise DataError(f"{tileset.folder}: too few tiles per class for {len(names)} splits; request fewer")

    division = tileset.table["split"].to_numpy(dtype=object, copy=True)
    division[rows] = np.array(names, dtype=object)[which]
    record = {"by": way, "seed": seed, **shares, **record}
    with atomic_file(tileset.folder / TABLE_FILE) as partial:
        write_rows(partial, tileset.table.assign(split=division), record)
    return TileSet.open(tileset.folder)


def _rows_to_divide(tileset: TileSet, keep_test: bool) -> tuple[NDArray[np.int64], SplitRecord]:
    """Return the rows and the record of a kept test split."""
    if not keep_test:
        return tileset.rows(), {}
    kept = tileset.rows("test")
    if not len(kept):
        raise DataError(f"{tileset.folder}: has no test split to keep; omit `keep_test=True`")
    if len(kept) == len(tileset):
        raise DataError(f"{tileset.folder}: all tiles are in the test split, so none remain to be split")
    before = tileset.split_record or {}
    return np.setdiff1d(tileset.rows(), kept), {"keep_test": True, "test_by": before.get("test_by", before.get("by"))}


def _fractions(shares: dict[str, float]) -> tuple[list[str], NDArray[np.float64]]:
    """Return the splits that should have tiles, train first, and their shares."""
    for name, share in shares.items():
        if not (math.isfinite(share) and 0 <= share < 1):
            raise DataError(f"`{name}={share}`: must be a share of at least 0 and below 1")
    rest = 1 - sum(shares.values())
    if rest < 1e-9:
        raise DataError(f"`val={shares['val']}` and `test={shares['test']}` leave no training tiles; make them smaller")
    wanted = {"train": rest, **{name: share for name, share in shares.items() if share > 0}}
    return list(wanted), np.array(list(wanted.values()))


def _settle(tileset: TileSet, rows: NDArray[np.int64], by: str) -> str:
    """Determine the unit to split by, and reject a unit that is unknown for some rows."""
    if by not in WAYS:
        raise DataError(f"`by={by!r}`: must be one of {', '.join(WAYS)}")
    missing = {unit: int(tileset.table[unit].iloc[rows].isna().sum()) for unit in ("patient", "slide")}
    if by == "auto":
        known = next((unit for unit, count in missing.items() if not count), None)
        if known is None:
            raise DataError(
                f"{tileset.folder}: neither patient nor slide is known for every tile; import with a CSV of them, "
                "or pass `by='random'` and accept that the splits may not be independent"
            )
        return known
    if missing.get(by):
        raise DataError(
            f"{tileset.folder}: {missing[by]} of {len(rows)} tiles have no {by}; import with a CSV that lists them all"
        )
    return by


def draw_splits(
    pictures: NDArray[np.int64], labels: NDArray[np.int64], fractions: NDArray[np.float64], seed: int
) -> NDArray[np.int64]:
    """Assign a split to each tile at random, class by class; identical tiles stay together.

    Args:
        pictures: (N,) number of the picture a tile shows, without gaps from 0.
        labels: (N,) class of each tile; a picture that stands in two classes counts for its first.
        fractions: (S,) share of each split, the first the one to train on.
        seed: Of the draw.
    """
    rng = np.random.default_rng(seed)
    first = np.unique(pictures, return_index=True)[1]
    split_of_picture = np.zeros(len(first), dtype=np.int64)
    copies = np.bincount(pictures)
    for label in np.unique(labels[first]):
        mine = rng.permutation(np.flatnonzero(labels[first] == label))
        place = np.cumsum(copies[mine]) - copies[mine]
        split_of_picture[mine] = np.searchsorted(_borders(int(copies[mine].sum()), fractions), place, side="right")
    return split_of_picture[pictures]


def _borders(count: int, fractions: NDArray[np.float64]) -> NDArray[np.int64]:
    """Divide 0 … count into one range per split, train first if there are too few, and return the inner borders."""
    sizes = np.maximum(1, np.rint(fractions * count)).astype(np.int64)
    while sizes[1:].sum() >= count and sizes[1:].max() > 1:
        sizes[1 + np.argmax(sizes[1:])] -= 1
    sizes[0] = max(1, count - sizes[1:].sum())
    return np.cumsum(sizes)[:-1]
