"""The data leakage check of a TileSet's splits; training and evaluation run it before they start.

Splits leak if the same patient, the same slide, touching or overlapping tiles of one slide, or the same image appear in
more than one of them. Single-colour images do not count, since empty glass looks the same on every slide.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from hviskd.errors import LeakError
from hviskd.tiles.rows import SPLITS
from hviskd.tiles.tileset import TileSet

HELD_OUT = "both in the val or test split and among the unlabelled tiles"
ALLOWING = ", or pass `allow_leak=True` to continue; every output will then say so"
_NAMES_KEPT = 10
_NAMES_SAID = 3


@dataclass(frozen=True)
class Crossing:
    """One kind of thing that appears in more than one split: its noun, how many there are, and the first ten names.

    `where` says where else it appears, if not in another split.
    """

    one: str
    many: str
    count: int
    names: tuple[str, ...]
    where: str = "in more than one split"

    def __str__(self) -> str:
        what = f"1 {self.one} appears" if self.count == 1 else f"{self.count} {self.many} appear"
        more = ", …" if self.count > _NAMES_SAID else ""
        return f"{what} {self.where} ({', '.join(self.names[:_NAMES_SAID])}{more})"


@dataclass(frozen=True)
class LeakReport:
    """Result of the data leakage check.

    Attributes:
        splits: The splits that hold tiles.
        known_by: "patient" if every tile in a split has one, else "slide" if every tile has one, else None.
        units: How many such patients or slides there are; without `known_by`, how many slides and patients are
            known at all.
        patients: Patients in more than one split.
        slides: Slides in more than one split.
        neighbours: Tiles that touch or overlap a tile of another split, each named together with one such.
        pictures: Images in more than one split, each named by two of its files.
        photographs: The images are photographs, not of patients.
    """

    splits: tuple[str, ...]
    known_by: Literal["patient", "slide"] | None
    units: int
    patients: Crossing
    slides: Crossing
    neighbours: Crossing
    pictures: Crossing
    photographs: bool = False

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        found = [(kind.many, kind.count, ", ".join(kind.names)) for kind in self.crossings]
        header = ("in more than one split", "number", "the first of them")
        return show.paragraph(self.statement) + (show.table(header, found) if found else "")

    @property
    def crossings(self) -> tuple[Crossing, ...]:
        """The kinds of leak that occur; empty if none."""
        return tuple(kind for kind in (self.patients, self.slides, self.neighbours, self.pictures) if kind.count)

    @property
    def leaks(self) -> bool:
        """Whether the splits leak."""
        return bool(self.crossings)

    @property
    def statement(self) -> str:
        """One sentence for every output based on these splits."""
        if self.leaks:
            return f"LEAK: {'; '.join(str(kind) for kind in self.crossings)}."
        if not self.splits:
            return "The tiles have not been split."
        if len(self.splits) == 1:
            return f"All tiles with a split are in {self.splits[0]}, so none can leak."
        if self.known_by == "patient":
            return f"No patient appears in more than one split ({self.units} patients)."
        if self.known_by == "slide":
            return f"No slide appears in more than one split ({self.units} slides); whether a patient does is unknown."
        if self.photographs:
            return (
                "The images are photographs of no patient and are treated as independent; no identical image "
                "appears in more than one split (near-duplicates are not searched for)."
            )
        known = "unknown for some tiles" if self.units else "unknown"
        return (
            f"Patients and slides are {known}, so the splits may not be independent; "
            "no identical image appears in more than one split."
        )


def without_names(text: str) -> str:
    """Remove the names from leak statements within a text; counts stay. Older cards say "stand" for "appear"."""
    places = f"in more than one split|{HELD_OUT}"
    return re.sub(rf"((?:appear|stand)s? (?:{places})) \([^\n]*?\)(?=[;.])", r"\1", text)


def check_leak(tileset: TileSet | Path | str) -> LeakReport:
    """Find patients, slides and images that appear in more than one split; tiles without a split are ignored."""
    tileset = TileSet.open(tileset)
    table = tileset.table[tileset.table["split"].notna()]
    known_by: Literal["patient", "slide"] | None = None
    units = table["patient"].nunique() + table["slide"].nunique()
    if table["patient"].notna().all():
        known_by, units = "patient", table["patient"].nunique()
    elif table["slide"].notna().all():
        known_by, units = "slide", table["slide"].nunique()
    return LeakReport(
        splits=tuple(split for split in SPLITS if (table["split"] == split).any()),
        known_by=known_by,
        units=units,
        **crossings(tileset, table),
        photographs=tileset.card.origin.photographs,
    )


def require_no_leak(tileset: TileSet, *, allow_leak: bool = False) -> LeakReport:
    """Return the report of `check_leak`, or reject splits that leak.

    Raises:
        LeakError: The splits leak and `allow_leak` is not set.
    """
    report = check_leak(tileset)
    if report.leaks and not allow_leak:
        way = f"by {report.known_by}" if report.known_by else "at random"
        raise LeakError(
            f"{tileset.folder}: {report.statement} {_before_splitting(report)} the tiles again {way}",
            ALLOWING,
        )
    return report


def _before_splitting(report: LeakReport) -> str:
    """Say what to correct first if whole patients or slides are kept apart and something leaks nevertheless."""
    apart = {"patient": report.patients, "slide": report.slides}.get(report.known_by or "")
    return "Correct the names or remove the duplicates, and split" if apart is not None and not apart.count else "Split"


def crossings(tileset: TileSet, table: pd.DataFrame, where: str = "in more than one split") -> dict[str, Crossing]:
    """Find what the splits of a table share, by kind.

    Args:
        tileset: Has the pixels of every tile whose image appears in more than one split, at its first appearance.
        table: Its rows, each with a split; others may follow.
        where: What to say of it.
    """
    found = {
        "patients": ("patient", "patients", _in_several(table, "patient")),
        "slides": ("slide", "slides", _in_several(table, "slide")),
        "neighbours": ("neighbouring tile", "neighbouring tiles", _neighbours(table)),
        "pictures": ("identical image", "identical images", _same_pictures(tileset, table)),
    }
    return {
        kind: Crossing(one, many, len(names), tuple(names[:_NAMES_KEPT]), where)
        for kind, (one, many, names) in found.items()
    }


def _in_several(table: pd.DataFrame, unit: str) -> list[str]:
    """List the values of a column that appear in more than one split, in alphabetical order."""
    splits = table.groupby(unit)["split"].nunique()
    return [str(name) for name in splits.index[splits > 1]]


def _same_pictures(tileset: TileSet, table: pd.DataFrame) -> list[str]:
    names = []
    crossing = table[table["digest"].isin(_in_several(table, "digest"))]
    for _, copies in crossing.groupby("digest", sort=False):
        pixels = tileset.pixels[copies.index[0]]
        if (pixels != pixels[0, 0]).any():
            names.append(" = ".join(copies.drop_duplicates("split")["file"].iloc[:2]))
    return names


def _neighbours(table: pd.DataFrame) -> list[str]:
    placed = table.dropna(subset=["slide", "x_px", "y_px", "side_px"])
    names = []
    for _, tiles in placed.groupby("slide"):
        if tiles["split"].nunique() > 1:
            files = tiles["file"].to_numpy()
            partners = _touching(
                tiles[["x_px", "y_px"]].to_numpy(dtype=np.float64),
                tiles["side_px"].to_numpy(dtype=np.float64),
                tiles["split"].to_numpy(dtype=np.str_),
            )
            names += [f"{files[tile]} beside {files[partners[tile]]}" for tile in np.flatnonzero(partners >= 0)]
    return names


def _touching(origins: NDArray[np.float64], sides: NDArray[np.float64], splits: NDArray[np.str_]) -> NDArray[np.int64]:
    """For each square, find one of another split that it touches or overlaps, or −1.

    Two squares touch where their centres are, along neither axis, further apart than half the sum of their sides.

    Args:
        origins: (N, 2) upper left corners in px.
        sides: (N,) in px.
        splits: (N,) names.
    """
    centres = origins + sides[:, None] / 2
    partners = np.full(len(sides), -1, dtype=np.int64)
    for split in np.unique(splits):
        for side in np.unique(sides[splits == split]):
            theirs = np.flatnonzero((splits == split) & (sides == side))
            mine = np.flatnonzero((splits != split) & (partners < 0))
            reach = (sides + side) / 2
            bound = reach.max() + 1  # the tree leaves out what lies exactly at its bound
            tree = scipy.spatial.KDTree(centres[theirs])
            distance, nearest = tree.query(centres[mine], p=np.inf, distance_upper_bound=bound)
            touches = distance <= reach[mine]
            partners[mine[touches]] = theirs[np.asarray(nearest)[touches]]
    return partners
