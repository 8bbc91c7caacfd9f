"""What the viewer answers of what lies on a slide: its maps, the grids of its layers, the expert's outlines."""

import gzip
from functools import cache
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hviskd.segmentation import SlideMap
from hviskd.segmentation.certainty import UNSURE_COLOUR
from hviskd.segmentation.pyramid import TILE_PX
from hviskd.viewer.desk import FRESH, Desk
from hviskd.viewer.drawings import as_page
from hviskd.viewer.grids import Grids
from hviskd.viewer.map_shelf import ShelfMap

_LEAST_SURE = 200  # tiles


class LayerAnswers:
    """Answers on layers."""

    def __init__(self, desk: Desk, grids: Grids) -> None:
        self._desk, self._grids = desk, grids

    def routes(self) -> list[Route]:
        """Return where it answers."""
        layer = "/slides/{key}/layers/{layer}"
        return [
            Route("/scale", self._scale),
            Route("/slides/{key}/outlines", self._outlines),
            Route("/slides/{key}/cut-tiles", self._cut_tiles),
            Route("/slides/{key}/least-sure/{number:int}", self._least_sure),
            Route(layer, self._geometry),
            Route(layer + "/{level:int}/{column:int}/{row:int}", self._cells),
        ]

    async def _scale(self, request: Request) -> Response:
        return JSONResponse(await self._desk.done(request, _colour_scale, "long"), headers=FRESH)

    async def _outlines(self, request: Request) -> Response:
        which = self._desk.slide(request)
        contents = self._desk.contents

        def read() -> dict[str, Any]:
            maps = contents.maps.of(which)
            known = dict(zip(maps[0].summary.map.classes, maps[0].summary.map.colours, strict=True)) if maps else {}
            return as_page(self._grids.annotation(which), contents.drawings.legend, known)

        return JSONResponse(await self._desk.done_on(request, which, read, "long"), headers=FRESH)

    async def _cut_tiles(self, request: Request) -> Response:
        which, cut = self._desk.slide(request), self._desk.contents.cut
        return JSONResponse(await self._desk.done_on(request, which, lambda: cut.told(which)), headers=FRESH)

    async def _least_sure(self, request: Request) -> Response:
        which, number, maps = self._desk.slide(request), request.path_params["number"], self._desk.contents.maps

        def read() -> list[dict[str, Any]] | None:
            found = maps.of(which)
            return least_sure(maps.load(found[number])) if number < len(found) else None

        return JSONResponse({"tiles": await self._desk.done_on(request, which, read)}, headers=FRESH)

    async def _geometry(self, request: Request) -> Response:
        which, layer = self._desk.slide(request), request.path_params["layer"]
        grid = await self._desk.done_on(request, which, lambda: self._grids.grid(which, layer), "long")
        rows, columns = grid.levels[0].shape
        told = {"rows": rows, "columns": columns, "cell_px": grid.cell_px, "levels": len(grid.levels), "tile": TILE_PX}
        return JSONResponse(told, headers=FRESH)

    async def _cells(self, request: Request) -> Response:
        which, asked = self._desk.slide(request), request.path_params

        def read() -> bytes | None:
            grid = self._grids.grid(which, asked["layer"])
            cells = None if grid is None else grid.tile(asked["level"], asked["column"], asked["row"])
            return None if cells is None else gzip.compress(cells, 1, mtime=0)

        cells = await self._desk.done_on(request, which, read)
        return Response(cells, media_type="application/octet-stream", headers={**FRESH, "Content-Encoding": "gzip"})


def listed_map(one: ShelfMap) -> dict[str, Any]:
    """Return of a map what the list of slides shows."""
    summary = one.summary
    return {
        "name": one.name,
        "tiles": summary.tiles,
        "tissue_mm2": summary.map.tissue_area_um2 / 1e6,
        "classes": list(summary.map.classes),
        "colours": [list(colour) for colour in summary.map.colours],
        "areas_mm2": [summary.areas_mm2[name] for name in summary.map.classes],
        "notes": list(summary.map.notes),
    }


def map_facts(one: ShelfMap) -> dict[str, Any]:
    """Return of a map what its layers and legend need."""
    card = one.summary.map
    return {
        **listed_map(one),
        "tile_px": card.tile_px,
        "mpp": card.mpp,
        "stride_px": card.stride_px,
        "unsure_below": card.unsure_below,
        "unsure_colour": list(UNSURE_COLOUR),
        "stain": card.stain,
        "engine": card.engine,
    }


def least_sure(slide_map: SlideMap) -> list[dict[str, Any]]:
    """Return the tiles of a map with the smallest top probability, the least first, at most 200."""
    top = slide_map.probabilities.max(axis=1)
    rows = np.argsort(top, kind="stable")[:_LEAST_SURE]
    x, y, side = slide_map.x_px, slide_map.y_px, slide_map.tile0_px
    names = [slide_map.classes[place] for place in slide_map.class_index[rows].tolist()]
    return [
        {"x": float(x[row] + side / 2), "y": float(y[row] + side / 2), "side0_px": side, "class": name, "top": share}
        for row, name, share in zip(rows.tolist(), names, top[rows].astype(float).round(4).tolist(), strict=True)
    ]


@cache
def _colour_scale() -> list[list[int]]:
    """Return the 256 colours of the scale from 0 to 1, as a map's heat maps have them."""
    from hviskd.segmentation.heat_colours import paint_heat_map

    steps = np.linspace(0, 1, 256, dtype=np.float32)[None]
    return [list(colour) for colour in paint_heat_map(steps)[0, :, :3].tolist()]
