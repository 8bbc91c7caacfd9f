"""Finds the slides in folders, each once, and notes what was skipped."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hviskd.errors import DataError
from hviskd.file_names import FLAT_SUFFIXES, MASK_ENDINGS, WHOLE_SLIDE_SUFFIXES, Paths, list_paths, slide_names
from hviskd.slides.dicom_files import one_of_each_series
from hviskd.slides.foreign import foreign_notes, is_foreign
from hviskd.slides.remote_path import RemotePath, as_remote
from hviskd.version import DRAWN_BY

_RESULTS = ("map.npz", "tileset.json")  # mark a folder of images as written by hviskd
_SHOWN_NAMES = 3


class FoundSlides(list[Path]):
    """Slides among files and in folders.

    Attributes:
        notes: What was found and is not used, a sentence for each kind.
    """

    def __init__(self, paths: Iterable[Path] = (), notes: Sequence[str] = ()) -> None:
        super().__init__(paths)
        self.notes = tuple(notes)


def find_slides(paths: Paths, *, recursive: bool = False) -> FoundSlides:
    """List the slides among files and in folders, each once, sorted within a folder.

    Files are taken unchanged; in a folder, files with a slide's suffix count, except hidden files, colour masks
    beside their slides (`STEM_L.png`), figures, and the maps and tiles of earlier runs. The DICOM files of a series
    are one slide. The `notes` of the result list what looks like a slide but is not used.

    Raises:
        DataError: A path does not exist, or a folder contains no slides.
    """
    found: list[Path] = []
    foreign: list[Path] = []
    notes: list[str] = []
    for path in list_paths(paths):
        if (remote := as_remote(path)) is not None:
            inside = _on_server(remote, recursive)
            found += inside.slides
            notes += inside.notes
        elif path.is_dir() and not is_foreign(path):
            inside = _slides_in(path, recursive)
            if not inside.slides:
                deeper = "" if recursive else " (subfolders were not searched; pass `recursive=True`)"
                others = "".join(f"; {note}" for note in (*inside.notes, *foreign_notes(inside.foreign)))
                raise DataError(f"{path}: contains no slides{deeper}{others}")
            found += inside.slides
            foreign += inside.foreign
            notes += inside.notes
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path}: no such file or folder")
    once, links = each_once(found)
    return FoundSlides(once, [*foreign_notes(dict.fromkeys(foreign)), *notes, *links])


def each_once(paths: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Skip further links to the same file, with a note."""
    once: dict[object, Path] = {}
    links: dict[Path, Path] = {}
    for path in paths:
        first = once.setdefault(_identity(path), path)
        if os.path.abspath(first) != os.path.abspath(path):  # noqa: PTH100 - of a link, where it stands itself
            links[path] = first
    notes = [f"{path} leads to the same file as {first}, which is used once" for path, first in links.items()]
    more = len(notes) - _SHOWN_NAMES
    return list(once.values()), notes[:_SHOWN_NAMES] + [f"and so do {more:,} more"] * (more > 0)


def _identity(path: Path) -> object:
    try:
        stat = path.stat()
    except OSError:  # it will say so itself when it is opened
        return path.resolve()
    return (stat.st_dev, stat.st_ino) if stat.st_nlink > 1 and path.is_file() else path.resolve()


class _Inside:
    """What a folder contains: slides, slides in unsupported formats, and notes on the rest."""

    def __init__(self) -> None:
        self.slides: list[Path] = []
        self.foreign: list[Path] = []
        self.notes: list[str] = []


def _slides_in(folder: Path, recursive: bool) -> _Inside:
    inside = _Inside()
    dicom: dict[Path, list[Path]] = {}
    for path in sorted(_walk(folder, recursive)):
        suffix = path.suffix.lower()
        if is_foreign(path):
            inside.foreign.append(path)
        elif suffix not in WHOLE_SLIDE_SUFFIXES + FLAT_SUFFIXES or path.is_dir():
            continue
        elif suffix == ".dcm":
            dicom.setdefault(path.parent, []).append(path)
        else:
            inside.slides.append(path)
    for files in dicom.values():
        slides, left_out = one_of_each_series(files)
        inside.slides += slides
        if left_out:
            inside.notes.append(
                f"{files[0].parent}: {left_out:,} DICOM files hold no scan of a slide (but annotations or labels), "
                "and are no slides"
            )
    inside.slides.sort()
    results = {path for path in {path.parent for path in inside.slides} if any((path / r).exists() for r in _RESULTS)}
    stems = {str(path.with_name(name)) for path in inside.slides for name in slide_names(path)}
    inside.slides = [
        path for path in inside.slides if path.parent not in results and not (_is_mask(path, stems) or _is_drawn(path))
    ]
    return inside


def _on_server(path: RemotePath, recursive: bool) -> _Inside:
    """Return the slide of a URL that is named like one; else those in the folder. Files in parts are left out."""
    inside = _Inside()
    if path.suffix.lower() in WHOLE_SLIDE_SUFFIXES + FLAT_SUFFIXES:
        inside.slides.append(path)
        return inside
    from hviskd.slides.remote_files import list_folder

    named = [
        file
        for file in list_folder(path, recursive=recursive)
        if file.suffix.lower() in WHOLE_SLIDE_SUFFIXES + FLAT_SUFFIXES
    ]
    stems = {str(file.with_name(name)) for file in named for name in slide_names(file)}
    inside.slides += [file for file in named if not file.in_parts and not _is_mask(file, stems)]
    in_parts = sum(file.in_parts for file in named)
    if in_parts:
        inside.notes.append(
            f"{path}: files of slides that consist of several are not read from servers: {in_parts:,} of .mrxs, .dcm, …"
        )
    if not inside.slides:
        deeper = "" if recursive else " (subfolders were not searched; pass `recursive=True`)"
        raise DataError(f"{path}: contains no slides{deeper}{''.join(f'; {note}' for note in inside.notes)}")
    return inside


def _walk(folder: Path, recursive: bool, entered: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Yield what is in a folder but hidden files; of a slide that is a folder, not what is in it.

    Links to folders are followed, but not back into one of those `entered` on the way.
    """
    entered |= {folder.resolve()}
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        yield path
        if recursive and path.is_dir() and not is_foreign(path) and path.resolve() not in entered:
            with contextlib.suppress(PermissionError):  # such as lost+found
                yield from _walk(path, recursive, entered)


def _is_drawn(path: Path) -> bool:
    """Return whether an image is a figure drawn by hviskd, from its first bytes."""
    if path.suffix.lower() != ".png" or not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            return f"Software\0{DRAWN_BY}".encode() in stream.read(512)
    except OSError:  # it will say so itself when it is opened
        return False


def _is_mask(path: Path, stems: set[str]) -> bool:
    """Return whether an image is named as the mask of one of the slides (all paths they go by)."""
    stem = str(path.with_suffix(""))
    named = any(stem.endswith(ending) and stem.removesuffix(ending) in stems for ending in MASK_ENDINGS)
    return named and path.suffix.lower() in FLAT_SUFFIXES
