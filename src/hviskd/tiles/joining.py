"""Which unlabelled tiles may join the labelled ones in a training, and the check that none is of a held-out patient."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd

from hviskd.arrays import Ints
from hviskd.errors import DataError, LeakError
from hviskd.tiles.leaks import ALLOWING, HELD_OUT, crossings
from hviskd.tiles.tileset import TileSet

_SAME_MPP = 0.05  # relative; scanners state their pixel size no better than this


@dataclass(frozen=True)
class UnlabelledTiles:
    """Tiles that join a training without labels.

    Attributes:
        tileset: Where they are; labels that it may have are ignored.
        rows: (N,) which of its tiles: all, or, if it is split, those of its training split.
        statement: What is known of their independence of the validation and test tiles.
        leaks: Whether they share something with these.
    """

    tileset: TileSet
    rows: Ints
    statement: str
    leaks: bool

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the digests of the tiles that join, as hexadecimal; independent of labels."""
        return sha256("\n".join(self.tileset.table["digest"].iloc[self.rows]).encode()).hexdigest()

    @property
    def name(self) -> str:
        """Name of the TileSet's folder."""
        return self.tileset.folder.resolve().name


def join_unlabelled(tileset: TileSet, other: TileSet | Path | str, *, allow_leak: bool = False) -> UnlabelledTiles:
    """Check that tiles may join those of a TileSet's training split without labels.

    Args:
        tileset: The labelled tiles, split.
        other: The tiles to join them. Of a TileSet that is split only its training split, so that its other tiles can
            still be used to evaluate.
        allow_leak: Join them even if they share patients, slides, touching tiles or images with the validation or test
            split.

    Raises:
        DataError: They differ in size, pixel size, stain or ICC conversion.
        LeakError: They leak and `allow_leak` is not set.
    """
    other = TileSet.open(other)
    _require_alike(tileset, other)
    split = other.table["split"].notna().any()
    rows = other.rows("train") if split else other.rows()
    if not len(rows):
        raise DataError(f"{other.folder}: is split, but has no tiles in the train split to use without labels")
    held = tileset.table[tileset.table["split"].isin(["val", "test"])].assign(split="held")
    joining = other.table.iloc[rows].assign(split="joining")
    table = pd.concat([held, joining])  # each keeps its numbers of rows
    found = [kind for kind in crossings(tileset, table, HELD_OUT).values() if kind.count]
    if not found:
        return UnlabelledTiles(other, rows, _independent(held, joining), leaks=False)
    statement = f"LEAK: {'; '.join(map(str, found))}."
    if not allow_leak:
        raise LeakError(f"{other.folder}: {statement} Cut them from slides of other patients", ALLOWING)
    return UnlabelledTiles(other, rows, statement, leaks=True)


def _require_alike(tileset: TileSet, other: TileSet) -> None:
    own, theirs = tileset.card, other.card
    problem = ""
    if own.tile_px != theirs.tile_px:
        problem = f"tiles of {theirs.tile_px} px, but {tileset.folder} has tiles of {own.tile_px} px"
    elif own.mpp and theirs.mpp and abs(own.mpp / theirs.mpp - 1) > _SAME_MPP:
        problem = f"tiles at {theirs.mpp:g} µm/px, but {tileset.folder} has tiles at {own.mpp:g} µm/px"
    elif own.stain != theirs.stain:
        problem = f"a stain normalisation other than that of {tileset.folder}"
    elif own.icc != theirs.icc:
        problem = f"{'' if theirs.icc else 'no '}colours converted by ICC profile, other than {tileset.folder}"
    if problem:
        raise DataError(f"{other.folder}: has {problem}; cut them with the same settings")


def _independent(held: pd.DataFrame, joining: pd.DataFrame) -> str:
    for unit in ("patient", "slide"):
        if held[unit].notna().all() and joining[unit].notna().all():
            unknown = "; whether a patient is, is unknown" if unit == "slide" else ""
            return f"No {unit} of the val or test split is among the unlabelled tiles{unknown}."
    return (
        "Whether patients of the val or test split are among the unlabelled tiles is unknown for some of them; "
        "no identical image is."
    )
