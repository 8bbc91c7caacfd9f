"""The slides of a viewer, under keys that tell nothing of where they lie, and the open ones among them."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hviskd.slides import CohortSlide, Slide, open_slide
from hviskd.slides.slide_files import place_digest

_MOST_OPEN = 8  # slides; each holds a file and its header


@dataclass(frozen=True)
class ShelfSlide:
    """A slide of the viewer.

    Attributes:
        key: By which the page names it, the same in every run.
        path: Its file.
        slide_mpp: µm a level-0 px where the user gave it.
    """

    key: str
    path: Path
    slide_mpp: float | None = None


def put_up(slides: Sequence[CohortSlide]) -> dict[str, ShelfSlide]:
    """Give each slide its key."""
    shelf: dict[str, ShelfSlide] = {}
    for slide in slides:
        key = place = place_digest(slide.path)
        number = 1
        while key in shelf:  # two of a thousand slides share eight digits once in ten thousand cohorts
            number += 1
            key = f"{place}-{number}"
        shelf[key] = ShelfSlide(key, slide.path, slide.slide_mpp)
    return shelf


@dataclass
class _Opened:
    slide: Slide
    readers: int = 0


class OpenSlides:
    """Opens slides when they are looked at, and keeps the last few open; for any number of threads."""

    def __init__(self, *, icc: bool = False) -> None:
        self._icc = icc
        self._opened: OrderedDict[tuple[str, bool], _Opened] = OrderedDict()
        self._opening: dict[tuple[str, bool], threading.Lock] = {}
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def reading(self, which: ShelfSlide, *, icc: bool | None = None) -> Iterator[Slide]:
        """Yield a slide that stays open as long as the block runs; `icc` converts it to sRGB, or as set for all.

        Raises:
            DataError: It is damaged, or not a slide.
        """
        opened = self._taken(which, self._icc if icc is None else icc)
        try:
            yield opened.slide
        finally:
            with self._lock:
                opened.readers -= 1
            self._close_oldest()

    def close(self) -> None:
        """Close all slides, those in use as soon as they are not."""
        with self._lock:
            self._closed = True
        self._close_oldest()

    def _taken(self, which: ShelfSlide, icc: bool) -> _Opened:
        key = which.key, icc
        with self._lock:
            one_at_a_time = self._opening.setdefault(key, threading.Lock())
        with one_at_a_time:
            with self._lock:
                found = self._opened.get(key)
                if found is not None:
                    found.readers += 1
                    self._opened.move_to_end(key)
                    return found
            found = _Opened(open_slide(which.path, slide_mpp=which.slide_mpp, icc=icc), readers=1)
            with self._lock:
                self._opened[key] = found
            return found

    def _close_oldest(self) -> None:
        with self._lock:
            most = 0 if self._closed else _MOST_OPEN
            idle = [key for key, opened in self._opened.items() if not opened.readers]
            surplus = idle[: max(0, len(self._opened) - most)]
            closing = [self._opened.pop(key) for key in surplus]
        for opened in closing:
            opened.slide.close()
