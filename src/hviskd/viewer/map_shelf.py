"""The maps of the slides of a viewer, found by the summaries in their folders, and loaded when they are looked at."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cachetools import LRUCache

from hviskd.agreement.pairs import map_folders
from hviskd.csv_table import read_csv
from hviskd.errors import DataError
from hviskd.segmentation import SlideMap, Summary, load_slide_map, read_summary
from hviskd.segmentation.cohort import SLIDES_CSV
from hviskd.slides.slide_files import place_digest, slide_fingerprint
from hviskd.viewer.shelf import ShelfSlide

_MOST_LOADED = 6


@dataclass(frozen=True)
class ShelfMap:
    """A map of a slide.

    Attributes:
        folder: Where it is.
        name: Of its Model, and of its cohort's folder where that is needed to tell it from another.
        summary: Its areas, geometry and notes.
    """

    folder: Path
    name: str
    summary: Summary


class MapShelf:
    """Maps in folders that `segment_cohort()` wrote; for any number of threads.

    Attributes:
        notes: Which folders hold no readable map, a sentence each.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.notes: tuple[str, ...] = ()
        self._given = tuple(folders)
        self._maps: dict[str, list[ShelfMap]] = {}
        self._failed: dict[str, str] = {}
        self._loaded: LRUCache[Path, SlideMap] = LRUCache(_MOST_LOADED)
        self._lock = threading.Lock()
        for folder in folders:
            self._put_up(folder)

    def of(self, slide: ShelfSlide) -> tuple[ShelfMap, ...]:
        """Return the maps of a slide, in the order of their folders; one of another slide of its name is not its."""
        mine = [one for one in self._maps.get(slide.path.name, ()) if _is_of(one.summary, slide.path)]
        times = Counter(one.name for one in mine)
        return tuple(
            replace(one, name=f"{one.name}, {one.folder.parent.name}") if times[one.name] > 1 else one for one in mine
        )

    def failure(self, slide: ShelfSlide) -> str:
        """Return why a slide has no map, if it was tried in vain."""
        return self._failed.get(slide.path.name, "")

    def load(self, which: ShelfMap) -> SlideMap:
        """Return a map with its probabilities.

        Raises:
            DataError: It is damaged.
        """
        with self._lock:
            if (found := self._loaded.get(which.folder)) is not None:
                return found
        loaded = load_slide_map(which.folder)
        with self._lock:
            self._loaded[which.folder] = loaded
        return loaded

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
            one = ShelfMap(place, summary.map.model, summary)
            self._maps.setdefault(summary.map.slide, []).append(one)
        if (folder / SLIDES_CSV).is_file():
            for _, row in read_csv(folder / SLIDES_CSV, "slide", "state", "problem"):
                if row["state"] == "failed":
                    self._failed[row["slide"]] = row["problem"]


def _is_of(summary: Summary, slide: Path) -> bool:
    """Return whether a map is of this file: it lay there, or has the same content."""
    if summary.place == place_digest(slide):
        return True
    try:
        return summary.map.slide_fingerprint == slide_fingerprint(slide)
    except OSError:  # the slide cannot be read, and will say so itself
        return False
