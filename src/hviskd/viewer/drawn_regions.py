"""Outlines on their way between the page and a file: checked as everything from outside is, and cut to the slide."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import shapely
from pydantic import BaseModel, ConfigDict, Field
from shapely import Polygon

from hviskd.annotations import Outlines, Region
from hviskd.annotations.drawn import DrawnFile, Outline, polygons_of
from hviskd.arrays import Colour
from hviskd.slide_frame import SlideFrame

_Byte = Annotated[int, Field(ge=0, le=255, strict=True)]
_Ring = Annotated[list[float], Field(min_length=6, max_length=1_000_000)]  # x, y, x, y … in level-0 px
_DECIMALS = 2
_CUT = "outlines cut off at the border of the slide, or of what was scanned of it"


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SentRegion(_Sent):
    """An outline that the page sends; of each polygon the outer ring and its holes."""

    label: str = Field(min_length=1, max_length=200)
    name: str = Field(default="", max_length=1000)
    colour: tuple[_Byte, _Byte, _Byte]
    polygons: list[Annotated[list[_Ring], Field(min_length=1, max_length=10_000)]] = Field(
        min_length=1, max_length=10_000
    )


class SentDrawing(_Sent):
    """All outlines of a slide, and the revision of the file that they are a change of."""

    revision: str = Field(max_length=64)
    regions: list[SentRegion] = Field(max_length=20_000)


def as_outlines(sent: SentDrawing, path: Path, frame: SlideFrame) -> Outlines:
    """Return what the page sent as outlines for a file; its remarks say what was repaired, cut off or left out.

    Raises:
        DataError: A coordinate lies on no slide, or an outline is too large or too tangled to be repaired.
    """
    file = DrawnFile(path)
    scan = _scanned(frame)
    regions = []
    for number, region in enumerate(sent.regions, start=1):
        place = f"outline {number}"
        outline = _outline(region, file, place)
        if outline is not None and not scan.contains(outline):
            outline = polygons_of(shapely.intersection(outline, scan))
            file.remarks[_CUT] += 1
        label = file.text(region.label, place)
        if not label:
            raise file.error(place, "has no class", "choose one")
        if outline is not None and outline.area > 0:
            regions.append(Region(label, outline, file.text(region.name, place), region.colour))
    return Outlines.of(regions, source=path, size=frame.size, remarks=file.remarks)


def as_sent(regions: Iterable[Region], colours: Mapping[str, Colour]) -> list[dict[str, Any]]:
    """Return regions as the page takes and sends them; `colours` is for those drawn without one."""
    return [
        {
            "label": region.label,
            "name": region.name,
            "colour": region.colour or colours[region.label],
            "polygons": [
                [_flat(ring) for ring in (polygon.exterior, *polygon.interiors)]
                for polygon in shapely.get_parts(region.geometry).tolist()
            ],
        }
        for region in regions
    ]


def bounds_of(frame: SlideFrame) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of where may be drawn: what was scanned, in level-0 px."""
    bounds: tuple[float, float, float, float] = _scanned(frame).bounds
    return bounds


def _scanned(frame: SlideFrame) -> Polygon:
    (x, y), (width, height) = frame.origin_px, frame.size
    if frame.no_crop or frame.scan_size is None:
        return shapely.box(0, 0, width, height)
    across, down = frame.scan_size
    return shapely.box(max(0, x), max(0, y), min(width, x + across), min(height, y + down))


def _outline(region: SentRegion, file: DrawnFile, place: str) -> Outline | None:
    parts = []
    for rings in region.polygons:
        if any(len(ring) % 2 for ring in rings):
            raise file.error(place, "has an x without a y", "send both")
        drawn = [file.within_limits(np.array(ring).reshape(-1, 2), place) for ring in rings]
        if (part := file.polygon(drawn, place)) is not None:
            parts += shapely.get_parts(part).tolist()
    return file.outline(parts, place) if parts else None


def _flat(ring: shapely.LinearRing) -> list[float]:
    """Return the corners of a ring, each once."""
    flat: list[float] = shapely.get_coordinates(ring)[:-1].round(_DECIMALS).ravel().tolist()
    return flat
