"""Reads QuPath GeoJSON as `Outlines`, and writes `Outlines` as a file for QuPath.

Coordinates are px of the slide at full resolution, counted from the corner of the part that was scanned. A class may be
written in any way QuPath has had; of a cell its outline is read and its nucleus left. Points and lines have no area and
are left out.
"""

import json
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import shapely
from shapely import Polygon

from hviskd.annotations.annotation import UNCLASSIFIED, Outlines, Region
from hviskd.annotations.drawn import NO_AREA, DrawnFile, Outline
from hviskd.annotations.legend import Legend
from hviskd.annotations.words import one_line
from hviskd.annotations.written import numbers, rounded
from hviskd.arrays import Colour, Floats
from hviskd.colours import class_colours
from hviskd.errors import DataError
from hviskd.slide_frame import Placement, SlideFrame
from hviskd.storage import atomic_file

_NAMESPACE = uuid.UUID("6d1b0a3e-5c0c-5a43-9f60-2f1d8a5c7b11")
_WITHOUT_AREA = ("Point", "MultiPoint", "LineString", "MultiLineString")


def parse_geojson(document: object, path: Path, *, legend: Legend | None, frame: SlideFrame | None) -> Outlines:
    """Read the objects of a parsed QuPath file: a FeatureCollection, one Feature, or a list of Features.

    Their coordinates are those of QuPath's image of the slide, whose `frame` is given if known.

    Raises:
        DataError: The file is not what QuPath writes, or does not match the legend or the slide.
    """
    reader = _Features(path)
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        document = document.get("features")
    elif isinstance(document, dict):
        document = [document]
    features = reader.objects(document, "features")
    found = (reader.region(feature, f"features[{position}]") for position, feature in enumerate(features))
    regions = [region for region in found if region is not None]
    if frame is not None and frame.outlines() != Placement():
        regions = _laid(regions, frame, reader)
    return Outlines.of(
        regions, source=path, legend=legend, size=None if frame is None else frame.size, remarks=reader.remarks
    )


def _laid(regions: list[Region], frame: SlideFrame, reader: "_Features") -> list[Region]:
    """Return regions that count from the corner of the scanned part in level-0 px, and remark on it."""
    if not regions:
        return []
    bounds = shapely.bounds([region.geometry for region in regions])
    if frame.scan_size is not None and not _from_scan(bounds, frame.origin_px, frame.scan_size):
        raise DataError(
            f"{reader.path}: regions lie outside QuPath's image, which is the scanned part of the slide ({frame}); "
            "pass `no_crop=True` if they count from the slide's corner, else delete those outside"
        )
    x, y = frame.origin_px
    reader.remarks[
        f"regions counted from the corner of the scanned part, px {x}, {y}, as in QuPath; if they count from the "
        "slide's corner, pass `no_crop=True`"
    ] += len(regions)
    return [region.moved(frame.outlines().to_level0) for region in regions]


def _from_scan(bounds: Floats, origin_px: tuple[int, int], scan_size: tuple[int, int]) -> bool:
    """Return whether regions may count from the scan's corner: none lies outside, or reaches out by that count alone.

    Args:
        bounds: (N, 4) left, top, right, bottom.
        origin_px: The scan's corner.
        scan_size: Its width and height.
    """
    corner, end = bounds[:, :2], bounds[:, 2:]
    if (end <= 0).any() or (corner >= scan_size).any():
        return False
    within = bool((corner >= 0).all() and (end <= scan_size).all())
    return within or not bool((corner >= origin_px).all() and (end <= np.add(origin_px, scan_size)).all())


class _Features(DrawnFile):
    """Reads one feature after the other."""

    def region(self, value: object, place: str) -> Region | None:
        """Return the region of a feature; None, and a remark, if it has no area."""
        feature = self.mapping(value, place)
        if feature.get("type") != "Feature":
            raise self.error(place, "is not a GeoJSON Feature")
        properties = self.mapping(feature.get("properties") or {}, f"{place}.properties")
        outline = self._geometry(feature.get("geometry"), f"{place}.geometry")
        if outline is None:
            return None
        label, colour = self._class(properties.get("classification"), f"{place}.properties.classification")
        name = self.text(properties.get("name"), f"{place}.properties.name")
        return Region(label or UNCLASSIFIED, outline, name, colour or _colour(properties.get("color")))

    def _class(self, value: object, place: str) -> tuple[str, Colour | None]:
        if value is None or isinstance(value, str):
            return self.text(value, place), None
        classification = self.mapping(value, place)
        colour = _colour(classification.get("color", classification.get("colorRGB")))
        if classification.get("names") is None:
            return self.text(classification.get("name"), f"{place}.name"), colour
        names = self.objects(classification["names"], f"{place}.names")
        label = ": ".join(self.text(name, f"{place}.names") for name in names)
        return self.text(label, f"{place}.names"), colour

    def _geometry(self, value: object, place: str) -> Outline | None:
        """Collect the polygons of a geometry and of everything in a GeometryCollection."""
        if value is None:
            self.remarks[NO_AREA] += 1
            return None
        waiting = [value]
        parts: list[Outline] = []
        while waiting:
            geometry = self.mapping(waiting.pop(), place)
            kind, coordinates = geometry.get("type"), geometry.get("coordinates")
            if kind == "GeometryCollection":
                waiting += reversed(self.objects(geometry.get("geometries"), f"{place}.geometries"))
            elif kind in ("Polygon", "MultiPolygon"):
                polygons = [coordinates] if kind == "Polygon" else self.objects(coordinates, place)
                parts += [part for polygon in polygons if (part := self._polygon(polygon, place)) is not None]
            elif kind in _WITHOUT_AREA:
                self.remarks[NO_AREA] += 1
            else:
                raise self.error(place, "is not a GeoJSON geometry")
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else self.outline(_flat(parts), place)

    def _polygon(self, coordinates: object, place: str) -> Outline | None:
        rings = self.objects(coordinates, f"{place}.coordinates")
        drawn = [self.points(ring, f"{place}.coordinates") for ring in rings]
        closed = all(ring[:1].tolist() == ring[-1:].tolist() for ring in drawn)
        return self.polygon(drawn, place, sound=closed)


def _flat(parts: list[Outline]) -> list[Polygon]:
    return [polygon for part in parts for polygon in shapely.get_parts(part).tolist()]


def _colour(value: object) -> Colour | None:
    """Read a colour in QuPath's form, [r, g, b(, alpha)] or packed 0xAARRGGBB; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value >> 16) & 255, (value >> 8) & 255, value & 255
    if isinstance(value, list) and len(value) in (3, 4):
        channels = [v for v in value[:3] if isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 255]
        if len(channels) == 3:
            return channels[0], channels[1], channels[2]
    return None


def write_geojson(annotation: Outlines, path: Path | str, *, frame: SlideFrame | None = None) -> Path:
    """Write a file that QuPath opens, and return its path.

    Coordinates are rounded to a millionth of a px. A region without a colour gets one of its class. The same regions
    give the same bytes, ids included. Reading the file gives the regions back.

    Args:
        annotation: What to write.
        path: Where to write.
        frame: The slide; without it, its scanned part is taken to begin at its corner, as in most formats.
    """
    return write_features(_features_of(annotation, Placement() if frame is None else frame.outlines()), path)


def write_features(features: Iterable[str], path: Path | str) -> Path:
    """Write features as a file that QuPath opens, one by one in constant memory; return its path.

    Args:
        features: Each as JSON. What QuPath asks of it: its `id` is a UUID, all else stands in `properties`.
        path: Where to write.
    """
    path = Path(path)
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write('{"type":"FeatureCollection","features":[')
        for position, feature in enumerate(features):
            stream.write((",\n" if position else "\n") + feature)
        stream.write("\n]}\n")
    return path


def compact_json(content: object) -> str:
    """Return JSON without spaces."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def classification(name: str, colour: Colour) -> dict[str, object]:
    """Return a class in QuPath's form: with a colour, on one line, and 'A: B' as B derived from A."""
    names = [one_line(part) for part in name.split(": ")]
    return {"names": names, "color": list(colour)} if len(names) > 1 else {"name": names[0], "color": list(colour)}


def _features_of(annotation: Outlines, place: Placement) -> Iterator[str]:
    colours = dict(zip(annotation.classes, class_colours(len(annotation.classes)), strict=True))
    for position, region in enumerate(annotation.regions):
        drawn = region if place == Placement() else region.moved(place.from_level0)
        outline = rounded(drawn.geometry)
        if not outline.is_empty:
            identity = uuid.uuid5(_NAMESPACE, f"{position} {region.label} {region.name} {outline.wkb_hex}")
            feature = {
                "type": "Feature",
                "id": str(identity),
                "geometry": {"type": outline.geom_type, "coordinates": _coordinates(outline)},
                "properties": _properties(region, region.colour or colours[region.label]),
            }
            yield compact_json(feature)


def _properties(region: Region, colour: Colour) -> dict[str, object]:
    properties: dict[str, object] = {"objectType": "annotation"}
    if region.name:
        properties["name"] = region.name
    if region.label == UNCLASSIFIED:
        return properties | {"color": list(colour)}
    return properties | {"classification": classification(region.label, colour)}


def _coordinates(outline: Outline) -> list[object]:
    polygons = [
        [numbers(shapely.get_coordinates(ring)) for ring in (polygon.exterior, *polygon.interiors)]
        for polygon in shapely.get_parts(outline).tolist()
    ]
    return list(polygons[0]) if isinstance(outline, Polygon) else list(polygons)
