"""Which tiles of a map are looked at closely, after a first pass at low power, and the record of that pass."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from hviskd.arrays import NO_CLASS, Bools, Floats32

Integers = NDArray[np.integer]


class FirstPass(BaseModel):
    """How the tiles of a map were read that were not looked at closely.

    Attributes:
        tile_px: Side of a tile at low power.
        mpp: µm a px of it.
        unsure_below: Tiles whose top probability was lower were looked at closely.
        closely: Number of tiles that were, also because classes met there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    tile_px: int = Field(gt=0)
    mpp: float = Field(gt=0)
    unsure_below: float = Field(ge=0, le=1)
    closely: int = Field(ge=0)


def to_look_at_closely(row: Integers, column: Integers, probabilities: Floats32, unsure_below: float) -> Bools:
    """Return which tiles a first pass leaves open: where it is unsure, and where classes meet.

    Args:
        row: (N,) grid rows of the tiles, each place once.
        column: (N,) grid columns.
        probabilities: (N, K), of the first pass.
        unsure_below: Of the most probable class.

    Returns:
        (N,): whether the top probability is lower, or a tile above, below, to the left or to the right has another
        class.
    """
    unsure: Bools = probabilities.max(axis=1) < unsure_below
    if not len(row):
        return unsure
    row, column = row - row.min() + 1, column - column.min() + 1  # an empty cell all round
    classes = probabilities.argmax(axis=1)
    cells = np.full((row.max() + 2, column.max() + 2), NO_CLASS, np.int16)
    cells[row, column] = classes
    meets = np.zeros(len(row), np.bool_)
    for down, across in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        beside = cells[row + down, column + across]
        meets |= (beside != NO_CLASS) & (beside != classes)
    return unsure | meets
