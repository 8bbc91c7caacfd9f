"""Reads and saves what is drawn in the viewer, so that nothing is lost between two who draw or to another program.

A file's revision is the digest of its content: whoever saves says which one they changed, and is refused where the
file is another by now. A file that another program wrote is kept under a second name before it is first replaced.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hviskd.annotations import Outlines, read_annotation, write_geojson
from hviskd.claims import Claims
from hviskd.errors import DataError, HviskdError
from hviskd.slide_frame import SlideFrame
from hviskd.storage import writing_to

NOTHING = "none"  # the revision of a file that is not there
_CLAIMS = ".hviskd-drawing"
_ADVICE = "free space, allow writing there, or give another folder as `annotations`"


class Drawing(NamedTuple):
    """What a file holds.

    Attributes:
        path: The file.
        revision: Of its content.
        outlines: In level-0 px.
    """

    path: Path
    revision: str
    outlines: Outlines


class Saved(NamedTuple):
    """What became of a save.

    Attributes:
        revision: Of the file now.
        kept: Where another program's file was kept, if one was replaced; else None.
    """

    revision: str
    kept: Path | None


class ChangedMeanwhileError(HviskdError):
    """The file is not the one that was changed."""


class DrawingFiles:
    """Reads and saves; for any number of threads, and beside other viewers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: set[str] = set()  # revisions that were written here

    def read(self, path: Path, frame: SlideFrame) -> Drawing:
        """Return what a file holds; nothing where there is none.

        Raises:
            DataError: It is damaged, does not fit the slide, or is no file of outlines.
        """
        for _ in range(3):
            revision = revision_of(path)
            if revision == NOTHING:
                return Drawing(path, NOTHING, Outlines(classes=(), size=frame.size, source=path, regions=()))
            with suppress(FileNotFoundError):
                outlines = read_annotation(path, frame=frame)
                if revision_of(path) == revision:
                    if not isinstance(outlines, Outlines):
                        raise DataError(f"{path}: is a mask, whose outlines cannot be changed here")
                    return Drawing(path, revision, outlines)
        raise DataError(f"{path}: is being changed by another program; try again")

    def save(self, changed: Drawing, frame: SlideFrame) -> Saved:
        """Replace a file in one step; `changed` holds the revision that was changed.

        Raises:
            ChangedMeanwhileError: The file has another revision.
            OutputError: It cannot be written.
        """
        path = changed.path
        with writing_to(path, _ADVICE):
            path.parent.mkdir(exist_ok=True)
            with self._alone(path):
                there = revision_of(path)
                if there != changed.revision:
                    raise ChangedMeanwhileError(f"{path}: was changed by someone else meanwhile")
                kept = None if there == NOTHING or self._is_ours(path, there, frame) else _keep(path)
                write_geojson(changed.outlines, path, frame=frame)
                revision = revision_of(path)
                self._own.add(revision)
        return Saved(revision, kept)

    def save_copy(self, drawing: Drawing, frame: SlideFrame) -> Path:
        """Save beside a file, under a name that is free, and return it.

        Raises:
            OutputError: It cannot be written.
        """
        with writing_to(drawing.path, _ADVICE), self._alone(drawing.path):
            copy = _free(drawing.path, "copy")
            return write_geojson(drawing.outlines, copy, frame=frame)

    @contextmanager
    def _alone(self, path: Path) -> Iterator[None]:
        """Let no other thread or viewer save a file during a block; where there are no locks, no other thread."""
        with self._lock, Claims(path.parent / _CLAIMS) as claims, claims.holding(path.name):
            yield

    def _is_ours(self, path: Path, revision: str, frame: SlideFrame) -> bool:
        """Return whether nothing of a file is lost when it is replaced: written again, it would be the same."""
        if revision in self._own:
            return True
        try:
            outlines = self.read(path, frame).outlines
        except DataError:
            return False
        with TemporaryDirectory() as folder:
            again = write_geojson(outlines, Path(folder) / path.name, frame=frame)
            return revision_of(again) == revision


def revision_of(path: Path) -> str:
    """Return the revision of a file."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except FileNotFoundError:
        return NOTHING


def _keep(path: Path) -> Path:
    """Keep a file as it is under another name."""
    kept = _free(path, "original")
    kept.write_bytes(path.read_bytes())
    return kept


def _free(path: Path, word: str) -> Path:
    number = 1
    while (free := path.with_name(f"{path.stem}-{word}{'' if number == 1 else f'-{number}'}{path.suffix}")).exists():
        number += 1
    return free
