"""What the viewer answers to who draws: the outlines there are, a region of a map to correct, what became of a save."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hviskd.arrays import Colour
from hviskd.colours import class_colours
from hviskd.errors import DataError
from hviskd.segmentation.regions import region_at
from hviskd.viewer.desk import FRESH, Desk
from hviskd.viewer.drawing_files import ChangedMeanwhileError, Drawing, DrawingFiles
from hviskd.viewer.drawn_regions import SentDrawing, as_outlines, as_sent, bounds_of
from hviskd.viewer.grids import Grids
from hviskd.viewer.sent import Inbox
from hviskd.viewer.shelf import ShelfSlide
from hviskd.viewer.spot_answers import Asked

_NEW_CLASSES = 16  # colours that the page is given for classes of its own


class DrawingAnswers:
    """Answers on drawings, and saves them."""

    def __init__(self, desk: Desk, grids: Grids) -> None:
        self._desk, self._grids = desk, grids
        self._files = DrawingFiles()
        self._inbox = Inbox()

    def routes(self) -> list[Route]:
        """Return where it answers."""
        drawing = "/slides/{key}/drawing"
        return [
            Route(drawing, self._drawing),
            Route(drawing, self._save, methods=["POST"]),
            Route(drawing + "/copy", self._save_copy, methods=["POST"]),
            Route("/slides/{key}/maps/{number:int}/region", self._region),
        ]

    async def _drawing(self, request: Request) -> Response:
        which = self._desk.slide(request)
        return JSONResponse(await self._desk.done_on(request, which, lambda: self._told(which), "long"), headers=FRESH)

    async def _region(self, request: Request) -> Response:
        asked, number, maps = Asked.of(self._desk, request), request.path_params["number"], self._desk.contents.maps

        def read() -> dict[str, Any] | None:
            found = maps.of(asked.which)
            if number >= len(found):
                return None
            region = region_at(maps.load(found[number]), asked.x, asked.y)
            return {"region": None if region is None else as_sent([region], {})[0]}

        return JSONResponse(await self._desk.done_on(request, asked.which, read), headers=FRESH)

    async def _save(self, request: Request) -> Response:
        which = self._desk.slide(request)
        sent = await self._inbox.read(request, SentDrawing)

        def save() -> tuple[dict[str, Any], int]:
            changed = self._taken(which, sent)
            try:
                saved = self._files.save(changed, self._grids.frame(which))
            except ChangedMeanwhileError as error:
                return {"problem": self._desk.problem(which, error)}, 409
            outlines = changed.outlines
            return {
                "revision": saved.revision,
                "kept": saved.kept.name if saved.kept else None,
                "remarks": _remarks(outlines.remarks),
                "regions": as_sent(outlines.regions, {}) if outlines.remarks else None,
            }, 200

        answer, status = await self._desk.done_on(request, which, save, "long")
        return JSONResponse(answer, status, headers=FRESH)

    async def _save_copy(self, request: Request) -> Response:
        which = self._desk.slide(request)
        sent = await self._inbox.read(request, SentDrawing)

        def save() -> dict[str, Any]:
            copy = self._files.save_copy(self._taken(which, sent), self._grids.frame(which))
            return {"file": copy.name}

        return JSONResponse(await self._desk.done_on(request, which, save, "long"), headers=FRESH)

    def _taken(self, which: ShelfSlide, sent: SentDrawing) -> Drawing:
        path = self._desk.contents.drawings.places.target(which)
        return Drawing(path, sent.revision, as_outlines(sent, path, self._grids.frame(which)))

    def _told(self, which: ShelfSlide) -> dict[str, Any]:
        drawings, frame = self._desk.contents.drawings, self._grids.frame(which)
        path = drawings.places.target(which)
        drawing = self._files.read(path, frame)
        classes = self._classes(which, drawing)
        colours = class_colours(len(classes) + _NEW_CLASSES)
        return {
            "revision": drawing.revision,
            "file": path.name if path.parent == which.path.parent else f"{path.parent.name}/{path.name}",
            "shown": self._is_shown(which, path),
            "within": bounds_of(frame),
            "classes": [{"name": name, "colour": colour} for name, colour in classes.items()],
            "colours": [colour for colour in colours if colour not in classes.values()][:_NEW_CLASSES],
            "regions": as_sent(drawing.outlines.regions, classes),
            "remarks": _remarks(drawing.outlines.remarks),
        }

    def _is_shown(self, which: ShelfSlide, path: Path) -> bool:
        """Return whether a file is, once it is there, the annotation that is shown on the slide."""
        try:
            return self._desk.contents.drawings.places.annotation(which) == path
        except DataError:
            return True

    def _classes(self, which: ShelfSlide, drawing: Drawing) -> dict[str, Colour]:
        """Return the classes to choose from: those of the map, the legend, and the outlines; with their colours."""
        contents = self._desk.contents
        found: dict[str, Colour] = {}
        for one in contents.maps.of(which)[:1]:
            found |= zip(one.summary.map.classes, one.summary.map.colours, strict=True)
        legend = contents.drawings.legend
        for name, colour in zip(legend.names, legend.colours, strict=True) if legend else ():
            if name.casefold() not in {each.casefold() for each in found}:
                found[name] = colour
        spare = iter(class_colours(len(found) + len(drawing.outlines.classes)))
        for region in drawing.outlines.regions:
            if region.label not in found:
                free = next(colour for colour in spare if colour not in found.values())
                found[region.label] = region.colour or free
        return found


def _remarks(remarks: Mapping[str, int]) -> list[str]:
    return [f"{remark} ({times:,})" for remark, times in remarks.items()]
