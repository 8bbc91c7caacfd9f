"""What `segment` is doing in the folders of a viewer's maps: the state of each slide, and the map that fills."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hviskd.arrays import NO_CLASS_BYTE
from hviskd.errors import DataError
from hviskd.segmentation.live_file import LiveSlide, LiveState, live_states
from hviskd.segmentation.mapping_job import CLAIMS
from hviskd.segmentation.pyramid import halve_classes
from hviskd.slides.slide_files import place_digest
from hviskd.viewer.grids import Bytes
from hviskd.viewer.map_shelf import MapShelf
from hviskd.viewer.shelf import ShelfSlide

_LOOK_S = 0.8  # between two looks, however many ask
_MOST_CELLS = 2**20  # of the picture of a map that fills; a larger one is halved


@dataclass(frozen=True)
class Seen:
    """What was seen at one look.

    Attributes:
        version: Of the maps that are there.
        rows: State and problem of each slide that a process at work was given, by key.
        now: What is told of the slides that are being classified, by key.
        grids: Their cells, by key.
    """

    version: int
    rows: Mapping[str, dict[str, str]] = field(default_factory=dict)
    now: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    grids: Mapping[str, Bytes] = field(default_factory=dict)


class AtWork:
    """Looks at the folders of maps, at most about once a second; for any number of threads."""

    def __init__(self, shelf: Mapping[str, ShelfSlide], maps: MapShelf) -> None:
        self._maps = maps
        self._keys = {place_digest(slide.path): key for key, slide in shelf.items()}
        self._seen = Seen(maps.version)
        self._next_s = 0.0
        self._lock = threading.Lock()

    def look(self) -> Seen:
        """Return what was seen a moment ago, or is seen now."""
        with self._lock:
            if time.monotonic() >= self._next_s:
                states = [state for folder in self._maps.given for state in live_states(folder, folder / CLAIMS)]
                self._maps.look_again()
                self._seen = self._made(states)
                self._next_s = time.monotonic() + _LOOK_S
            return self._seen

    def _made(self, states: list[LiveState]) -> Seen:
        rows: dict[str, dict[str, str]] = {}
        now: dict[str, dict[str, Any]] = {}
        grids: dict[str, Bytes] = {}
        for state in states:
            for row in state.slides:
                key = self._keys.get(row.place)
                if key is not None and rows.get(key, {}).get("state", "waiting") == "waiting":
                    rows[key] = {"state": row.state, "problem": row.problem}
            key = self._keys.get(state.now.place) if state.now is not None else None
            if state.now is None or key is None:
                continue
            try:
                told, grids[key] = _told(state, state.now)
            except DataError:
                continue
            now[key] = told
            rows[key] = {"state": "working", "problem": ""}
        return Seen(self._maps.version, rows, now, grids)


def _told(state: LiveState, now: LiveSlide) -> tuple[dict[str, Any], Bytes]:
    cells = now.grid()
    counts = np.bincount(cells.ravel(), minlength=NO_CLASS_BYTE + 1)[: len(state.classes)]
    area_mm2 = now.cell_um**2 / 1e6
    cell_px = now.cell_px
    while cells.size > _MOST_CELLS:
        cells, cell_px = halve_classes(cells), 2 * cell_px
    rate = now.done / now.seconds if now.seconds else 0.0
    rows, columns = cells.shape
    return {
        "model": state.model,
        "classes": list(state.classes),
        "colours": [list(colour) for colour in state.colours],
        "areas_mm2": [float(count * area_mm2) for count in counts],
        "done": now.done,
        "tiles": now.tiles,
        "tiles_per_s": round(rate, 1),
        "seconds_left": round((now.tiles - now.done) / rate) if rate else None,
        "rows": rows,
        "columns": columns,
        "cell_px": cell_px,
    }, cells
