"""Naming conventions of slides, masks, outlines and folders on disk."""

import json
import mmap
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Literal, TypeAlias

from hviskd.errors import DataError

WHOLE_SLIDE_SUFFIXES = (
    *(".svs", ".svslide", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".czi", ".dcm"),
    *(".btf", ".tf2", ".tf8"),  # BigTIFF, as Bio-Formats calls it
)
FLAT_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
PICTURE_SUFFIXES = (*FLAT_SUFFIXES, ".webp")  # of tiles
OUTLINE_SUFFIXES = (".geojson", ".json", ".xml", ".annotations", ".ndpa", ".dcm")
MASK_ENDINGS = ("_L", "_mask", "-mask")  # the mask of STEM is STEM_L, as in the Ivy atlas, or one of the others


def safe_name(name: str, longest: int = 80) -> str:
    """Turn any name into part of a file name: letters, digits, `_`, `.` and `-`; empty if nothing remains."""
    return re.sub(r"[^\w.-]+", "-", name)[:longest].strip(".-")


AnnotationKind = Literal["masks", "outlines"]
_Names = tuple[tuple[str, tuple[str, ...]], ...]  # what stands between a slide's stem and which suffixes
_MASKS: tuple[_Names, ...] = (tuple((end, FLAT_SUFFIXES) for end in MASK_ENDINGS), (("", FLAT_SUFFIXES),))
_OUTLINES: tuple[_Names, ...] = ((("", OUTLINE_SUFFIXES),),)
# The more telling names come first: a plain picture counts where there is nothing else.
_NAMES: dict[AnnotationKind | None, tuple[_Names, ...]] = {
    "masks": _MASKS,
    "outlines": _OUTLINES,
    None: (_OUTLINES[0] + _MASKS[0], _MASKS[1]),
}


Paths: TypeAlias = Path | str | Sequence[Path | str]


def list_paths(paths: Paths) -> list[Path]:
    """Return one path or several, each a `str` or a `Path`, as a list."""
    return [Path(path) for path in ([paths] if isinstance(paths, Path | str) else paths)]


def as_given(said: str, places: Iterable[Path | str]) -> str:
    """Return what a process that was given absolute paths said, with each place spelled as the user gave it."""
    for place in places:
        said = said.replace(str(Path(place).absolute()), str(place))
    return said


def slide_names(slide: Path) -> tuple[str, ...]:
    """Return the names by which a table or an annotation may identify a slide: S1.ome.tif, S1.ome and S1."""
    names = [slide.name, slide.stem]
    if slide.stem.lower().endswith(".ome"):
        names.append(slide.stem[: -len(".ome")])
    return tuple(dict.fromkeys(names))


def qc_folder(tileset: Path | str) -> Path:
    """Return the folder of images and report beside a TileSet that was cut from slides: `tiles` → `tiles-qc`."""
    folder = Path(tileset).resolve()
    return folder.with_name(f"{folder.name}-qc")


class AnnotationFolder:
    """A folder with one mask (`STEM_L.jpg`, `STEM.tif`, …) or outline file (`STEM.geojson`, `STEM.xml`, …) per slide.

    STEM may keep the slide's suffix (`S1.svs.geojson`), and need not have its `.ome`. A slide that has no file by its
    name is looked for in the COCO files of the folder, which hold many.

    Args:
        folder: Where they lie; its subfolders are not searched. Or one COCO file.
        kind: Look for colour `masks` or for `outlines` (of QuPath, Labelme and others) alone; by default whichever a
            slide has.

    Raises:
        DataError: There is no such folder, or no such kind.
    """

    def __init__(self, folder: Path | str, kind: AnnotationKind | None = None) -> None:
        self.folder = Path(folder)
        self.kind = kind
        self._word = "mask" if kind == "masks" else "annotation"
        if not self.folder.is_dir() and not is_of_many(self.folder):
            raise DataError(f"{folder}: no such folder")
        if kind not in _NAMES:
            raise DataError(f"`kind={kind!r}`: must be masks or outlines")
        self._files: dict[str, list[Path]] = {}
        for path in sorted(self.folder.iterdir() if self.folder.is_dir() else ()):
            if path.suffix.lower() in FLAT_SUFFIXES + OUTLINE_SUFFIXES and not path.name.startswith("."):
                self._files.setdefault(path.stem, []).append(path)

    def of(self, slide: Path) -> Path:
        """Return the annotation of a slide.

        Raises:
            DataError: There is none, or more than one that fits equally well.
        """
        if (found := self.find(slide)) is not None:
            return found
        wanted = [
            slide.stem + ending + suffix
            for names in _NAMES[self.kind]
            for ending, suffixes in names
            for suffix in (suffixes[:3] if suffixes == OUTLINE_SUFFIXES else (".png",))
        ]
        raise DataError(f"{slide}: has no {self._word} in {self.folder}; name it {' or '.join(wanted)}")

    def find(self, slide: Path) -> Path | None:
        """Return the annotation of a slide; None if there is none.

        Raises:
            DataError: There is more than one that fits equally well.
        """
        called = slide_names(slide)
        for names, stems in product(_NAMES[self.kind], (called[:2], called[2:])):  # without `.ome` only for lack of it
            found = [
                path
                for stem, (ending, suffixes) in product(stems, names)
                for path in self._files.get(stem + ending, [])
                if path.suffix.lower() in suffixes and path.resolve() != slide.resolve()
            ]
            if len(found) > 1:
                kinds = {path.suffix.lower() in OUTLINE_SUFFIXES for path in found}
                choice = ", or choose `masks` or `outlines`" if len(kinds) > 1 else ""
                listed = " and ".join(path.name for path in found)
                raise DataError(
                    f"{slide}: has several {self._word}s in {self.folder} ({listed}); keep only one{choice}"
                )
            if found:
                return found[0]
        return None if self.kind == "masks" else self._shared_by(called)

    @cached_property
    def _shared(self) -> list[Path]:
        """The COCO files: the one that was given, or those in the folder."""
        if self.folder.is_file():
            return [self.folder]
        return [path for files in self._files.values() for path in files if is_of_many(path)]

    def _shared_by(self, called: tuple[str, ...]) -> Path | None:
        """Return the COCO file that names a slide; the only one if none does, so that reading it says so."""
        if len(self._shared) < 2:
            return self._shared[0] if self._shared else None
        found = [path for path in self._shared if _mentions(path, called)]
        if len(found) > 1:
            listed = " and ".join(path.name for path in found)
            raise DataError(f"{called[0]}: is named in several files of {self.folder} ({listed}); keep only one")
        return found[0] if found else None


def is_of_many(path: Path) -> bool:
    """Return whether a file is a COCO data set, which holds the outlines of many images."""
    if path.suffix.lower() != ".json" or not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return all(content.find(key) >= 0 for key in (b'"images"', b'"annotations"', b'"categories"'))


def _mentions(path: Path, called: tuple[str, ...]) -> bool:
    """Return whether a JSON file has one of some names, alone, after a folder or before a suffix."""
    written = {form for name in called for form in (name, json.dumps(name)[1:-1])}
    pattern = rb"[\"/\\](?:%s)[\".]" % b"|".join(re.escape(form.encode(errors="replace")) for form in sorted(written))
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return re.search(pattern, content) is not None
