"""Turns coordinates and labels from files of other programs into valid regions."""

import math
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import ArrayLike
from shapely import MultiPolygon, Point, Polygon

from hviskd.annotations.words import one_line
from hviskd.errors import DataError

COORDINATE_LIMIT_PX = 10_000_000.0  # thirty times the widest slides
OBJECT_LIMIT = 1_000_000
OUTLINE_LIMIT_POINTS = 1_000_000  # 160 MB to find out whether it crosses itself
MENDED_LIMIT_POINTS = 1_000_000  # of all invalid outlines of a file together: ten seconds and 700 MB to mend
CROSSING_LIMIT = 100_000  # a second and 400 MB to mend; past that it is not a drawing
TEXT_LIMIT = 1000
CURVE_ERROR_PX = 0.05

MENDED = "invalid outlines (self-intersecting, spiked, open, holes outside) repaired"
NO_AREA = "objects without an area (points, lines, empty ones) left out"
_SIMPLIFY = "simplify it or export fewer objects"

Outline = Polygon | MultiPolygon


class DrawnFile:
    """The checks of every coordinate and label of one file.

    Each method names the file and the place in it when it raises `DataError`.

    Attributes:
        path: The file, for messages.
        remarks: What was repaired or left out, and how often.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.remarks: Counter[str] = Counter()
        self._points_left = MENDED_LIMIT_POINTS
        self._crossings_left = CROSSING_LIMIT

    def error(self, place: str, wrong: str, remedy: str = "correct the file or export it again") -> DataError:
        """Return the one-line error with file, place, what is wrong and what to do."""
        return DataError(f"{self.path}: {place}: {wrong}; {remedy}")

    def mapping(self, value: object, place: str) -> dict[str, object]:
        """Return `value` if it is a JSON object."""
        if not isinstance(value, dict):
            raise self.error(place, "must be an object with keys")
        return value

    def objects(self, value: object, place: str) -> list[object]:
        """Return `value` if it is a list of at most a million entries."""
        if not isinstance(value, list):
            raise self.error(place, "must be a list")
        if len(value) > OBJECT_LIMIT:
            raise self.error(place, f"contains {len(value)} objects, more than {OBJECT_LIMIT}")
        return value

    def text(self, value: object, place: str) -> str:
        """Return a label or name as one line without surrounding spaces; empty for null."""
        if value is None:
            return ""
        if not isinstance(value, str) or len(value) > TEXT_LIMIT:
            raise self.error(place, f"must be text of at most {TEXT_LIMIT} characters")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise self.error(place, "contains half of a surrogate pair, which cannot be written to a file")
        return one_line(value)

    def points(self, value: object, place: str) -> np.ndarray:
        """Return a list of [x, y] (a third number is dropped) as (N, 2) float64 in px."""
        if not isinstance(value, list):
            raise self.error(place, "must be a list of [x, y]")
        try:
            points = np.array(value or np.empty((0, 2)), dtype=np.float64)
        except (ValueError, TypeError, OverflowError) as error:
            raise self.error(place, "must be a list of [x, y]") from error
        if points.ndim != 2 or points.shape[1] not in (2, 3):
            raise self.error(place, "must be a list of [x, y]")
        if not set(map(type, chain.from_iterable(value))) <= {int, float}:  # NumPy takes "5" and true for numbers
            raise self.error(place, "has a coordinate that is not a number")
        return self.within_limits(points[:, :2], place)

    def within_limits(self, points: np.ndarray, place: str) -> np.ndarray:
        """Return (N, 2) points in px if all are finite and could lie on a slide."""
        if not np.all(np.abs(points) <= COORDINATE_LIMIT_PX):
            raise self.error(place, "has a coordinate that is not finite or beyond ten million px")
        return points

    def polygon(self, rings: list[np.ndarray], place: str, *, sound: bool = True) -> Outline | None:
        """Make a valid polygon from a shell and its holes; None, and a remark, if it has no area.

        Args:
            rings: Each (N, 2), in px.
            place: Its position in the file, for messages.
            sound: False if something was wrong with the rings already, so that the polygon counts as repaired.
        """
        shell, *holes = rings or [np.empty((0, 2))]
        if len(shell) < 3:
            return self.outline([], place)
        self._check_size(sum(map(len, rings)), place)
        return self.outline([Polygon(shell, [hole for hole in holes if len(hole) >= 3])], place, sound=sound)

    def outline(self, parts: list[Polygon], place: str, *, sound: bool = True) -> Outline | None:
        """Make one valid outline from some polygons, valid or not; None, and a remark, if it has no area.

        An outline that crosses itself keeps every place it runs round, a hole outside its outline is left out, and
        parts that overlap become one.
        """
        drawn = parts[0] if len(parts) == 1 else MultiPolygon(parts)
        if len(parts) > 1:
            self._check_size(int(shapely.get_num_coordinates(drawn)), place)
        valid = drawn if drawn.is_valid else self._mend(drawn, place)
        if valid.area <= 0:
            self.remarks[NO_AREA] += 1
            return None
        if not sound or (valid is not drawn and not _only_joined(drawn, valid)):
            self.remarks[MENDED] += 1
        return valid

    def _check_size(self, points: int, place: str) -> None:
        if points > OUTLINE_LIMIT_POINTS:
            raise self.error(place, f"an outline with {points} points, more than {OUTLINE_LIMIT_POINTS}", _SIMPLIFY)

    def _mend(self, drawn: Outline, place: str) -> Outline:
        self._points_left -= int(shapely.get_num_coordinates(drawn))
        if self._points_left < 0:
            wrong = f"the invalid outlines up to here have more than {MENDED_LIMIT_POINTS} points, too many to repair"
            raise self.error(place, wrong, _SIMPLIFY)
        self._count_crossings(drawn, place)
        try:
            mended = [_mended(part) for part in shapely.get_parts(drawn).tolist()]
            return polygons_of(mended[0] if len(mended) == 1 else shapely.union_all(mended))
        except shapely.errors.ShapelyError as error:
            raise self.error(place, f"an outline that cannot be repaired ({error})") from error

    def _count_crossings(self, drawn: Outline, place: str) -> None:
        """Raise if the outlines repaired in this file intersect themselves too often for bounded memory."""
        points, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(drawn)), return_index=True)
        same = ring[1:] == ring[:-1]
        ends = np.stack([points[:-1][same], points[1:][same]], axis=1)
        edges = np.array(shapely.linestrings(ends), dtype=object)
        tree = shapely.STRtree(edges)
        step = max(1, 2_000_000 // len(edges))  # at worst every edge meets every other
        for start in range(0, len(edges), step):
            chunk = edges[start : start + step]
            met = tree.query(chunk, predicate="intersects").shape[1]
            self._crossings_left -= max(0, met - 3 * len(chunk)) // 2  # each edge meets itself and its neighbours
            if self._crossings_left < 0:
                raise self.error(place, f"intersects itself more than {CROSSING_LIMIT} times")


def ellipse(centre: ArrayLike, radii: ArrayLike) -> Polygon:
    """Return an upright ellipse, in px, as a polygon that is nowhere more than 0.05 px inside it.

    Args:
        centre: (2,) x and y.
        radii: (2,) its half width and half height; empty if one is 0.
    """
    centre, radii = np.asarray(centre, np.float64), np.asarray(radii, np.float64)
    if radii.min() <= 0:
        return Polygon()
    # A chord over a quarter turn / n lies r (1 − cos(π / 4n)) ≈ r (π / 4n)² / 2 inside its arc.
    quarter = math.ceil(math.pi / 4 * math.sqrt(float(radii.max()) / (2 * CURVE_ERROR_PX))) + 4
    return shapely.transform(Point(0, 0).buffer(1, quad_segs=quarter), lambda points: points * radii + centre)


def polygons_of(geometry: shapely.Geometry) -> Outline:
    """Return the polygons of any geometry as one, without its points and lines."""
    parts = [part for part in shapely.get_parts(geometry).tolist() if isinstance(part, Polygon)]
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def _mended(polygon: Polygon) -> shapely.Geometry:
    """Repair each ring and cut the holes out of the shell; GEOS would fill a hole that is outside."""
    rings = [Polygon(ring) for ring in (polygon.exterior, *polygon.interiors)]
    shell, *holes = shapely.make_valid(rings, method="structure", keep_collapsed=False).tolist()
    return shapely.difference(shell, shapely.union_all(holes)) if holes else shell


def _only_joined(drawn: Outline, valid: Outline) -> bool:
    """Return whether nothing was wrong: parts with a common border were merged, or a hole had been drawn by a cut.

    A spike leaves the area as it is too, but its tip is no point of the valid outline.
    """
    if not math.isclose(valid.area, drawn.area, rel_tol=1e-9):
        return False
    if isinstance(drawn, MultiPolygon):
        return True
    holes = shapely.get_num_interior_rings(shapely.get_parts(valid)).sum()
    corners, kept = (shapely.get_coordinates(outline) @ (1, 1j) for outline in (drawn, valid))
    return bool(holes > len(drawn.interiors) and np.isin(corners, kept).all())
