"""What the viewer answers of `segment` at work: what happens, as it happens, the map that fills, start and cancel."""

import gzip
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
from anyio import CapacityLimiter, to_thread
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hviskd.errors import DataError
from hviskd.viewer.at_work import AtWork
from hviskd.viewer.desk import FRESH, Desk
from hviskd.viewer.segment_job import SegmentJob
from hviskd.viewer.sent import Inbox

_STEP_S, _STEPS = 0.25, 4  # between two looks, and how long the end of the viewer waits for one
_MOST_LISTENERS = 64
_QUIET_LOOKS = 15  # after which a sign of life is sent
_BY_SLIDE = ("rows", "now")


class _Start(BaseModel):
    """With which Model the slides without its map are segmented."""

    model_config = ConfigDict(extra="forbid")

    model: str


class LiveAnswers:
    """Answers on `segment` at work."""

    def __init__(self, desk: Desk) -> None:
        contents = desk.contents
        self._desk = desk
        self._at_work = AtWork(contents.shelf, contents.maps)
        self._job = SegmentJob(contents.maps, contents.opinions)
        self._inbox = Inbox()
        self._looking = CapacityLimiter(1)
        self._listeners = 0
        self._ended = False

    def routes(self) -> list[Route]:
        """Return where it answers."""
        return [
            Route("/live", self._live),
            Route("/slides/{key}/live", self._cells),
            Route("/segment", self._start, methods=["POST"]),
            Route("/segment/cancel", self._cancel, methods=["POST"]),
        ]

    def end(self) -> None:
        """End what was started, and tell who listens."""
        self._ended = True
        self._job.cancel()

    async def _live(self, _request: Request) -> Response:
        if self._listeners >= _MOST_LISTENERS:
            raise HTTPException(503, "too many listen already")
        return StreamingResponse(self._events(), media_type="text/event-stream", headers=FRESH)

    async def _events(self) -> AsyncIterator[str]:
        """Yield server-sent events: what is going on, then what changes of it, and at last that the viewer ends."""
        self._listeners += 1
        try:
            told: dict[str, Any] = {}
            quiet = 0
            while not self._ended:
                now = await to_thread.run_sync(self._told, limiter=self._looking)
                if now != told:
                    yield f"data: {json.dumps(changes(told, now))}\n\n"
                    told, quiet = now, 0
                elif (quiet := quiet + 1) == _QUIET_LOOKS:
                    quiet = 0
                    yield ": still here\n\n"
                for _ in range(_STEPS):
                    if not self._ended:
                        await anyio.sleep(_STEP_S)
            yield "event: end\ndata: {}\n\n"
        finally:
            self._listeners -= 1

    def _told(self) -> dict[str, Any]:
        seen, job = self._at_work.look(), self._job.told()
        rows = {key: {**row, "problem": self._desk.worded(row["problem"])} for key, row in seen.rows.items()}
        models = self._job.models
        slides = list(self._desk.contents.shelf.values())
        return {
            "maps": seen.version,
            "rows": rows,
            "now": seen.now,
            "job": {**job, "problem": self._desk.worded(job["problem"])},
            "models": [{"name": name, "slides": len(self._job.lacking(name, slides))} for name in models],
        }

    async def _cells(self, request: Request) -> Response:
        which = self._desk.slide(request)
        cells = (await to_thread.run_sync(self._at_work.look, limiter=self._looking)).grids.get(which.key)
        if cells is None:
            raise HTTPException(404, "this slide is not being segmented")
        headers = {**FRESH, "Content-Encoding": "gzip", "X-Columns": str(cells.shape[1])}
        return Response(
            gzip.compress(cells.tobytes(), 1, mtime=0), media_type="application/octet-stream", headers=headers
        )

    async def _start(self, request: Request) -> Response:
        sent = await self._inbox.read(request, _Start)

        def start() -> None:
            lacking = self._job.lacking(sent.model, list(self._desk.contents.shelf.values()))
            self._job.start(sent.model, lacking)

        try:
            await self._desk.done(request, start)
        except (DataError, OSError) as error:
            raise HTTPException(409, self._desk.worded(str(error))) from error
        return JSONResponse(self._job.told(), headers=FRESH)

    async def _cancel(self, request: Request) -> Response:
        await self._desk.done(request, self._job.cancel)
        return JSONResponse(self._job.told(), headers=FRESH)


def changes(told: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of `now` was not told yet; of what is told by slide, only those slides, and None for what is over."""
    found = {name: value for name, value in now.items() if name not in _BY_SLIDE and told.get(name) != value}
    for name in _BY_SLIDE:
        before = told.get(name, {})
        changed = {key: value for key, value in now[name].items() if before.get(key) != value}
        over = dict.fromkeys(before.keys() - now[name].keys())
        if changed or over:
            found[name] = changed | over
    return found
