"""Prepares outlines for writing to JSON: rounding, number format, holes joined to their border."""

import numpy as np
import shapely
from shapely import LineString, Polygon

from hviskd.annotations.drawn import Outline, polygons_of

DECIMALS = 6  # with fewer, pixels change class when a file is converted; with more, it only grows


def rounded(outline: Outline) -> Outline:
    """Return the outline with coordinates rounded to a millionth of a px, still valid; thinner slivers vanish."""
    plain: Outline = shapely.transform(outline, lambda points: np.round(points, DECIMALS))
    if plain.is_valid:
        return plain
    snapped = polygons_of(shapely.set_precision(outline, 10.0**-DECIMALS))
    return shapely.transform(snapped, lambda points: np.round(points, DECIMALS))


def numbers(points: np.ndarray) -> list[list[float]]:
    """Return (N, 2) points as lists for JSON, whole numbers without '.0'."""
    return [[int(value) if value.is_integer() else value for value in point] for point in points.tolist()]


def bridged(polygon: Polygon) -> np.ndarray:
    """Return a polygon as one open ring (N, 2), with each hole joined by a cut that is traversed both ways.

    A cut goes from a hole's leftmost point to the nearest point of the ring so far that it reaches inside the
    polygon, so that it crosses nothing and the polygon can be restored exactly.
    """
    if not polygon.interiors:
        return shapely.get_coordinates(polygon.exterior)[:-1]
    polygon = shapely.normalize(polygon)  # the same ring however the polygon's own rings begin
    shapely.prepare(polygon)
    ring = shapely.get_coordinates(polygon.exterior)
    for hole in sorted(polygon.interiors, key=lambda hole: hole.bounds[0]):
        inner = shapely.get_coordinates(hole)
        inner = np.roll(inner[:-1], -int(np.argmin(inner[:-1, 0])), axis=0)
        inner = np.concatenate([inner, inner[:1]])
        nearest = np.argsort(np.hypot(*(ring - inner[0]).T), kind="stable")
        joint = next((at for at in nearest if polygon.covers(LineString([ring[at], inner[0]]))), nearest[0])
        ring = np.concatenate([ring[: joint + 1], inner, ring[joint:]])
    return ring[:-1]
