"""What the viewer answers: the page, and of each slide its facts, tiles and thumbnail.

Reading is done in a few threads, so that the answers of many clients never take more memory than those.
"""

import os
from collections.abc import Callable, Mapping
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hviskd.errors import HviskdError
from hviskd.version import NOTICE
from hviskd.viewer.deep_zoom import TILE_PX, DeepZoom
from hviskd.viewer.page_files import read_page
from hviskd.viewer.shelf import OpenSlides, ShelfSlide
from hviskd.viewer.slide_pictures import SlidePictures

_KEEP = {"Cache-Control": "private, max-age=3600"}
_FRESH = {"Cache-Control": "no-store"}
_GONE = 499  # the client has left; nobody reads it

_Made = TypeVar("_Made")


class Answers:
    """Answers for one shelf of slides; `spell` words problems for who reads them."""

    def __init__(self, shelf: Mapping[str, ShelfSlide], slides: OpenSlides, *, spell: Callable[[str], str]) -> None:
        self._shelf = shelf
        self._slides = slides
        self._spell = spell
        self._pictures = SlidePictures(slides)
        self._page = read_page()
        self._readers = CapacityLimiter(max(2, os.cpu_count() or 2))

    def app(self) -> ASGIApp:
        """Return the app that answers."""
        return Starlette(
            routes=[
                Route("/", self._index),
                Route("/page/{name}", self._page_file),
                Route("/slides", self._listed),
                Route("/slides/{key}", self._facts),
                Route("/slides/{key}/thumbnail", self._thumbnail),
                Route("/slides/{key}/tiles/{level:int}/{column:int}/{row:int}", self._tile),
            ],
            exception_handlers={HTTPException: _refusal},
        )

    async def _index(self, _request: Request) -> Response:
        content, kind = self._page["index.html"]
        return Response(content, media_type=kind, headers=_FRESH)

    async def _page_file(self, request: Request) -> Response:
        found = self._page.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404, "no such file of the page")
        return Response(found.content, media_type=found.kind, headers={"Cache-Control": "no-cache"})

    async def _listed(self, _request: Request) -> Response:
        slides = [{"key": slide.key, "name": slide.path.name} for slide in self._shelf.values()]
        return JSONResponse({"slides": slides, "notice": NOTICE}, headers=_FRESH)

    async def _facts(self, request: Request) -> Response:
        which = self._which(request)

        def read() -> dict[str, object]:
            with self._slides.reading(which) as slide:
                facts = slide.facts()
            zoom = DeepZoom(facts["width_px"], facts["height_px"])
            return {
                "key": which.key,
                "name": which.path.name,
                **facts,
                "tile_px": TILE_PX,
                "last_level": zoom.last_level,
            }

        try:
            return JSONResponse(await self._done(request, read), headers=_FRESH)
        except (HviskdError, OSError) as error:  # that it cannot be opened is what is known of it
            told = {"key": which.key, "name": which.path.name, "problem": self._spell(which.told(error))}
            return JSONResponse(told, headers=_FRESH)

    async def _thumbnail(self, request: Request) -> Response:
        which = self._which(request)
        try:
            picture = await self._done(request, lambda: self._pictures.thumbnail(which))
        except (HviskdError, OSError):
            blank = self._page["no_picture.svg"]
            return Response(blank.content, media_type=blank.kind, headers=_FRESH)
        return Response(picture, media_type="image/jpeg", headers=_KEEP)

    async def _tile(self, request: Request) -> Response:
        which = self._which(request)
        place = request.path_params["level"], request.path_params["column"], request.path_params["row"]
        picture = self._pictures.kept(which, *place)
        if picture is None:
            try:
                picture = await self._done(request, lambda: self._pictures.tile(which, *place))
            except (HviskdError, OSError) as error:
                raise HTTPException(422, self._spell(which.told(error))) from error
        if picture is None:
            raise HTTPException(404, "no such tile")
        return Response(picture, media_type="image/jpeg", headers=_KEEP)

    def _which(self, request: Request) -> ShelfSlide:
        found = self._shelf.get(request.path_params["key"])
        if found is None:
            raise HTTPException(404, "no such slide")
        return found

    async def _done(self, request: Request, work: Callable[[], _Made]) -> _Made:
        """Do work in one of a few threads, unless the client has left before its turn.

        Raises:
            HTTPException: The client has left.
        """
        async with self._readers:
            if await request.is_disconnected():
                raise HTTPException(_GONE)
            return await to_thread.run_sync(work)


async def _refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"problem": error.detail}, error.status_code, headers=_FRESH)
