"""What the viewer answers: the page, the list of slides, and of each slide its facts, tiles and thumbnail."""

import secrets
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hviskd.errors import HviskdError
from hviskd.version import NOTICE
from hviskd.viewer.desk import FRESH, Contents, Desk
from hviskd.viewer.drawing_answers import DrawingAnswers
from hviskd.viewer.grids import Grids
from hviskd.viewer.layer_answers import LayerAnswers, listed_map, map_facts
from hviskd.viewer.live_answers import LiveAnswers
from hviskd.viewer.page_files import read_page
from hviskd.viewer.shelf import ShelfSlide
from hviskd.viewer.slide_pictures import SlidePictures, zoom_of
from hviskd.viewer.spot_answers import SpotAnswers

_KEEP = {"Cache-Control": "private, max-age=3600"}
_KEEP_LONG = {"Cache-Control": "private, max-age=31536000, immutable"}


class Answers:
    """Answers on slides; `spell` words problems for who reads them."""

    def __init__(self, contents: Contents, *, spell: Callable[[str], str]) -> None:
        self._contents = contents
        self._desk = Desk(contents, spell)
        self._pictures = SlidePictures(contents.slides)
        self._page = read_page()
        self._start = secrets.token_hex(4)  # sets apart the pictures of a run; keys are the same in all of them
        self._live = LiveAnswers(self._desk)
        self._notes = [self._desk.worded(note) for note in contents.maps.notes]

    def app(self) -> ASGIApp:
        """Return the app that answers."""
        contents = self._contents
        grids = Grids(contents.slides, contents.maps, contents.drawings)
        return Starlette(
            routes=[
                Route("/", self._index),
                Route(f"/page/{self._page.version}/{{name}}", self._page_file),
                Route("/slides", self._listed),
                Route("/slides/{key}", self._facts),
                Route("/slides/{key}/thumbnail", self._thumbnail),
                Route("/slides/{key}/tiles/{level:int}/{column:int}/{row:int}", self._tile),
                *LayerAnswers(self._desk, grids).routes(),
                *SpotAnswers(self._desk, contents.opinions, grids).routes(),
                *DrawingAnswers(self._desk, grids).routes(),
                *self._live.routes(),
            ],
            exception_handlers={HTTPException: _refusal},
        )

    def end(self) -> None:
        """End what was started on the page, and tell who listens that the viewer ends."""
        self._live.end()

    def close(self) -> None:
        """Close the slides, when nobody is answered any more."""
        self._desk.close()
        self._contents.slides.close()

    async def _index(self, _request: Request) -> Response:
        content, kind = self._page.html
        return Response(content, media_type=kind, headers=FRESH)

    async def _page_file(self, request: Request) -> Response:
        found = self._page.files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404, "no such file of the page")
        return Response(found.content, media_type=found.kind, headers=_KEEP_LONG)

    async def _listed(self, request: Request) -> Response:
        maps = self._contents.maps
        version = maps.version  # before the rows are made, lest one be missed
        slides = await self._desk.done(request, lambda: [self._row(slide) for slide in self._contents.shelf.values()])
        told = {"maps": version, "live": bool(maps.given), "notes": self._notes, "notice": NOTICE}
        return JSONResponse({"slides": slides, **told}, headers=FRESH)

    def _row(self, slide: ShelfSlide) -> dict[str, Any]:
        maps = self._contents.maps
        found = [listed_map(one) for one in maps.of(slide)]
        problem = "" if found else self._desk.worded(maps.failure(slide))
        drawn = self._contents.drawings.there(slide)
        return {**self._named(slide), "maps": found, "problem": problem, "drawn": drawn}

    def _named(self, slide: ShelfSlide) -> dict[str, Any]:
        return {"key": slide.key, "name": slide.path.name, "start": self._start}

    async def _facts(self, request: Request) -> Response:
        which = self._desk.slide(request)

        def read() -> dict[str, Any]:
            with self._contents.slides.reading(which) as slide:
                facts, zoom = slide.facts(), zoom_of(slide)
            maps = [map_facts(one) for one in self._contents.maps.of(which)]
            drawn = self._contents.drawings.there(which)
            asks = bool(self._contents.opinions.of(which))
            shown = {"maps": maps, "drawn": drawn, "asks": asks, "cut": self._contents.cut.there(which)}
            return {**self._named(which), **facts, "tile_px": zoom.tile_px, "last_level": zoom.last_level, **shown}

        try:
            return JSONResponse(await self._desk.done(request, read), headers=FRESH)
        except (HviskdError, OSError) as error:  # that it cannot be opened is what is known of it
            problem = self._desk.problem(which, error)
            return JSONResponse({**self._named(which), "problem": problem}, headers=FRESH)

    async def _thumbnail(self, request: Request) -> Response:
        which = self._desk.slide(request)
        try:
            picture = await self._desk.done(request, lambda: self._pictures.thumbnail(which))
        except (HviskdError, OSError):
            blank = self._page.files["no_picture.svg"]
            return Response(blank.content, media_type=blank.kind, headers=FRESH)
        return self._jpeg(request, picture)

    async def _tile(self, request: Request) -> Response:
        which = self._desk.slide(request)
        place = request.path_params["level"], request.path_params["column"], request.path_params["row"]
        picture = self._pictures.kept(which, *place)
        if picture is None:
            picture = await self._desk.done_on(request, which, lambda: self._pictures.tile(which, *place))
        return self._jpeg(request, picture)

    def _jpeg(self, request: Request, picture: bytes | None) -> Response:
        """Answer with a picture, which the browser keeps if it asked for one of this run."""
        kept = request.query_params.get("start") == self._start
        return Response(picture, media_type="image/jpeg", headers=_KEEP if kept else FRESH)


async def _refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"problem": error.detail}, error.status_code, headers=FRESH)
