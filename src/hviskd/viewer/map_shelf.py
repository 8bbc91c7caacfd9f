"""The maps of the slides of a viewer, found by the summaries in their folders, and loaded when they are looked at."""

import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hviskd.agreement.pairs import map_folders
from hviskd.csv_table import read_csv
from hviskd.errors import DataError
from hviskd.segmentation import SlideMap, Summary, load_slide_map, read_summary
from hviskd.segmentation.cohort import SLIDES_CSV
from hviskd.segmentation.live_file import live_states
from hviskd.segmentation.mapping_job import CLAIMS
from hviskd.segmentation.outputs import MAP, SUMMARY
from hviskd.slides.slide_files import changed_at, place_digest, slide_fingerprint, slide_state
from hviskd.viewer.kept import Kept
from hviskd.viewer.shelf import ShelfSlide

CACHE_BYTES = 96 * 2**20


@dataclass(frozen=True)
class ShelfMap:
    """A map of a slide.

    Attributes:
        folder: Where it is.
        name: Of its Model, and of its cohort's folder where that is needed to tell it from another.
        summary: Its areas, geometry and notes.
        written_ns: When it was finished, in ns as files have it.
    """

    folder: Path
    name: str
    summary: Summary
    written_ns: int


class MapShelf:
    """Maps in folders that `segment_cohort()` wrote; for any number of threads.

    Args:
        folders: The folders.
        growing: Whether maps may come that are not there yet, so that a folder may be empty or missing.

    Attributes:
        notes: Which folders hold no readable map, a sentence each.
        given: The folders.
    """

    def __init__(self, folders: Sequence[Path], *, growing: bool = False) -> None:
        self.notes: tuple[str, ...] = ()
        self.given = tuple(folders)
        self.version = 0  # higher whenever other maps are there
        self._growing = growing
        self._maps: dict[str, list[ShelfMap]] = {}
        self._found: dict[Path, tuple[tuple[int, int], tuple[ShelfMap, ...]]] = {}  # by size and time of the slide
        self._failed: dict[Path, dict[str, str]] = {}  # by table
        self._written: dict[Path, int] = {}  # when each map was finished
        self._orders: dict[Path, int] = {}
        self._loaded: Kept[tuple[Path, int], SlideMap] = Kept(CACHE_BYTES, lambda one: one.probabilities.nbytes)
        self._lock = threading.Lock()
        self._failures_read: dict[Path, int] = {}  # when the tables were written
        for folder in folders:
            if not folder.is_dir() and not growing:
                raise DataError(f"{folder}: no such folder")
        self.notes = self._look()

    def of(self, slide: ShelfSlide) -> tuple[ShelfMap, ...]:
        """Return the maps of a slide, in the order of their folders; one of another slide of its name is not its."""
        candidates = self._maps.get(slide.path.name)
        if candidates is None:
            return ()
        try:
            state = slide_state(slide.path)
            with self._lock:
                known = self._found.get(slide.path)
            if known is not None and known[0] == state:
                return known[1]
            found = _named_apart(_made_from(slide.path, candidates))
        except OSError:  # the slide cannot be read, and will say so itself
            return ()
        with self._lock:
            self._found[slide.path] = state, found
        return found

    def failure(self, slide: ShelfSlide) -> str:
        """Return why a slide has no map, if it was tried in vain."""
        with self._lock:
            problems = [failed[slide.path.name] for failed in self._failed.values() if slide.path.name in failed]
        return problems[-1] if problems else ""

    def load(self, which: ShelfMap) -> SlideMap:
        """Return a map with its probabilities.

        Raises:
            DataError: It is damaged.
        """
        return self._loaded.made((which.folder, which.written_ns), lambda: load_slide_map(which.folder))

    def folders(self) -> set[Path]:
        """Return where the given folders are, whether their maps could be read or not."""
        return {folder.parent for folder in self.given}

    def look_again(self) -> None:
        """Find the maps that were written since the last look; a folder that cannot be read now may be later."""
        with suppress(DataError, OSError):
            self._look()

    def makers(self, folder: Path) -> set[str]:
        """Return the fingerprints of the Models of the maps in one of the given folders."""
        with self._lock:
            found = [one for maps in self._maps.values() for one in maps if folder in (one.folder, one.folder.parent)]
        return {one.summary.map.model_fingerprint for one in found}

    def _look(self) -> tuple[str, ...]:
        """Take in what is new, and return what cannot be read, a sentence each."""
        problems = []
        for order, folder in enumerate(self.given):
            for place in self._places(folder):
                try:
                    self._take_in(order, place)
                except (DataError, OSError) as error:  # of a slide that is mapped again, it may vanish any moment
                    problems.append(str(error))
            self._read_failures(folder / SLIDES_CSV)
        return tuple(problems)

    def _places(self, folder: Path) -> list[Path]:
        """Return the folders of the maps in a given folder; the folder itself if it is to hold some and does not."""
        may_be_empty = self._growing or bool(live_states(folder, folder / CLAIMS))
        if may_be_empty and not (folder / MAP).is_file():
            return sorted(found.parent for found in folder.glob(f"*/{MAP}"))
        return map_folders([folder])

    def _take_in(self, order: int, place: Path) -> None:
        written_ns = (place / SUMMARY).stat().st_mtime_ns if (place / SUMMARY).is_file() else 0
        if self._written.get(place) == written_ns:
            return
        if not written_ns and place in self._written:  # it is being written again
            self._forget(place)
            return
        summary = read_summary(place)
        one = ShelfMap(place, summary.map.model, summary, written_ns)
        name = summary.map.slide
        with self._lock:
            self._written[place] = written_ns
            self._orders[place] = order
            others = [other for other in self._maps.get(name, []) if other.folder != place]
            self._maps[name] = sorted([*others, one], key=lambda each: (self._orders[each.folder], each.folder))
            self._found.clear()
            self.version += 1

    def _forget(self, place: Path) -> None:
        with self._lock:
            del self._written[place]
            for name, maps in self._maps.items():
                self._maps[name] = [one for one in maps if one.folder != place]
            self._found.clear()
            self.version += 1

    def _read_failures(self, table: Path) -> None:
        written_ns = table.stat().st_mtime_ns if table.is_file() else 0
        if not written_ns or self._failures_read.get(table) == written_ns:
            return
        failed = {
            row["slide"]: row["problem"]
            for _, row in read_csv(table, "slide", "state", "problem")
            if row["state"] == "failed"
        }
        with self._lock:
            self._failures_read[table] = written_ns
            self._failed[table] = failed
            self.version += 1


def _made_from(slide: Path, maps: Sequence[ShelfMap]) -> list[ShelfMap]:
    """Return the maps that were made from this file: of its content, or where it is and since it was last changed.

    Raises:
        OSError: The slide cannot be read.
    """
    place, changed = place_digest(slide), changed_at(slide)
    content = ""
    found = []
    for one in maps:
        mine = one.summary.place == place and changed <= one.written_ns
        if not mine:
            content = content or slide_fingerprint(slide)
            mine = one.summary.map.slide_fingerprint == content
        if mine:
            found.append(one)
    return found


def _named_apart(maps: Sequence[ShelfMap]) -> tuple[ShelfMap, ...]:
    """Return maps with the names of their cohorts' folders where Models have the same name."""
    times = Counter(one.name for one in maps)
    return tuple(
        replace(one, name=f"{one.name}, {one.folder.parent.name}") if times[one.name] > 1 else one for one in maps
    )
