"""Keeps what a cutting has finished in a folder beside its output, so that it can go on after a kill.

Each part is one file, named after a fingerprint of all that shaped it: the slide's and the annotation's size and time
of change, and the settings. A part that fits is used again, one that does not is never looked at.
"""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hviskd.errors import DataError
from hviskd.slides import TissueMask
from hviskd.slides.tissue_colour import Thresholds
from hviskd.storage import atomic_file, read_json, write_json
from hviskd.tiles.candidates import Candidates, Grid

RGB = NDArray[np.uint8]

_PARTS_VERSION = 1  # higher whenever the same slide and settings would give other parts
_READ_BYTES = 16 * 2**20


def fingerprint(*content: object) -> str:
    """Give 32 hexadecimal digits that stand for what JSON can hold."""
    text = json.dumps([_PARTS_VERSION, *content], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def file_state(path: Path) -> list[object]:
    """Give what changes when a file does: its place, size and time of change."""
    state = path.stat()
    return [str(path.resolve()), state.st_size, state.st_mtime_ns]


class Parts:
    """The folder of finished parts, `.parts-NAME` beside the output NAME.

    Args:
        output: Where the TileSet shall stand.
        resume: Go on with the parts that are there.
        overwrite: Throw away the parts that are there, unless `resume` is set.

    Raises:
        DataError: There are parts of an interrupted cutting, and neither is set.
    """

    def __init__(self, output: Path, *, resume: bool, overwrite: bool) -> None:
        self.folder = output.parent / f".parts-{output.name}"
        if self.folder.is_dir() and any(self.folder.iterdir()) and not resume:
            if not overwrite:
                raise DataError(
                    f"{self.folder}: holds an unfinished cutting; pass --resume to go on or --overwrite to start anew"
                )
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def remove(self) -> None:
        """Delete the folder; the cutting is finished."""
        shutil.rmtree(self.folder)

    def picture(self, key: str) -> Path:
        """Give the place of a slide's picture."""
        return self.folder / f"{key}.png"

    def candidates(self, key: str) -> Candidates | None:
        """Give a slide's candidates; None where there are none yet, or the file is damaged."""
        try:
            with np.load(self.folder / f"{key}.npz", allow_pickle=False) as stored:
                return _unpack(stored)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def keep_candidates(self, key: str, found: Candidates) -> None:
        """Store a slide's candidates."""
        with atomic_file(self.folder / f"{key}.npz") as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **_pack(found))

    def finish(self, key: str, notes: Sequence[str]) -> None:
        """Mark a slide as cut, with what a user should know about it."""
        write_json(self.folder / f"{key}.json", list(notes))

    def finished(self, key: str, count: int, tile_px: int) -> tuple[str, ...] | None:
        """Give the notes of a slide whose tiles and picture are there; None where it has to be cut."""
        mark, tiles = self.folder / f"{key}.json", self._tiles(key)
        if not (mark.is_file() and self.picture(key).is_file() and tiles.is_file()):
            return None
        if tiles.stat().st_size != count * 3 * tile_px**2:
            return None
        return tuple(map(str, read_json(mark)))

    @contextmanager
    def keep_tiles(self, key: str, tile_px: int) -> Iterator["TileFile"]:
        """Store a slide's tiles: give where to put them; the part counts from the end of the block on."""
        with atomic_file(self._tiles(key)) as partial, partial.open("wb", buffering=0) as stream:
            yield TileFile(stream, tile_px)

    def tiles(self, key: str, count: int, tile_px: int) -> Iterator[RGB]:
        """Give a slide's tiles one by one, uint8 (tile_px, tile_px, 3).

        Raises:
            DataError: The part is not complete.
        """
        if self.finished(key, count, tile_px) is None:
            raise DataError(f"{self._tiles(key)}: missing or cut short; cut again with --resume")
        shape = (tile_px, tile_px, 3)
        at_once = max(1, _READ_BYTES // (3 * tile_px**2))
        with self._tiles(key).open("rb") as stream:  # not mapped: mapped pages would count as this process's memory
            for first in range(0, count, at_once):
                number = min(at_once, count - first)
                yield from np.fromfile(stream, np.uint8, number * 3 * tile_px**2).reshape(number, *shape)

    def _tiles(self, key: str) -> Path:
        return self.folder / f"{key}.tiles"


class TileFile:
    """A file of tiles that may be put down in any order."""

    def __init__(self, stream: BinaryIO, tile_px: int) -> None:
        self._stream = stream
        self._bytes = 3 * tile_px**2

    def put(self, places: NDArray[np.int64], tiles: RGB) -> None:
        """Put tiles (n, tile_px, tile_px, 3) at their places (n,), runs of neighbours in one go."""
        runs = np.flatnonzero(np.diff(places) != 1) + 1
        for first, some in zip(places[np.r_[0, runs]].tolist(), np.split(tiles, runs), strict=True):
            self._stream.seek(first * self._bytes)
            left = np.ascontiguousarray(some).data.cast("B")
            while left:
                left = left[self._stream.write(left) :]


def _pack(found: Candidates) -> dict[str, NDArray[Any]]:
    """Put candidates into arrays: numbers as they are, the rest as JSON."""
    mask = found.tissue
    facts = {
        "unlabelled": found.unlabelled,
        "grid": asdict(found.grid),
        "mpp": found.mpp,
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
    facts["grid"], facts["notes"] = Grid(**facts["grid"]), tuple(facts["notes"])
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
