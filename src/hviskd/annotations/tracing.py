"""Traces a mask as polygons along the borders of its pixels."""

import numpy as np
import shapely
from shapely import Polygon

EDGE_LIMIT = 300_000  # five seconds and 500 MB; a drawn mask has thousands


def trace(inside: np.ndarray, *, before: int = 0) -> list[Polygon]:
    """Return the polygons, with holes, that cover exactly the true pixels of a mask.

    Pixel (row r, column c) is the square from (c, r) to (c + 1, r + 1). Pixels that share a side share a polygon;
    those that only touch at a corner do not.

    Args:
        inside: (H, W) bool.
        before: Straight pieces that the borders of other masks have, where the limit is meant for all.

    Raises:
        ValueError: The borders have over 300,000 straight pieces.
    """
    framed = np.pad(inside, 1)
    level = framed[1:, 1:-1] != framed[:-1, 1:-1]  # [r, c]: a border from (c, r) to (c + 1, r)
    upright = framed[1:-1, 1:] != framed[1:-1, :-1]  # [r, c]: a border from (c, r) to (c, r + 1)
    turns = np.pad(upright, ((1, 0), (0, 0))) | np.pad(upright, ((0, 1), (0, 0)))  # where level pieces begin and end
    turns &= np.pad(level, ((0, 0), (1, 0))) | np.pad(level, ((0, 0), (0, 1)))
    count = np.count_nonzero(level & turns[:, :-1]) + np.count_nonzero(upright & turns[:-1])
    if before + count > EDGE_LIMIT:
        more = f" plus {before} of those before it," if before else ","
        raise ValueError(f"the border of the mask has {count} segments{more} more than {EDGE_LIMIT}")
    left_to_right = _pieces(level, turns)
    top_to_bottom = _pieces(upright.T, turns.T)[..., ::-1]
    pieces = np.concatenate([left_to_right, top_to_bottom])
    faces = shapely.get_parts(shapely.polygonize(np.array(shapely.linestrings(pieces), dtype=object)))
    column, row = np.floor(shapely.get_coordinates(shapely.point_on_surface(faces))).astype(np.int64).T
    return faces[inside[row, column]].tolist()


def _pieces(border: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Join the unit border segments of each row between turns; returns (N, 2, 2): two ends each, column before row."""
    row, start = np.nonzero(border & turns[:, :-1])
    _, end = np.nonzero(border & turns[:, 1:])
    ends = np.stack([np.stack([start, row], axis=1), np.stack([end + 1, row], axis=1)], axis=1)
    return ends.astype(np.float64)
