"""Finds outlines that are completely covered by later ones of another class; `Outlines` counts them."""

import numpy as np
import shapely
from numpy.typing import NDArray

from hviskd.arrays import Bools, Ints

PAIRS_AT_ONCE = 20_000_000  # 320 MB
MOST_PAIRS = 20_000_000  # of outlines that lie near each other; a million cells with their annotations have a third
MOST_POINTS = 50_000_000  # of outlines to be compared with those over them: ten seconds
MOST_UNITED = 2_000_000  # points of outlines to be united


def find_hidden(geometries: NDArray[np.object_], classes: Ints) -> Bools:
    """Return which regions lie wholly under later ones of another class, under one or under several together.

    Args:
        geometries: (R,) valid polygons in the order they are drawn, later over earlier.
        classes: (R,) what each is drawn as.

    Returns:
        (R,) bool. If millions of outlines overlap, only the first are examined.
    """
    hidden = np.zeros(len(geometries), np.bool_)
    if not len(geometries):
        return hidden
    bounds, areas = shapely.bounds(geometries), shapely.area(geometries)
    tree = shapely.STRtree(geometries)
    points = shapely.get_num_coordinates(geometries)
    pairs_left, points_left, united_left = MOST_PAIRS, MOST_POINTS, MOST_UNITED
    at_once = max(1, PAIRS_AT_ONCE // len(geometries))
    for start in range(0, len(geometries), at_once):
        below, above = tree.query(geometries[start : start + at_once])
        pairs_left -= len(below)
        if pairs_left < 0:
            break
        below += start
        over = (above > below) & (classes[above] != classes[below])
        below, above = below[over], above[over]
        corners = np.maximum(bounds[below, :2], bounds[above, :2]), np.minimum(bounds[below, 2:], bounds[above, 2:])
        overlap = np.clip(corners[1] - corners[0], 0, None).prod(axis=1)
        covered = np.bincount(below, weights=overlap, minlength=len(geometries)) >= areas
        below, above = below[covered[below]], above[covered[below]]
        points_left -= int(points[below].sum())
        if points_left < 0:
            break
        shapely.prepare(geometries[np.unique(above)])
        hidden[below[shapely.covers(geometries[above], geometries[below])]] = True
        regions, times = np.unique(below[~hidden[below]], return_counts=True)
        for region in regions[times > 1].tolist():
            together = above[below == region]
            united_left -= int(points[together].sum())
            if united_left > 0:
                hidden[region] = shapely.covers(shapely.union_all(geometries[together]), geometries[region])
    return hidden
