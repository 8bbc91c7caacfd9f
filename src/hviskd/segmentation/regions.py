"""Turns areas of a map's class grid into polygons, for files of QuPath and for an expert to correct."""

import numpy as np
import shapely
from shapely import Polygon

from hviskd.annotations import Region
from hviskd.annotations.tracing import trace
from hviskd.arrays import NO_CLASS_BYTE, Ints
from hviskd.errors import DataError
from hviskd.mask_shapes import grown
from hviskd.segmentation.slide_map import SlideMap


def rings_px(polygon: Polygon, slide_map: SlideMap, first: int = 0) -> list[Ints]:
    """Return the rings (N, 2) of a polygon of cells, `first` rows down, in whole level-0 px."""
    rings = (polygon.exterior, *polygon.interiors)
    corners = [shapely.get_coordinates(ring).astype(np.int64) + np.array([0, first]) for ring in rings]
    return [slide_map.tile_grid.starts_px(ring) for ring in corners]


def region_at(slide_map: SlideMap, x_px: float, y_px: float) -> Region | None:
    """Return the cells around a place that have its most probable class and hang together by their sides.

    Args:
        slide_map: A map.
        x_px: The place, in level-0 px.
        y_px: The same, downwards.

    Returns:
        One polygon along the borders of the cells, in level-0 px; None where there is no tile.

    Raises:
        DataError: Its border is too ragged to be traced.
    """
    cells = slide_map.class_grid()
    column, row = (int(place // slide_map.stride0_px) for place in (x_px, y_px))
    if not (0 <= row < cells.shape[0] and 0 <= column < cells.shape[1]) or cells[row, column] == NO_CLASS_BYTE:
        return None
    label = int(cells[row, column])
    seed = np.zeros(cells.shape, np.bool_)
    seed[row, column] = True
    try:
        (polygon,) = trace(grown(seed, cells == label))
    except ValueError as error:
        raise DataError(f"{slide_map.card.slide}: {error}; outline a part of it by hand") from error
    shell, *holes = rings_px(polygon, slide_map)
    return Region(slide_map.classes[label], Polygon(shell, holes), colour=slide_map.colours[label])
