"""Stores the finished parts of a cutting in a folder beside its output, so that it can be resumed.

Candidates, pictures and marks of finished slides are files, named after a fingerprint of all that shaped them: the
slide's and the annotation's size and time of change, and the settings. The tiles of all slides stand in one file, one
slide after the other, which becomes the TileSet's own: so each tile is written once.
"""

import contextlib
import json
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from hviskd.arrays import RGB
from hviskd.cutting.candidates import Candidates
from hviskd.errors import DataError
from hviskd.slides import TileGrid, TissueMask
from hviskd.slides.tissue_colour import Thresholds
from hviskd.storage import atomic_file, atomic_folder, read_json, write_json, write_text, writing_to
from hviskd.tiles.tileset import PIXELS_FILE
from hviskd.tiles.writing import write_header

_LOCK_FILE = ".lock"
_MADE_WITH_FILE = "made-with"
_APART_FOLDER = "apart"
_COPIED_AT_ONCE = 256  # tiles
PARTS_VERSION = 6  # higher whenever the same slide and settings would give other parts


def file_state(path: Path) -> list[object]:
    """Return what changes when a file does: its path, size and modification time."""
    state = path.stat()
    return [str(path.resolve()), state.st_size, state.st_mtime_ns]


class FinishedSlide(NamedTuple):
    """The record of a slide whose tiles are in the file.

    Attributes:
        first: Position of its first tile.
        digests: Of the tiles, in their order.
        notes: What a user should know about it.
    """

    first: int
    digests: tuple[str, ...]
    notes: tuple[str, ...]


class SlideParts:
    """Where the tiles, pictures and marks of finished slides go.

    Args:
        folder: The folder.
        tile_px: Side of the tiles.

    Attributes:
        folder: The folder.
        tiles: The tiles of all slides.
    """

    def __init__(self, folder: Path, tile_px: int) -> None:
        self.folder = folder
        self.tiles = TileFile(folder / PIXELS_FILE, tile_px)
        self._finished: set[str] = set()

    def writing(self) -> contextlib.AbstractContextManager[None]:
        """Let a full disk stop the cutting, since it is no fault of the slide and would fail the others too."""
        return writing_to(self.folder, "finished slides are kept: free some space, and repeat the command")

    def picture(self, key: str) -> Path:
        """Return the path of a slide's image."""
        return self.folder / f"{key}.png"

    def finish(self, key: str, digests: Sequence[str], notes: Sequence[str]) -> FinishedSlide:
        """Mark a slide as cut, whose tiles are in the file."""
        slide = FinishedSlide(self.tiles.count, tuple(digests), tuple(notes))
        with self.writing():
            self.tiles.keep(len(digests))
            write_json(self._mark(key), slide._asdict())
        self._finished.add(key)
        return slide

    def slide(self, key: str) -> FinishedSlide:
        """Return a finished slide.

        Raises:
            DataError: Its mark has been taken away or is damaged.
        """
        content = read_json(self._mark(key))
        try:
            return FinishedSlide(int(content["first"]), tuple(map(str, content["digests"])), tuple(content["notes"]))
        except (TypeError, KeyError, ValueError) as error:
            raise DataError(f"{self._mark(key)}: damaged; delete {self.folder} and cut again") from error

    def _mark(self, key: str) -> Path:
        return self.folder / f"{key}.json"


class Parts(SlideParts):
    """The folder of finished parts, `.parts-NAME` beside the output NAME; a context manager, for one cutting at a time.

    Args:
        output: Where the TileSet shall stand.
        tile_px: Side of its tiles.
        made_with: A fingerprint of the settings; only parts that were made with the same are gone on with.
        overwrite: Throw away parts that were made with others.

    Raises:
        DataError: There are parts that were made with other settings, and `overwrite` is not set; or another cutting
            is at work there.
    """

    def __init__(self, output: Path, *, tile_px: int, made_with: str, overwrite: bool) -> None:
        super().__init__(output.parent / f".parts-{output.name}", tile_px)
        self._tile_px = tile_px
        self._made_with = made_with
        self._overwrite = overwrite
        self._goes_on = False

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(FileLock(self.folder / _LOCK_FILE, timeout=0))
            except Timeout as error:
                raise DataError(
                    f"{self.folder}: another cutting is using this folder; wait for it, or stop it"
                ) from error
            left = [path for path in self.folder.iterdir() if path.name != _LOCK_FILE]
            self._goes_on = self._was_made_alike()
            if any(not path.name.startswith(".") for path in left) and not (self._goes_on or self._overwrite):
                raise DataError(
                    f"{self.folder}: contains an unfinished cutting with other settings; repeat those to continue it, "
                    "or pass `overwrite=True` to discard it"
                )
            if not self._goes_on:
                for path in left:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                with self.writing():
                    write_text(self.folder / _MADE_WITH_FILE, self._made_with)
            self._opened = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    def remove(self) -> None:
        """Delete the folder; the cutting is finished."""
        for path in self.folder.iterdir():
            if path.name != _LOCK_FILE:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        with contextlib.suppress(OSError):  # another cutting may just have come, and waits for its turn
            (self.folder / _LOCK_FILE).unlink()
            self.folder.rmdir()

    def _was_made_alike(self) -> bool:
        try:
            return (self.folder / _MADE_WITH_FILE).read_text(encoding="utf-8") == self._made_with
        except (OSError, UnicodeDecodeError):
            return False

    def candidates(self, key: str) -> Candidates | None:
        """Return a slide's candidates; None if there are none yet, or the file is damaged."""
        try:
            with np.load(self.folder / f"{key}.npz", allow_pickle=False) as stored:
                return _unpack(stored)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def keep_candidates(self, key: str, found: Candidates) -> None:
        """Store a slide's candidates."""
        path = self.folder / f"{key}.npz"
        with self.writing(), atomic_file(path) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **_pack(found))

    def finished(self, key: str, count: int) -> FinishedSlide | None:
        """Return a slide whose `count` tiles were cut before; None if it has to be cut now.

        Since all tiles are in one file, it goes on without a gap: from the first slide on that has to be cut, the file
        is written anew, and what was finished beyond is forgotten.
        """
        if not self._goes_on:
            return None
        with contextlib.suppress(DataError):  # there is no mark
            slide = self.slide(key)
            fits = (slide.first, len(slide.digests)) == (self.tiles.count, count) and self.tiles.has(count)
            if fits and self.picture(key).is_file():
                self.tiles.keep(count)
                self._finished.add(key)
                return slide
        for mark in self.folder.glob("*.json"):
            if mark.stem not in self._finished:
                mark.unlink()
        self._goes_on = False
        return None

    @contextlib.contextmanager
    def apart(self, key: str) -> Iterator[SlideParts]:
        """Yield parts for one slide alone, which another process cuts; they are whole or not there.

        They need no lock: of two processes that cut a slide, the last to finish replaces what is the same.
        """
        with atomic_folder(self._apart(key), overwrite=True) as partial:
            parts = SlideParts(partial, self._tile_px)
            with parts.tiles:
                yield parts

    def is_cut(self, key: str, count: int) -> bool:
        """Whether `count` tiles of a slide have been cut before, here or apart."""
        for parts in (self, SlideParts(self._apart(key), self._tile_px)):
            with contextlib.suppress(DataError):  # there is no mark
                if len(parts.slide(key).digests) == count:
                    return True
        return False

    def take(self, key: str, count: int) -> FinishedSlide | None:
        """Take the `count` tiles of a slide that was cut apart into the file; None if there are none."""
        apart = SlideParts(self._apart(key), self._tile_px)
        try:
            slide = apart.slide(key)
            if len(slide.digests) != count or not (apart.picture(key).is_file() and apart.tiles.path.is_file()):
                return None
            with self.writing():
                self.tiles.copy(apart.tiles.path, count)
                shutil.copyfile(apart.picture(key), self.picture(key))
        except (DataError, ValueError):  # there is no mark, or too few tiles
            return None
        slide = self.finish(key, slide.digests, slide.notes)
        shutil.rmtree(apart.folder, ignore_errors=True)
        return slide

    def _apart(self, key: str) -> Path:
        return self.folder / _APART_FOLDER / key


class TileFile:
    """A pixel file in the format of a TileSet, filled slide by slide, and within a slide in any order.

    It is a context manager: open within the block, and at its end without error cut off behind the tiles that stay.

    Args:
        path: The file; what is in it stays until it is overwritten.
        tile_px: Side of a tile.

    Attributes:
        count: How many tiles are there to stay.
    """

    def __init__(self, path: Path, tile_px: int) -> None:
        self.path = path
        self.count = 0
        self._tile_px = tile_px
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.path.touch()
        if self.path.stat().st_nlink > 1:  # a TileSet that a cutting ended with has the file too, and keeps it
            with atomic_file(self.path) as partial:
                shutil.copyfile(self.path, partial)
        self._stream = self.path.open("r+b", buffering=0)
        write_header(self._stream, 0, self._tile_px)
        self._start = self._stream.tell()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._stream.truncate(self._end(0))
        self._stream.close()

    def put(self, places: NDArray[np.int64], tiles: RGB) -> None:
        """Write tiles (n, tile_px, tile_px, 3) at places (n,) after the kept ones, runs of neighbours at once.

        Threads may do so at the same time.
        """
        runs = np.flatnonzero(np.diff(places) != 1) + 1
        for first, some in zip(places[np.r_[0, runs]].tolist(), np.split(tiles, runs), strict=True):
            left = np.ascontiguousarray(some).data.cast("B")
            with self._lock:
                self._stream.seek(self._end(first))
                while left:
                    left = left[self._stream.write(left) :]

    def copy(self, other: Path, count: int) -> None:
        """Write the `count` tiles of another such file after the kept ones.

        Raises:
            ValueError: It has fewer.
        """
        for first in range(0, count, _COPIED_AT_ONCE):
            some = min(_COPIED_AT_ONCE, count - first)
            shape, offset = (some, self._tile_px, self._tile_px, 3), self._start + first * 3 * self._tile_px**2
            self.put(np.arange(first, first + some), np.memmap(other, np.uint8, "r", offset, shape))

    def has(self, more: int) -> bool:
        """Return whether the file is long enough for so many tiles after the kept ones."""
        return os.fstat(self._stream.fileno()).st_size >= self._end(more)

    def keep(self, more: int) -> None:
        """Keep so many more tiles, flushed to disk."""
        os.fsync(self._stream.fileno())
        self.count += more

    def _end(self, more: int) -> int:
        return self._start + (self.count + more) * 3 * self._tile_px**2


def _pack(found: Candidates) -> dict[str, NDArray[Any]]:
    """Store candidates in arrays: numbers unchanged, the rest as JSON."""
    mask = found.tissue
    facts = {
        "unlabelled": found.unlabelled,
        "grid": asdict(found.grid),
        "mpp": found.mpp,
        "icc": found.icc,
        "notes": found.notes,
        "seen_at": {"cell_px": mask.cell_px, "mpp": mask.mpp, "thresholds": mask.thresholds},
    }
    return {
        "x_px": found.x_px,
        "y_px": found.y_px,
        "label": found.label,
        "impure": found.impure,
        "thin": found.thin,
        "tissue": mask.tissue,
        "ink": mask.ink,
        "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
    }


def _unpack(stored: Mapping[str, NDArray[Any]]) -> Candidates:
    facts = json.loads(stored["facts"].tobytes())
    seen_at = facts.pop("seen_at")
    seen_at["thresholds"] = Thresholds(*seen_at["thresholds"])
    facts["grid"], facts["notes"] = TileGrid(**facts["grid"]), tuple(facts["notes"])
    tissue = TissueMask(tissue=stored["tissue"], ink=stored["ink"], **seen_at)
    return Candidates(
        x_px=stored["x_px"],
        y_px=stored["y_px"],
        label=stored["label"],
        impure=stored["impure"],
        thin=stored["thin"],
        tissue=tissue,
        **facts,
    )
