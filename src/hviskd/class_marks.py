"""Class numbers on the regions of maps and cut tiles, for readers who cannot tell the colours apart."""

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hviskd.arrays import Bools, Colour
from hviskd.mask_shapes import depth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARK_PT = 7.0
_MARKS_EACH = 6  # of a class at most
_APART_PT = 70.0
_BLACK: Colour = (0, 0, 0)
_WHITE: Colour = (255, 255, 255)


class Mark(NamedTuple):
    """A class's number where the class is on a grid: x and y in cells, what to write, and the colour below."""

    x: float
    y: float
    mark: str
    colour: Colour


def mark_inks(colour: Colour) -> tuple[Colour, Colour]:
    """Return the colours of a mark on a colour: black or white, whichever contrasts more, and the other for its rim."""
    red, green, blue = (part / 255 for part in colour)
    light = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.18  # black and white contrast alike there
    return (_BLACK, _WHITE) if light else (_WHITE, _BLACK)


def place_marks(regions: Iterable[tuple[Bools, str, Colour]], *, cell_pt: float) -> Iterator[Mark]:
    """Yield the number of every class where it has most room, up to six times, without overlaps.

    Args:
        regions: For each class where it is on a grid, bool (rows, columns), its number and its colour.
        cell_pt: Side of a cell in points.
    """
    taken: list[tuple[float, float]] = []
    for inside, mark, colour in regions:
        for place in _roomy_places(inside, cell_pt):
            if all(math.dist(place, other) * cell_pt > 1.5 * MARK_PT for other in taken):
                taken.append(place)
                yield Mark(*place, mark, colour)


def write_mark(axes: "Axes", x: float, y: float, mark: str, colour: Colour) -> None:
    """Draw a class's number on its colour into a figure of matplotlib, in the inks of `mark_inks`."""
    from matplotlib.patheffects import withStroke

    ink, rim = ([part / 255 for part in each] for each in mark_inks(colour))
    effects = [withStroke(linewidth=1.5, foreground=rim)]
    text = axes.text(x, y, mark, color=ink, fontsize=MARK_PT, fontweight="bold", path_effects=effects)
    text.set(ha="center", va="center")


def _roomy_places(inside: Bools, cell_pt: float) -> Iterator[tuple[float, float]]:
    """Yield places (x, y), in cells, deep inside and far from each other; at least the deepest one."""
    room = depth(inside) * cell_pt
    y, x = np.ogrid[: inside.shape[0], : inside.shape[1]]
    for number in range(_MARKS_EACH):
        row, column = np.unravel_index(int(room.argmax()), room.shape)
        if room[row, column] < (0.65 * MARK_PT if number else 1e-9):
            break
        yield float(column) + 0.5, float(row) + 0.5
        room[np.hypot(y - row, x - column) * cell_pt < _APART_PT] = 0
