"""What a running `segment_cohort` has done so far, in one small file of its output folder, for the viewer to show.

Each process has a file of its own, which is replaced in one step about once a second and removed at the end. The
process holds a claim on it as long as it runs: whoever finds a file that nobody claims knows that its process was
killed.
"""

import base64
import math
import os
import socket
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from hviskd.arrays import NO_CLASS_BYTE, Floats32, Ints
from hviskd.claims import Claims, is_claimed
from hviskd.errors import DataError
from hviskd.models import ModelCard
from hviskd.segmentation.outcomes import SlideOutcome, writable
from hviskd.segmentation.preparing import PreparedSlide
from hviskd.segmentation.segmenting import Classified
from hviskd.slides import TileGrid
from hviskd.storage import read_json

_NAME = ".progress-{}.json"
_EVERY_S = 1.0
_REST = 300  # times as long as a writing took, the next one waits: a third of a percent
_RECENT_S = 300.0  # where nobody can tell whether its process is there, an older file counts as left behind


class LiveRow(BaseModel):
    """A slide of the cohort: name, what stands for its place, folder of its map, state, and why it failed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slide: str
    place: str
    folder: str
    state: Literal["waiting", "done", "kept", "failed"] = "waiting"
    problem: str = ""


class LiveSlide(BaseModel):
    """The slide that is being classified.

    Attributes:
        place: Of its row.
        done: Tiles so far; what is looked at closely after a first pass counts once.
        tiles: All of them.
        seconds: Since the first was asked for.
        rows: Of the class grid.
        columns: Of the class grid.
        cell_px: Side of a cell in level-0 px.
        cell_um: The same in µm.
        cells: The class of each cell, 255 where there is none yet; zlib, base64.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    place: str
    done: int
    tiles: int
    seconds: float
    rows: int
    columns: int
    cell_px: float
    cell_um: float
    cells: str

    def grid(self) -> NDArray[np.uint8]:
        """Return the class grid, uint8 (rows, columns).

        Raises:
            DataError: It is damaged.
        """
        try:
            most = max(1, self.rows * self.columns)  # 0 would bound nothing
            cells = zlib.decompressobj().decompress(base64.b64decode(self.cells), most)
            return np.frombuffer(cells, np.uint8).reshape(self.rows, self.columns)
        except (ValueError, zlib.error) as error:
            raise DataError(f"cells of {self.place}: damaged ({error})") from error


class LiveState(BaseModel):
    """The content of the file.

    Attributes:
        model: The Model's name.
        classes: Its classes.
        colours: Their colours.
        slides: The cohort.
        now: What is being classified, if anything is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = 1
    model: str
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    slides: tuple[LiveRow, ...]
    now: LiveSlide | None = None


class LiveFile:
    """Writes what was done so far; what cannot be written is left out, for a map does not depend on it.

    Args:
        folder: Output folder of the cohort.
        claims: Of the process.
        card: Of the Model.
        rows: The slides, in their order.
    """

    def __init__(self, folder: Path, claims: Claims, card: ModelCard, rows: Sequence[LiveRow]) -> None:
        self._claims, self._card = claims, card
        self._rows = {row.folder: row for row in rows}
        self._path = folder / _NAME.format(f"{socket.gethostname()[:60]}-{os.getpid()}-{threading.get_ident()}")
        self._now: _Classifying | None = None
        self._next_s = math.inf  # nothing is written before it is shown
        self._lock = threading.Lock()

    @contextmanager
    def shown(self) -> Iterator["LiveFile"]:
        """Keep the file during a block, and remove those of processes that were killed."""
        for path, _ in _files(self._path.parent):
            if path != self._path and is_claimed(self._claims.folder, path.name) is False:
                _remove(path)
        self._claims.take(self._path.name)
        self._next_s = 0.0
        try:
            self._write()
            yield self
        finally:
            _remove(self._path)
            self._claims.release(self._path.name)

    def begin(self, place: str, prepared: PreparedSlide) -> Classified:
        """Tell which slide is classified now, and return what is to be called with each batch of it."""
        now = self._now = _Classifying(place, prepared)

        def classified(places: Ints, probabilities: Floats32) -> None:
            now.add(places, probabilities)
            self._write()

        self._write()
        return classified

    def finished(self, outcome: SlideOutcome) -> None:
        """Tell what became of a slide."""
        row = self._rows[writable(outcome.folder.name)]
        with self._lock:
            told = {"state": outcome.state, "problem": outcome.problem.replace(str(outcome.slide), row.slide)}
            self._rows[row.folder] = row.model_copy(update=told)
            if self._now is not None and self._now.place == row.place:
                self._now = None
        self._write()

    def _write(self) -> None:
        """Replace the file, unless that was done a moment ago: the next batch does it then."""
        with self._lock:
            began = time.monotonic()
            if began < self._next_s:
                return
            now = None if self._now is None else self._now.told()
            card, rows = self._card, tuple(self._rows.values())
            state = LiveState(model=card.name, classes=card.classes, colours=card.colours, slides=rows, now=now)
            partial = _partial(self._path)
            with suppress(OSError):  # unlike maps it is not flushed to the disk, for nobody needs it after a crash
                partial.write_text(state.model_dump_json(), encoding="utf-8", errors="replace")
                partial.replace(self._path)
            took = time.monotonic() - began
            self._next_s = began + max(_EVERY_S, _REST * took)


class _Classifying:
    """A class grid that fills."""

    def __init__(self, place: str, prepared: PreparedSlide) -> None:
        request, slide = prepared.request, prepared.slide
        grid = TileGrid.over(
            slide.size, slide.mpp, tile_px=request.card.tile_px, mpp=request.mpp, stride_px=request.stride_px
        )
        self.place = place
        self._row, self._column = prepared.row, prepared.column
        self._cell_px, self._mpp = grid.stride0_px, slide.mpp
        self._cells = np.full(grid.cells, NO_CLASS_BYTE, np.uint8)
        self._reach = grid.cells[0] - grid.rows + 1  # cells that a tile covers in either direction
        self._done, self._began = 0, time.monotonic()

    def add(self, places: Ints, probabilities: Floats32) -> None:
        best = probabilities.argmax(axis=1).astype(np.uint8)
        row, column = self._row[places], self._column[places]
        for down in range(self._reach):
            for across in range(self._reach):
                self._cells[row + down, column + across] = best
        self._done = min(self._done + len(places), len(self._row))  # a second look at a tile is none more

    def told(self) -> LiveSlide:
        rows, columns = self._cells.shape
        return LiveSlide(
            place=self.place,
            done=self._done,
            tiles=len(self._row),
            seconds=time.monotonic() - self._began,
            rows=rows,
            columns=columns,
            cell_px=self._cell_px,
            cell_um=self._cell_px * self._mpp,
            cells=base64.b64encode(zlib.compress(self._cells.tobytes(), 1)).decode(),
        )


def live_states(folder: Path, claims: Path) -> list[LiveState]:
    """Return what the processes at work in a cohort's folder have done so far; those that were killed are left out.

    Args:
        folder: Output folder of the cohort.
        claims: Where its processes hold their claims.
    """
    found = []
    for path, changed in _files(folder):
        held = is_claimed(claims, path.name)
        if held is None:
            held = time.time() - changed < _RECENT_S
        if held:
            with suppress(DataError, ValidationError, OSError):
                found.append(LiveState.model_validate(read_json(path)))
    return found


def _partial(path: Path) -> Path:
    return path.with_name(f".partial-{path.name}")


def _remove(path: Path) -> None:
    """Remove a file, and what was not yet to replace it, where that is allowed: one may be another user's."""
    for each in (path, _partial(path)):
        with suppress(OSError):
            each.unlink(missing_ok=True)


def _files(folder: Path) -> list[tuple[Path, float]]:
    found = []
    with suppress(OSError):
        for path in sorted(folder.glob(_NAME.format("*"))):
            with suppress(OSError):
                found.append((path, path.stat().st_mtime))
    return found
