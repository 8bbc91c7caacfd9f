"""What the folders of an image data set stand for: splits under any usual name, layouts given by users, BreakHis."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hviskd.errors import DataError
from hviskd.tiles.rows import TileSource

LEFT_BY_SYSTEMS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")

_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_SPLITS |= dict.fromkeys(("val", "valid", "validation"), "val")
_BESIDE_SPLIT = re.compile(r"[ _-]*(set|split|data|folder|images|imgs|pictures|tiles|patches)$")
_LEVELS = ("split", "class", "patient", "slide", "*")
# Spanhol et al. 2016: procedure, B or M, type, year, slide, magnification, number; SOB_B_A-14-22549AB-40-001.png
_BREAKHIS = re.compile(r"SOB_([BM])_[A-Z]+-(\d\d-(\d+)[A-Z]*)-(40|100|200|400)-\d+\.", re.IGNORECASE)


def split_of(name: str) -> str | None:
    """Return the split that a folder name stands for, for example train for `Training_set`; None if it is not one."""
    name = name.lower()
    return _SPLITS.get(name) or _SPLITS.get(_BESIDE_SPLIT.sub("", name))


class Place(NamedTuple):
    """What the folders above an image tell about it."""

    class_name: str
    split: str | None
    source: TileSource


@dataclass(frozen=True)
class Layout:
    """What each level of folders stands for, from the imported folder downwards.

    Words separated by `/`: `split`, `class`, `patient`, `slide`, `*` for any folder without a meaning, and any other
    word for the only folder to be used. Folders further down have no meaning.

    Raises:
        DataError: It names no class, or something twice.
    """

    text: str

    def __post_init__(self) -> None:
        """Reject a layout without a class."""
        named = [level for level in self.levels if level in _LEVELS[:-1]]
        if named.count("class") != 1 or len(set(named)) < len(named):
            raise DataError(
                f"`layout={self.text!r}`: must name `class` once, and split, patient and slide at most once, such as "
                "patient/class"
            )

    @property
    def levels(self) -> tuple[str, ...]:
        """The words, from the top."""
        return tuple(level.strip() for level in self.text.strip("/").split("/"))

    def __str__(self) -> str:
        return self.text

    def place(self, folders: Sequence[str]) -> Place | None:
        """Return what the folders above an image tell about it; None if the layout does not describe them."""
        if len(folders) < len(self.levels):
            return None
        told: dict[str, str] = {}
        for level, name in zip(self.levels, folders, strict=False):
            if level in _LEVELS:
                told[level] = name
            elif level != name:
                return None
        return Place(told["class"], told.get("split"), TileSource(told.get("slide"), told.get("patient")))


def example_of(inside: Sequence[str], beside: Sequence[Sequence[str]]) -> str:
    """Return the layout that two levels of folders look like.

    Args:
        inside: Names of the folders in one folder of the upper level.
        beside: The same of the other folders of that level.
    """
    if all(split_of(name) for name in inside):
        return "class/split"
    repeated = any(len(set(inside) & set(names)) > 1 for names in beside)
    return "patient/class" if repeated else "class/patient"


class BreakHisPlace(NamedTuple):
    """What a file name of BreakHis tells."""

    class_name: str
    magnification: str
    source: TileSource


def breakhis_place(name: str) -> BreakHisPlace | None:
    """Parse a file name of the BreakHis data set; None if it is not one.

    Slides whose numbers differ only in the letters at the end count as one patient's.
    """
    if not (found := _BREAKHIS.match(name)):
        return None
    kind, slide, number, magnification = found.groups()
    class_name = "benign" if kind.upper() == "B" else "malignant"
    return BreakHisPlace(class_name, f"{magnification}X", TileSource(slide=slide, patient=f"{slide[:2]}-{number}"))
