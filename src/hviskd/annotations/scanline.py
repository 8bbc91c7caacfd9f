"""Fills polygons into a label image, row by row of cell centres.

The rule: a cell belongs to a polygon when its centre lies inside. A centre exactly on an outline belongs to the
polygon on its right (or, on a level line, below), so that of two polygons with a common border just one has it.
Holes come out by themselves: a centre is inside when an odd number of edges of the polygon lie to its left.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import shapely

CROSSINGS_AT_ONCE = 2_000_000  # about 100 MB of working arrays


@dataclass(frozen=True, eq=False)
class EdgeTable:
    """The edges of many polygons, oriented downwards, without horizontal ones.

    Attributes:
        top, bottom: The edges' upper and lower ends in level-0 px, (E, 2) float64, x before y.
        first: (R + 1,) int64; the edges of geometry r are first[r] … first[r + 1] − 1.
        bounds: (R, 4) float64: left, top, right, bottom of each geometry in level-0 px.
    """

    top: np.ndarray
    bottom: np.ndarray
    first: np.ndarray
    bounds: np.ndarray

    @classmethod
    def of(cls, geometries: np.ndarray) -> Self:
        """Store the edges of valid Polygons and MultiPolygons, (R,) of object."""
        polygons, owner_of_polygon = shapely.get_parts(geometries, return_index=True)
        rings, owner_of_ring = shapely.get_rings(polygons, return_index=True)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        is_edge = (ring[1:] == ring[:-1]) & (points[1:, 1] != points[:-1, 1])
        start, end = points[:-1][is_edge], points[1:][is_edge]
        downwards = (start[:, 1] < end[:, 1])[:, None]
        owner = owner_of_polygon[owner_of_ring[ring[:-1][is_edge]]]
        return cls(
            top=np.where(downwards, start, end),
            bottom=np.where(downwards, end, start),
            first=np.searchsorted(owner, np.arange(len(geometries) + 1)),
            bounds=shapely.bounds(geometries).reshape(-1, 4),
        )

    def near(self, left: float, top: float, right: float, bottom: float) -> np.ndarray:
        """Return the positions, ascending, of the geometries whose bounds meet a window in level-0 px."""
        b = self.bounds
        return np.flatnonzero((b[:, 0] <= right) & (b[:, 2] >= left) & (b[:, 1] <= bottom) & (b[:, 3] >= top))


def fill(
    image: np.ndarray, edges: EdgeTable, values: np.ndarray, *, x_px: float, y_px: float, px_per_cell: float
) -> None:
    """Paint geometries into `image` in their order, later over earlier.

    Args:
        image: (rows, columns) int16, C-contiguous, painted in place.
        edges: The outlines of R geometries.
        values: (R,) int16, what to paint each geometry with.
        x_px: Left border of the image in level-0 px.
        y_px: Upper border of the image in level-0 px.
        px_per_cell: Side of a cell in level-0 px.
    """
    rows, columns = image.shape
    regions = edges.near(x_px, y_px, x_px + columns * px_per_cell, y_px + rows * px_per_cell)
    counts = edges.first[regions + 1] - edges.first[regions]
    owner = np.repeat(regions, counts)
    chosen = np.repeat(edges.first[regions], counts) + _places_within(counts)

    # In these units cell centres are whole numbers: column and row.
    corner = np.array([x_px, y_px])
    top = (edges.top[chosen] - corner) / px_per_cell - 0.5
    bottom = (edges.bottom[chosen] - corner) / px_per_cell - 0.5
    first_row = np.ceil(top[:, 1]).clip(0, rows).astype(np.int64)
    end_row = np.ceil(bottom[:, 1]).clip(0, rows).astype(np.int64)
    fall = bottom[:, 1] - top[:, 1]
    slope = (bottom[:, 0] - top[:, 0]) / np.where(fall > 0, fall, 1)  # rounding may leave an edge without height

    for band_start, band_end in _bands(first_row, end_row, rows):
        low = first_row.clip(band_start, band_end)
        crossed_rows = end_row.clip(band_start, band_end) - low
        edge = np.repeat(np.arange(len(chosen)), crossed_rows)
        row = low[edge] + _places_within(crossed_rows)
        column = np.ceil(top[edge, 0] + (row - top[edge, 1]) * slope[edge]).clip(0, columns).astype(np.int64)
        key = (owner[edge] * rows + row) * (columns + 1) + column
        key.sort()
        _paint(image, values, starts=key[0::2], ends=key[1::2])


def _paint(image: np.ndarray, values: np.ndarray, *, starts: np.ndarray, ends: np.ndarray) -> None:
    """Paint the spans from each start to its end; both are keys made of geometry, row and column."""
    rows, columns = image.shape
    seen = ends > starts
    line, start = np.divmod(starts[seen], columns + 1)
    length = ends[seen] - starts[seen]
    region, row = np.divmod(line, rows)
    begin = row * columns + start
    cells = image.reshape(-1)
    for a, b, value in zip(begin.tolist(), (begin + length).tolist(), values[region].tolist(), strict=True):
        cells[a:b] = value


def _bands(first_row: np.ndarray, end_row: np.ndarray, rows: int) -> list[tuple[int, int]]:
    """Divide the rows into bands of about CROSSINGS_AT_ONCE crossings, to bound the memory."""
    change = np.bincount(first_row, minlength=rows + 1) - np.bincount(end_row, minlength=rows + 1)
    crossings = np.cumsum(change)[:rows]
    band_of_row = np.cumsum(crossings) // CROSSINGS_AT_ONCE
    cuts = np.flatnonzero(np.diff(band_of_row)) + 1
    borders = [0, *cuts.tolist(), rows]
    return list(pairwise(borders))


def _places_within(counts: np.ndarray) -> np.ndarray:
    """Return 0 … n − 1 for each n of `counts`, concatenated."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
