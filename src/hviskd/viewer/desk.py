"""What all answers of a viewer share: the slides and what lies on them, and the few threads that read."""

import os
import re
from asyncio import wait, wrap_future
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from anyio import CancelScope, CapacityLimiter
from starlette.exceptions import HTTPException
from starlette.requests import Request

from hviskd.errors import HviskdError, in_words
from hviskd.processor import usable_cpus
from hviskd.viewer.cut_tiles import CutTiles
from hviskd.viewer.drawings import Drawings
from hviskd.viewer.map_shelf import MapShelf
from hviskd.viewer.opinions import Opinions
from hviskd.viewer.shelf import OpenSlides, ShelfSlide

FRESH = {"Cache-Control": "no-store"}
_GONE = 499  # the client has left; nobody reads it
_PLACES = re.compile(  # all of an absolute path but its last name; folders may have spaces, ": " ends a path
    r"(?<![\w./\\])(?:[A-Za-z]:[/\\]|\\\\|/+(?=[^\s/]))(?:(?:(?!:\s)[^/\\])*(?<!\s)[/\\])*"
)

Queue = Literal["quick", "long", "models"]
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Contents:
    """What a viewer shows.

    Attributes:
        shelf: The slides by key.
        slides: The open ones among them.
        maps: Their maps.
        drawings: What an expert drew on them.
        opinions: What maps and Models say of a place.
        cut: The tiles of a TileSet.
    """

    shelf: Mapping[str, ShelfSlide]
    slides: OpenSlides
    maps: MapShelf
    drawings: Drawings
    opinions: Opinions
    cut: CutTiles = field(default_factory=CutTiles)

    def folders(self) -> set[Path]:
        """Return the folders of all this, as they were given; but not the current one or the topmost."""
        places = {slide.path.parent for slide in self.shelf.values()}
        places |= self.maps.folders() | self.drawings.places.folder() | self.opinions.folders() | self.cut.folder()
        return {place for place in places if place != Path(place.anchor)}


class Desk:
    """Takes requests on a slide, and has them worked on in a few threads, so that many clients take little memory.

    What takes long, such as tracing a mask, and what Models compute are each done in one more thread, so that a slide's
    tiles never wait for either. Each has threads of its own, since every thread keeps memory for what it has done.

    Args:
        contents: What is shown.
        spell: Words problems for who reads them.
    """

    def __init__(self, contents: Contents, spell: Callable[[str], str]) -> None:
        self.contents = contents
        self._spell = spell
        self._folders = sorted(map(str, contents.folders()), key=len, reverse=True)  # the innermost first
        threads: dict[Queue, int] = {"quick": max(2, usable_cpus()), "long": 1, "models": 1}
        self._queues = {queue: CapacityLimiter(count) for queue, count in threads.items()}
        self._threads = {queue: ThreadPoolExecutor(count, f"hviskd {queue}") for queue, count in threads.items()}

    def close(self) -> None:
        """End the threads."""
        for threads in self._threads.values():
            threads.shutdown(wait=False)

    def slide(self, request: Request) -> ShelfSlide:
        """Return the slide that a request names.

        Raises:
            HTTPException: There is none.
        """
        found = self.contents.shelf.get(request.path_params["key"])
        if found is None:
            raise HTTPException(404, "no such slide")
        return found

    def problem(self, which: ShelfSlide, error: Exception) -> str:
        """Return what is wrong with a slide in one line, with names of files but not where they lie."""
        return self.worded(in_words(error, which.path))

    def worded(self, said: str) -> str:
        """Return a message for the page: spelled, and without the folders of what is shown or of another computer."""
        for folder in self._folders:
            said = said.replace(f"{folder}{os.sep}", "").replace(folder, Path(folder).name)
        return self._spell(_PLACES.sub("", " ".join(said.split())))

    async def done(self, request: Request, work: Callable[[], _Made], queue: Queue = "quick") -> _Made:
        """Do work in a thread of the queue, unless the client has left before its turn.

        Raises:
            HTTPException: The client has left.
        """
        async with self._queues[queue]:
            if await request.is_disconnected():
                raise HTTPException(_GONE, "the client has left")
            made = wrap_future(self._threads[queue].submit(work))
            with CancelScope(shield=True):  # the thread is not free before
                await wait([made])
            return made.result()

    async def done_on(
        self, request: Request, which: ShelfSlide, work: Callable[[], _Made | None], queue: Queue = "quick"
    ) -> _Made:
        """Do work on a slide.

        Raises:
            HTTPException: The client has left, a file is damaged, or nothing is there.
        """
        try:
            made = await self.done(request, work, queue)
        except (HviskdError, OSError) as error:
            raise HTTPException(422, self.problem(which, error)) from error
        if made is None:
            raise HTTPException(404, "nothing there")
        return made
