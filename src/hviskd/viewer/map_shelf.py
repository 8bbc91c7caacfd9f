"""The maps of the slides of a viewer, found by the summaries in their folders, and loaded when they are looked at."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hviskd.agreement.pairs import map_folders
from hviskd.csv_table import read_csv
from hviskd.errors import DataError
from hviskd.segmentation import SlideMap, Summary, load_slide_map, read_summary
from hviskd.segmentation.cohort import SLIDES_CSV
from hviskd.segmentation.outputs import SUMMARY
from hviskd.slides.slide_files import changed_at, place_digest, slide_fingerprint
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

    Attributes:
        notes: Which folders hold no readable map, a sentence each.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.notes: tuple[str, ...] = ()
        self._given = tuple(folders)
        self._maps: dict[str, list[ShelfMap]] = {}
        self._found: dict[Path, tuple[tuple[int, int], tuple[ShelfMap, ...]]] = {}  # by size and time of the slide
        self._failed: dict[str, str] = {}
        self._loaded: Kept[Path, SlideMap] = Kept(CACHE_BYTES, lambda one: one.probabilities.nbytes)
        self._lock = threading.Lock()
        for folder in folders:
            self._put_up(folder)

    def of(self, slide: ShelfSlide) -> tuple[ShelfMap, ...]:
        """Return the maps of a slide, in the order of their folders; one of another slide of its name is not its."""
        candidates = self._maps.get(slide.path.name)
        if candidates is None:
            return ()
        try:
            stat = slide.path.stat()
            state = stat.st_size, stat.st_mtime_ns
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
        return self._failed.get(slide.path.name, "")

    def load(self, which: ShelfMap) -> SlideMap:
        """Return a map with its probabilities.

        Raises:
            DataError: It is damaged.
        """
        return self._loaded.made(which.folder, lambda: load_slide_map(which.folder))

    def folders(self) -> set[Path]:
        """Return where the given folders are, whether their maps could be read or not."""
        return {folder.parent for folder in self._given}

    def _put_up(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder")
        for place in map_folders([folder]):
            try:
                summary = read_summary(place)
            except DataError as error:
                self.notes += (str(error),)
                continue
            one = ShelfMap(place, summary.map.model, summary, (place / SUMMARY).stat().st_mtime_ns)
            self._maps.setdefault(summary.map.slide, []).append(one)
        if (folder / SLIDES_CSV).is_file():
            for _, row in read_csv(folder / SLIDES_CSV, "slide", "state", "problem"):
                if row["state"] == "failed":
                    self._failed[row["slide"]] = row["problem"]


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
