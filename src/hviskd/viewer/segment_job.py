"""Runs `hviskd segment` on slides of the viewer, as a process of its own that can be cancelled."""

import csv
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hviskd.errors import DataError
from hviskd.segmentation.outputs import MAP
from hviskd.viewer.map_shelf import MapShelf
from hviskd.viewer.opinions import Opinions
from hviskd.viewer.shelf import ShelfSlide

_END_S = 5.0  # after which a process that does not end by itself is killed
_MOST_TEXT = 20_000


@dataclass(frozen=True)
class _Running:
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    folder: tempfile.TemporaryDirectory[str]
    model: str


class SegmentJob:
    """At most one such process; for any number of threads.

    Args:
        maps: Where the maps go: into the first folder that holds maps by the Model alone, or none.
        opinions: Who knows the Models; one that is no folder cannot be given to a process.
    """

    def __init__(self, maps: MapShelf, opinions: Opinions) -> None:
        self._maps = maps
        self._models = {card.name: (card, source) for card, source in opinions.models if isinstance(source, Path)}
        self._running: _Running | None = None
        self._problem, self._cancelled, self._started = "", False, 0
        self._lock = threading.Lock()

    @property
    def models(self) -> list[str]:
        """The names of the Models that slides can be segmented with."""
        return [name for name in self._models if self._folder(name) is not None]

    def told(self) -> dict[str, Any]:
        """Return whether it runs, with which Model, why the last one ended before it was done, and how many began.

        Their number tells of one that began and ended between two looks exactly as the one before it.
        """
        with self._lock:
            self._gather()
            running = self._running
            model = None if running is None else running.model
            return {"model": model, "problem": self._problem, "started": self._started}

    def start(self, model: str, slides: Sequence[ShelfSlide]) -> None:
        """Segment slides with a Model by name.

        Raises:
            DataError: One runs already, there is nothing to do, or there is no such Model or no folder for its maps.
        """
        with self._lock:
            self._gather()
            if self._running is not None:
                raise DataError("slides are being segmented already; wait until it is done, or cancel it")
            output = self._folder(model) if model in self._models else None
            if output is None:
                raise DataError(f"no folder for maps by {model}; give an empty one to `maps`")
            if not slides:
                raise DataError(f"every slide has a map by {model}")
            self._problem, self._cancelled = "", False
            self._running = _started(model, self._models[model][1], slides, output)
            self._started += 1

    def cancel(self) -> None:
        """End it, as Ctrl+C does; slides that are finished keep their maps."""
        with self._lock:
            running, self._cancelled = self._running, True
        if running is None:
            return
        running.process.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGINT)
        try:
            running.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()  # or it would be told of as running, a moment after it was killed
        self.told()

    def lacking(self, model: str, slides: Sequence[ShelfSlide]) -> list[ShelfSlide]:
        """Return the slides that have no map by a Model."""
        digest = self._models[model][0].weights_sha256 if model in self._models else ""
        return [
            slide
            for slide in slides
            if all(one.summary.map.model_fingerprint != digest for one in self._maps.of(slide))
        ]

    def _folder(self, model: str) -> Path | None:
        digest = self._models[model][0].weights_sha256
        of_cohorts = [folder for folder in self._maps.given if not (folder / MAP).is_file()]
        makers = {folder: self._maps.makers(folder) for folder in of_cohorts}
        mine = [folder for folder in of_cohorts if makers[folder] == {digest}]
        return next(iter([*mine, *(folder for folder in of_cohorts if not makers[folder])]), None)

    def _gather(self) -> None:
        """Take the last words of a process that has ended."""
        running = self._running
        if running is None or running.process.poll() is None:
            return
        self._running = None
        with running.said, running.folder:
            running.said.seek(0)
            lines = running.said.read(_MOST_TEXT).decode(errors="replace").splitlines()
        # Status 1 is of slides that failed, which say so themselves.
        if running.process.returncode not in (0, 1) and not self._cancelled:
            words = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")] or lines
            self._problem = words[-1] if words else f"segment ended with status {running.process.returncode}"


def _started(model: str, source: Path, slides: Sequence[ShelfSlide], output: Path) -> _Running:
    folder = tempfile.TemporaryDirectory(prefix="hviskd-view-")
    listed = Path(folder.name) / "slides.csv"
    with listed.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["slide", "mpp"])
        writer.writerows([slide.path.resolve(), slide.slide_mpp or ""] for slide in slides)
    said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
    command = [sys.executable, "-m", "hviskd", "segment", str(listed), "-m", str(source), "-o", str(output)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)  # noqa: S603
    return _Running(process, said, folder, model)
