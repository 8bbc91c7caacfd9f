"""What the viewer answers of one place of a slide: tile, probabilities, attention, and the expert's class."""

import io
import math
from typing import Any, NamedTuple, Self

import numpy as np
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hviskd.annotations import Annotation
from hviskd.arrays import RGB, Bools
from hviskd.errors import HviskdError
from hviskd.slides.slide import MAX_SIDE_PX
from hviskd.viewer.desk import FRESH, Desk
from hviskd.viewer.grids import Grids
from hviskd.viewer.opinions import Opinion, Opinions, Spot
from hviskd.viewer.shelf import ShelfSlide

_RASTER = 64  # cells a tile's side is divided into to see what the expert drew in it


class Asked(NamedTuple):
    """A place of a slide, in level-0 px."""

    which: ShelfSlide
    x: float
    y: float

    @classmethod
    def of(cls, desk: Desk, request: Request) -> Self:
        """Return the place that a request asks about.

        Raises:
            HTTPException: There is no such slide, or the place lies on none.
        """
        which = desk.slide(request)
        try:
            x, y = (float(request.query_params[name]) for name in ("x", "y"))
        except (KeyError, ValueError) as error:
            raise HTTPException(400, "x and y must be numbers of level-0 px") from error
        if not max(abs(x), abs(y)) <= MAX_SIDE_PX:  # not NaN either
            raise HTTPException(400, "x and y lie on no slide")
        return cls(which, x, y)


class SpotAnswers:
    """Answers on places."""

    def __init__(self, desk: Desk, opinions: Opinions, grids: Grids) -> None:
        self._desk, self._opinions, self._grids = desk, opinions, grids

    def routes(self) -> list[Route]:
        """Return where it answers."""
        one = "/slides/{key}/at/{opinion:int}"
        return [
            Route("/models", self._load),
            Route("/slides/{key}/at", self._at),
            Route(one + "/tile", self._tile),
            Route(one + "/attention/{label:int}", self._attention),
        ]

    async def _load(self, request: Request) -> Response:
        try:
            names = await self._desk.done(request, self._opinions.load, "models")
        except HviskdError as error:
            raise HTTPException(422, self._desk.worded(str(error))) from error
        return JSONResponse({"models": names}, headers=FRESH)

    async def _at(self, request: Request) -> Response:
        asked = Asked.of(self._desk, request)

        def read() -> dict[str, Any]:
            said = [self._said(asked, place, each) for place, each in enumerate(self._opinions.of(asked.which))]
            return {"x": asked.x, "y": asked.y, "opinions": said, "expert": self._expert(asked, said)}

        return JSONResponse(await self._desk.done_on(request, asked.which, read, "models"), headers=FRESH)

    async def _tile(self, request: Request) -> Response:
        asked = Asked.of(self._desk, request)

        def read() -> bytes | None:
            found = self._found(request, asked)
            return None if found is None else _as_png(self._opinions.tile(asked.which, *found))

        picture = await self._desk.done_on(request, asked.which, read, "models")
        return Response(picture, media_type="image/png", headers=FRESH)

    async def _attention(self, request: Request) -> Response:
        asked, label = Asked.of(self._desk, request), request.path_params["label"]

        def read() -> bytes | None:
            found = self._found(request, asked)
            if found is None or label >= len(found[0].classes):
                return None
            outline = self._outline(asked.which, found[1], found[0].classes[label])
            return _as_png(self._opinions.attention(asked.which, *found, label, outline))

        picture = await self._desk.done_on(request, asked.which, read, "models")
        return Response(picture, media_type="image/png", headers=FRESH)

    def _found(self, request: Request, asked: Asked) -> tuple[Opinion, Spot] | None:
        opinions, place = self._opinions.of(asked.which), request.path_params["opinion"]
        if place >= len(opinions):
            return None
        spot = self._opinions.spot(asked.which, opinions[place], asked.x, asked.y)
        return None if spot is None else (opinions[place], spot)

    def _said(self, asked: Asked, place: int, opinion: Opinion) -> dict[str, Any]:
        """Return what one says; a problem of its own leaves the others."""
        told: dict[str, Any] = {
            "place": place,
            "name": opinion.name,
            "classes": list(opinion.classes),
            "colours": [list(colour) for colour in opinion.colours],
            "explains": opinion.place >= 0,
            "tile": None,
            "probabilities": None,
            "live": False,
            "problem": "",
        }
        try:
            spot = self._opinions.spot(asked.which, opinion, asked.x, asked.y)
            if spot is None:
                return told | {"problem": "no whole tile here"}
            told["tile"] = spot._asdict()
            found = self._opinions.probabilities(asked.which, opinion, spot)
        except (HviskdError, OSError) as error:
            return told | {"problem": self._desk.problem(asked.which, error)}
        if found is None:
            return told | {"problem": "not classified: too little tissue"}
        return told | {"probabilities": [round(float(each), 6) for each in found[0]], "live": found[1]}

    def _expert(self, asked: Asked, said: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Return the expert's class at the place, and of the first tile the share of each of the expert's classes."""
        if not self._desk.contents.drawings.there(asked.which):
            return None
        try:
            annotation = self._grids.annotation(asked.which)
        except HviskdError as error:
            return {"problem": self._desk.problem(asked.which, error)}
        here = int(annotation.rasterise(math.floor(asked.x), math.floor(asked.y), 1, 1, 1)[0, 0])
        tiles = [each["tile"] for each in said if each["tile"]]
        shares = _shares(annotation, Spot(**tiles[0])) if tiles else []
        return {"class": annotation.classes[here] if here >= 0 else None, "shares": shares, "problem": ""}

    def _outline(self, which: ShelfSlide, spot: Spot, name: str) -> Bools | None:
        """Return where in a tile the expert drew a class, (tile_px, tile_px); None if nowhere."""
        if not self._desk.contents.drawings.there(which):
            return None
        annotation = self._grids.annotation(which)
        known = [each.casefold() for each in annotation.classes]
        if name.casefold() not in known:
            return None
        inside: Bools = _labels(annotation, spot, spot.tile_px) == known.index(name.casefold())
        return inside if inside.any() else None


def _shares(annotation: Annotation, spot: Spot) -> list[tuple[str, float]]:
    labels = _labels(annotation, spot, _RASTER)
    counts = np.bincount(labels[labels >= 0], minlength=len(annotation.classes))
    order = np.argsort(-counts, kind="stable")
    return [(annotation.classes[at], float(counts[at] / labels.size)) for at in order.tolist() if counts[at]]


def _labels(annotation: Annotation, spot: Spot, side: int) -> np.ndarray:
    found = annotation.rasterise(spot.x_px, spot.y_px, spot.side0_px, spot.side0_px, spot.side0_px / side)
    return found[:side, :side]


def _as_png(pixels: RGB) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
