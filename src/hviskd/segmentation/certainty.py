"""Marks tiles as unsure in the figures and the QuPath file of a map."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import NO_CLASS, NO_CLASS_BYTE, Colour
from hviskd.segmentation.slide_map import SlideMap

UNSURE = "unsure"
UNSURE_COLOUR: Colour = (150, 150, 150)


class Labels(NamedTuple):
    """The classes of a map, followed by 'unsure' if requested.

    Attributes:
        names: What the labels mean; a label is a position in it.
        colours: One RGB colour a label.
        of_tiles: int64 (N,), label of each tile.
        of_cells: int16 (rows, columns), label of each cell of the class grid; −1 where there is no tile.
        unsure_below: Probability from which on a class counts; None where every class does.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    of_tiles: NDArray[np.int64]
    of_cells: NDArray[np.int16]
    unsure_below: float | None = None

    def areas_mm2(self, stride_um: float) -> NDArray[np.float64]:
        """Return the area of each label, float64 (labels,): its cells, each `stride_um` wide."""
        cells = np.bincount(self.of_cells[self.of_cells != NO_CLASS], minlength=len(self.names))
        return cells.astype(np.float64) * (stride_um**2 / 1e6)


def label_map(slide_map: SlideMap, unsure_below: float | None = None) -> Labels:
    """Assign to every tile and cell its most probable class, or 'unsure' if that is below the threshold.

    Args:
        slide_map: A map.
        unsure_below: Probability of the most probable class from which on it counts; the map's own if not given, and
            0 takes every class.

    Raises:
        ValueError: `unsure_below` is not between 0 and 1.
    """
    of_tiles, of_cells = slide_map.class_index, slide_map.class_grid().astype(np.int16)
    of_cells[of_cells == NO_CLASS_BYTE] = NO_CLASS
    unsure_below = slide_map.card.unsure_below if unsure_below is None else unsure_below
    if not unsure_below:
        return Labels(slide_map.classes, slide_map.colours, of_tiles, of_cells)
    check_share(unsure_below, "unsure_below")
    unsure = len(slide_map.classes)
    of_tiles = np.where(slide_map.probabilities.max(axis=1) < unsure_below, unsure, of_tiles)
    of_cells[slide_map.grid().max(axis=-1) < unsure_below] = unsure  # NaN, where there is no tile, is not below
    return Labels((*slide_map.classes, UNSURE), (*slide_map.colours, UNSURE_COLOUR), of_tiles, of_cells, unsure_below)


def check_share(share: float, name: str) -> None:
    """Raise ValueError if `share` is not between 0 and 1."""
    if not 0 <= share <= 1:
        raise ValueError(f"{name} must be between 0 and 1, not {share}")
