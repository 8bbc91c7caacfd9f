"""Class numbers on the regions of maps and cut tiles, for readers who cannot tell the colours apart."""

import math
from collections.abc import Iterable

import numpy as np
import scipy
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from hviskd.arrays import Colour

_MARK_PT = 7.0
_MARKS_EACH = 6  # of a class at most
_APART_PT = 70.0


def write_mark(axes: Axes, x: float, y: float, mark: str, colour: Colour) -> None:
    """Draw a class's number on its colour: black or white, whichever contrasts more, outlined in the other."""
    red, green, blue = (part / 255 for part in colour)
    light = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.18  # black and white contrast alike there
    ink, rim = ("black", "white") if light else ("white", "black")
    effects = [withStroke(linewidth=1.5, foreground=rim)]
    text = axes.text(x, y, mark, color=ink, fontsize=_MARK_PT, fontweight="bold", path_effects=effects)
    text.set(ha="center", va="center")


def mark_regions(
    axes: Axes, regions: Iterable[tuple[NDArray[np.bool_], str, Colour]], *, cell: float, cell_pt: float
) -> None:
    """Draw the number of every class where it has most room, up to six times, without overlaps.

    Args:
        axes: Where the grid's upper left corner is at (0, 0).
        regions: For each class where it is on a grid, bool (rows, columns), its number and its colour.
        cell: Side of a cell in units of the axes.
        cell_pt: The same in points.
    """
    taken: list[tuple[float, float]] = []
    for inside, mark, colour in regions:
        for place in _roomy_places(inside, cell_pt):
            if all(math.dist(place, other) * cell_pt > 1.5 * _MARK_PT for other in taken):
                taken.append(place)
                write_mark(axes, place[0] * cell, place[1] * cell, mark, colour)


def _roomy_places(inside: NDArray[np.bool_], cell_pt: float) -> list[tuple[float, float]]:
    """Return places (x, y), in cells, deep inside and far from each other; at least the deepest one."""
    depth = scipy.ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1] * cell_pt
    y, x = np.ogrid[: inside.shape[0], : inside.shape[1]]
    places: list[tuple[float, float]] = []
    while len(places) < _MARKS_EACH:
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[row, column] < (0.65 * _MARK_PT if places else 1e-9):
            break
        places.append((float(column) + 0.5, float(row) + 0.5))
        depth[np.hypot(y - row, x - column) * cell_pt < _APART_PT] = 0
    return places
