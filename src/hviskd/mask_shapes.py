"""Shapes in masks and smoothing of images with NumPy alone, for tissue detection and figures.

Each function gives exactly what SciPy's of the same purpose gives; loading SciPy takes longer than a small slide does.
Only distances in large masks are left to it.
"""

from typing import NamedTuple

import numpy as np

from hviskd.arrays import Bools, Floats, Floats32, Ints

_REACH = 4.0  # standard deviations after which a Gaussian is cut off
_AT_ONCE = 2**20  # values smoothed at a time
_MANY = 100_000  # cells from which SciPy is loaded for distances: its time is linear, NumPy's here grows with the depth


class _Runs(NamedTuple):
    """The runs of True in the rows of a mask, row by row: row, first column, and the column after the last."""

    row: Ints
    start: Ints
    end: Ints

    @classmethod
    def of(cls, mask: Bools) -> "_Runs":
        steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        row, start = np.nonzero(steps == 1)
        return cls(row, start, np.nonzero(steps == -1)[1])

    def components(self, columns: int, *, diagonal: bool) -> Ints:
        """Return for each run the first run of its connected component."""
        width, reach = columns + 2, int(diagonal)  # with room for what lies beside the mask
        below = (self.row + 1) * width
        first = np.searchsorted(self.row * width + self.end, below + self.start - reach, side="right")
        last = np.searchsorted(self.row * width + self.start, below + self.end + reach, side="left")
        count = np.maximum(last - first, 0)
        upper = np.repeat(np.arange(len(self.row)), count)
        lower = np.repeat(first, count) + np.arange(len(upper)) - np.repeat(np.cumsum(count) - count, count)
        return _joined(len(self.row), upper, lower)

    def painted(self, kept: Bools, shape: tuple[int, ...]) -> Bools:
        """Return a mask of some of the runs."""
        steps = np.zeros((shape[0], shape[1] + 1), np.int8)
        steps[self.row[kept], self.start[kept]] = 1
        steps[self.row[kept], self.end[kept]] = -1  # runs never touch, so none begins here
        return np.cumsum(steps[:, :-1], axis=1, dtype=np.int8).astype(np.bool_)


def drop_small(mask: Bools, min_px: float) -> Bools:
    """Keep the connected components (8-connected) of at least `min_px` pixels."""
    runs = _Runs.of(mask)
    component = runs.components(mask.shape[1], diagonal=True)
    size = np.bincount(component, runs.end - runs.start, minlength=len(component))
    return runs.painted(size[component] >= min_px, mask.shape)


def holes(mask: Bools) -> Bools:
    """Find what is not in a mask and cannot be reached from outside it through neighbours side by side."""
    runs = _Runs.of(~mask)
    component = runs.components(mask.shape[1], diagonal=False)
    rows, columns = mask.shape
    at_border = (runs.row == 0) | (runs.row == rows - 1) | (runs.start == 0) | (runs.end == columns)
    open_to_outside = np.zeros(len(component), np.bool_)
    open_to_outside[component[at_border]] = True
    return runs.painted(~open_to_outside[component], mask.shape)


def grown(seeds: Bools, within: Bools) -> Bools:
    """Return the parts of `within`, connected by neighbours side by side, that hold one of the seeds in it."""
    runs = _Runs.of(within)
    component = runs.components(within.shape[1], diagonal=False)
    number = np.zeros(within.shape, np.int64)  # of the runs that began so far, row by row
    number[runs.row, runs.start] = 1
    held = np.cumsum(number).reshape(within.shape)[seeds & within] - 1
    chosen = np.zeros(len(component), np.bool_)
    chosen[component[held]] = True
    return runs.painted(chosen[component], within.shape)


def widened(mask: Bools, px: int) -> Bools:
    """Add what is within so many steps from a mask to neighbours side by side."""
    wide = mask
    for _ in range(px):
        wide, before = wide.copy(), wide
        wide[1:] |= before[:-1]
        wide[:-1] |= before[1:]
        wide[:, 1:] |= before[:, :-1]
        wide[:, :-1] |= before[:, 1:]
    return wide


def depth(mask: Bools) -> Floats:
    """Return the distance of each px of a mask to the nearest one outside it, where beyond the edges all is outside."""
    framed = np.pad(mask, 1)
    if mask.size > _MANY:
        from scipy import ndimage

        return np.asarray(ndimage.distance_transform_edt(framed)[1:-1, 1:-1], np.float64)
    row = np.arange(len(framed))[:, None]
    above = np.maximum.accumulate(np.where(framed, 0, row), axis=0)
    below = np.minimum.accumulate(np.where(framed, len(framed), row)[::-1], axis=0)[::-1]
    vertical = np.minimum(row - above, below - row) ** 2
    square, step = vertical.copy(), 1
    while step**2 < square.max():
        np.minimum(square[:, step:], vertical[:, :-step] + step**2, out=square[:, step:])
        np.minimum(square[:, :-step], vertical[:, step:] + step**2, out=square[:, :-step])
        step += 1
    return np.sqrt(square[1:-1, 1:-1].astype(np.float64))


def smooth_in_place(image: Floats32, sigma_px: float) -> Floats32:
    """Convolve an image, float32 (height, width, channels), with a Gaussian, mirrored at the edges; sums in float64."""
    reach = int(_REACH * sigma_px + 0.5)
    weights = np.exp(-0.5 / sigma_px**2 * np.arange(-reach, reach + 1) ** 2)
    weights = (weights / weights.sum())[reach:]
    for lines in (image.swapaxes(0, 1), image):  # each line by itself: first the columns, then the rows
        count = max(1, _AT_ONCE // (lines.shape[1] * lines.shape[2]))
        for first in range(0, len(lines), count):
            block = lines[first : first + count]
            block[:] = _convolved(block.astype(np.float64), weights)
    return image


def _convolved(lines: Floats, weights: Floats) -> Floats:
    """Convolve (lines, px, channels) along px with a symmetric filter, given from its middle on."""
    reach, length = len(weights) - 1, lines.shape[1]
    mirrored = np.pad(lines, ((0, 0), (reach, reach), (0, 0)), mode="symmetric")
    total = mirrored[:, reach : reach + length] * weights[0]
    for away in range(reach, 0, -1):
        before, after = (mirrored[:, reach + shift : reach + shift + length] for shift in (-away, away))
        total += (before + after) * weights[away]
    return total


def _joined(count: int, one: Ints, other: Ints) -> Ints:
    """Return for each of `count` nodes the first node that pairs connect it with."""
    first = np.arange(count)
    while True:
        ends = first[one], first[other]
        if np.array_equal(*ends):
            return first
        np.minimum.at(first, np.maximum(*ends), np.minimum(*ends))
        while not np.array_equal(first, further := first[first]):
            first = further
