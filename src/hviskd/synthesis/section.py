"""Lays out a whole section of a synthetic glioblastoma as a map of classes.

From outside in: glass, leading edge, infiltrating tumour, cellular tumour; in the tumour necrosis, along whose rim
pseudopalisades and a perinecrotic zone take turns, and islands of proliferating vessels. What a class takes is a share
of the section, so that all eight are there however large it is; a zone that has a width in life keeps it in µm.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hviskd.arrays import Bools, ClassImage
from hviskd.errors import DataError
from hviskd.synthesis.layout import (
    CELLULAR,
    F32,
    GLASS,
    INFILTRATING,
    LEADING_EDGE,
    NECROSIS,
    PALISADING,
    PERINECROTIC,
    VASCULAR,
    require_drawable,
    waves,
)

_MIN_SIDE_PX = 64
_MAX_CELL_UM = 8.0  # a palisade is some 30 µm wide
_CELLS_ACROSS = 250
_BAND_ROWS = 256
_BORDER_BLUR_CELLS = 1.2  # rounds what the grid makes angular


@dataclass(frozen=True)
class _Grid:
    """A coarse grid over a section; fields on it are float32 (rows, columns)."""

    y_um: F32  # centres of its rows
    x_um: F32
    cell_um: float
    radius_um: float  # half the section's short side: the measure of what lies in it
    rng: np.random.Generator

    def noise(self, shortest: float, longest: float) -> F32:
        """Return a smooth field of variance 1; wavelengths are in radii."""
        return waves(self.rng, self.y_um, self.x_um, shortest * self.radius_um, longest * self.radius_um)

    def depth_um(self, inside: Bools) -> F32:
        """Return the distance of each place in `inside` from the outside."""
        depth: F32 = (ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1] * self.cell_um).astype(np.float32)
        return depth


def lay_out_section(width_px: int, height_px: int, *, mpp: float = 0.5, rng: np.random.Generator) -> ClassImage:
    """Lay out the classes of a section, for `draw_tissue` to draw.

    Args:
        width_px: Width of the slide, from 64.
        height_px: Its height, from 64.
        mpp: µm a pixel, from 0.1 to 4.
        rng: The only source of chance: from the same state comes the same section.

    Returns:
        Index in `TISSUE_CLASSES` of every pixel, uint8 (height_px, width_px); glass all round.

    Raises:
        DataError: A side or `mpp` is out of range.
    """
    if min(width_px, height_px) < _MIN_SIDE_PX:
        raise DataError(f"section: {width_px} × {height_px} px are too small; give at least {_MIN_SIDE_PX} per side")
    require_drawable(mpp)
    radius_um = min(width_px, height_px) * mpp / 2
    cell_um = min(2 * radius_um / _CELLS_ACROSS, _MAX_CELL_UM)
    y_um, x_um = (
        ((np.arange(int(np.ceil(side * mpp / cell_um))) + 0.5) * cell_um).astype(np.float32)
        for side in (height_px, width_px)
    )
    grid = _Grid(y_um, x_um, cell_um, radius_um, rng)
    tissue = _piece(grid, width_px * mpp, height_px * mpp)
    classes = np.full(tissue.shape, GLASS, np.uint8)
    core = _zones(classes, tissue, grid)
    _necrosis(classes, core, grid)
    _islands(classes, grid)
    _drop_specks(classes, (0.06 * radius_um / cell_um) ** 2)
    return _enlarge(classes, (height_px, width_px), mpp / cell_um)


def _piece(grid: _Grid, width_um: float, height_um: float) -> Bools:
    """Return the piece of tissue: rounded, with a wavy outline, away from the slide's border."""
    v, u = (2 * along / whole - 1 for along, whole in ((grid.y_um[:, None], height_um), (grid.x_um[None, :], width_um)))
    roundness = grid.rng.uniform(2.0, 3.2)
    from_centre = (np.abs(u) ** roundness + np.abs(v) ** roundness) ** (1 / roundness)
    outline = from_centre + 0.07 * grid.noise(0.7, 2.2) + 0.018 * grid.noise(0.12, 0.5)
    inside = (outline < 0.81) & (np.maximum(np.abs(u), np.abs(v)) < 0.98)
    return np.asarray(ndimage.binary_fill_holes(_largest(inside)), bool)


def _largest(mask: Bools) -> Bools:
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == sizes.argmax())


def _zones(classes: ClassImage, tissue: Bools, grid: _Grid) -> Bools:
    """Place leading edge, infiltrating and cellular tumour; return the last.

    The tumour lies to one side, as where a surgeon came from there: brain is wide on the other.
    """
    turn = grid.rng.uniform(0, 2 * np.pi)
    tilt = np.sin(turn) * grid.y_um[:, None] + np.cos(turn) * grid.x_um[None, :]
    inwards = (
        grid.depth_um(tissue) / grid.radius_um
        + 0.35 * (tilt - tilt.mean()) / grid.radius_um
        + 0.08 * grid.noise(0.5, 1.2)
        + 0.02 * grid.noise(0.1, 0.3)
    )
    leading, infiltrating = grid.rng.uniform(0.16, 0.24), grid.rng.uniform(0.15, 0.21)
    edges = np.quantile(inwards[tissue], (leading, leading + infiltrating))
    classes[tissue] = CELLULAR
    classes[tissue & (inwards < edges[1])] = INFILTRATING
    classes[tissue & (inwards < edges[0])] = LEADING_EDGE
    return classes == CELLULAR


def _necrosis(classes: ClassImage, core: Bools, grid: _Grid) -> None:
    """Place necrosis deep in the tumour, and palisades and the perinecrotic zone alternately on its rim."""
    depth = grid.depth_um(core)
    dead_end = depth / depth.max() + 0.35 * _capped(grid, 0.5, 1.1) + 0.06 * grid.noise(0.08, 0.25)
    deep = core & (depth > 0.12 * grid.radius_um)
    necrosis = deep & (dead_end > np.quantile(dead_end[deep], 1 - grid.rng.uniform(0.22, 0.32)))
    from_necrosis = grid.depth_um(~necrosis)
    turns = _capped(grid, 0.4, 0.9)
    rim = core & ~necrosis & (from_necrosis < 0.15 * grid.radius_um)
    palisading = turns > np.quantile(turns[rim], grid.rng.uniform(0.45, 0.6))
    waver = 1 + 0.2 * grid.noise(0.15, 0.5)
    palisade_um, perinecrotic_um = min(0.15 * grid.radius_um, 130), min(0.19 * grid.radius_um, 240)
    classes[core & ~palisading & (from_necrosis < perinecrotic_um * waver)] = PERINECROTIC
    classes[core & palisading & (from_necrosis < palisade_um * waver)] = PALISADING
    classes[necrosis] = NECROSIS


def _islands(classes: ClassImage, grid: _Grid) -> None:
    """Place islands of vessels, and of palisades around foci of their own, in the remaining tumour."""
    for index, low, high, gap in ((VASCULAR, 0.24, 0.32, 0.02), (PALISADING, 0.03, 0.06, 0.06)):
        room = (classes == CELLULAR) & (grid.depth_um(classes == CELLULAR) > gap * grid.radius_um)
        if not room.any():
            continue
        wanted = grid.rng.uniform(low, high) * np.count_nonzero(classes == CELLULAR) / np.count_nonzero(room)
        field = _capped(grid, 0.4, 0.8) + 0.1 * grid.noise(0.08, 0.2)
        field += 0.4 * grid.depth_um(classes == CELLULAR) / (0.2 * grid.radius_um)  # whole islands, few slivers
        classes[room & (field > np.quantile(field[room], max(1 - wanted, 0)))] = index


def _capped(grid: _Grid, shortest: float, longest: float) -> F32:
    """Return noise that gives a large section more foci, not larger ones: wavelengths in radii, at most some mm."""
    scale = min(1.0, 900 / grid.radius_um)
    return grid.noise(shortest * scale, longest * scale)


def _drop_specks(classes: ClassImage, least_cells: float) -> None:
    """Merge pieces of fewer cells into their surroundings."""
    specks = np.zeros(classes.shape, bool)
    for index in np.unique(classes):
        pieces, _ = ndimage.label(classes == index)
        small = np.bincount(pieces.ravel()) < least_cells
        small[0] = False
        specks |= small[pieces]
    if specks.any() and not specks.all():
        rows, columns = ndimage.distance_transform_edt(specks, return_distances=False, return_indices=True)
        classes[...] = classes[rows, columns]


def _enlarge(classes: ClassImage, shape: tuple[int, int], cells_per_px: float) -> ClassImage:
    """Yield the map at full size with smooth borders, in bands of rows."""
    present = np.unique(classes)
    shares = [ndimage.gaussian_filter((classes == index).astype(np.float32), _BORDER_BLUR_CELLS) for index in present]
    places = [(np.arange(side) + 0.5) * cells_per_px - 0.5 for side in shape]
    out = np.empty(shape, np.uint8)
    for first in range(0, shape[0], _BAND_ROWS):
        band = out[first : first + _BAND_ROWS]
        best = np.full(band.shape, -1, np.float32)
        for index, share in zip(present, shares, strict=True):
            rows = _lerp(share, places[0][first : first + _BAND_ROWS])
            if not rows.any():
                continue
            part = _lerp(rows.T, places[1]).T
            higher = part > best
            best[higher] = part[higher]
            band[higher] = index
    return out


def _lerp(values: F32, position: NDArray[np.floating]) -> F32:
    """Interpolate rows linearly at fractional positions, clamped to the outermost."""
    position = np.clip(position, 0, len(values) - 1.001)
    below = position.astype(np.intp)
    share = (position - below).astype(np.float32)[:, None]
    return values[below] * (1 - share) + values[below + 1] * share
