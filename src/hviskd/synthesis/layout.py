"""Lays out the tissue of a synthetic region.

A region is laid out on a coarse grid. Every grid cell is a mixture of a few tissue states (necrosis, tumour,
vessel wall, ...), and every property the drawing needs (nuclei per mm², eosin, ...) is the same mixture of
the states' properties. Classes differ in how they mix the states, which is why neighbouring classes look
alike where they do in life.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hviskd.arrays import Colour
from hviskd.errors import DataError

F32 = NDArray[np.float32]

CELL_UM = 2.0  # a quarter of a nucleus: fine enough for a palisade, coarse enough to cost nothing
MARGIN_UM = 24.0  # nuclei and vessels centred just outside the region reach into it
_MPP_RANGE = (0.1, 4.0)  # beyond it, nuclei are larger than tiles or smaller than px


def require_drawable(mpp: float) -> None:
    """Raise a DataError if tissue cannot be drawn at this µm/px."""
    if not _MPP_RANGE[0] <= mpp <= _MPP_RANGE[1]:
        raise DataError(f"`mpp={mpp}`: must be from {_MPP_RANGE[0]} to {_MPP_RANGE[1]} µm/px")


@dataclass(frozen=True)
class TissueClass:
    """A class that an expert outlines: its short name, its description, and its RGB colour in a mask."""

    name: str
    description: str
    colour: Colour


TISSUE_CLASSES: tuple[TissueClass, ...] = (
    TissueClass("CTne", "Necrosis: dead tissue, pale and smudged, with debris and few nuclei", (5, 5, 5)),
    TissueClass("IT", "Infiltrating tumour: brain with scattered irregular tumour nuclei", (210, 5, 208)),
    TissueClass("LE", "Leading edge: near-normal brain with few, round nuclei", (33, 143, 166)),
    TissueClass("CT", "Cellular tumour: densely packed nuclei of many shapes and sizes", (5, 208, 4)),
    TissueClass("CTmvp", "Microvascular proliferation: tufts of vessels with walls several nuclei thick", (255, 51, 0)),
    TissueClass(
        "CTpan", "Pseudopalisading cells around necrosis: a dense fringe of nuclei around a pale core", (6, 208, 170)
    ),
    TissueClass("CTpnz", "Perinecrotic zone: tumour that thins out and shrinks towards necrosis", (67, 209, 248)),
    TissueClass("BG", "Background: empty glass", (255, 255, 255)),
)
NECROSIS, INFILTRATING, LEADING_EDGE, CELLULAR, VASCULAR, PALISADING, PERINECROTIC, GLASS = range(8)

_STATES = ("necrosis", "grey", "white", "tumour", "palisade", "dying", "wall", "lining", "lumen", "glass")
# What a microscope sees of each state; stain amounts are optical densities at unit stain strength.
# fmt: off
_PROPERTIES = {
    #                   necro grey  white tumou palis dying wall  linin lumen glass
    "nuclei_per_mm2":  (  420,  900, 1400,17000,26000, 3000,26000,    0,    0,    0),  # before crowded ones are dropped
    "diameter_um":     (  6.5,  7.8,  7.2,  8.1,  7.8,  6.8,  7.2,  7.2,  8.0,  8.0),  # of a circle of a nucleus's area
    "elongation":      (  1.3,  1.2,  1.2,  1.5,  2.1,  1.4,  2.0,  2.0,  1.2,  1.2),  # long over short axis of nuclei
    "disorder":        (  1.2,  1.5,  1.0,  0.5,  0.2,  0.9,  0.2,  0.2,  1.0,  1.0),  # spread of angles, radians
    "darkness":        ( 0.50, 0.85, 1.00, 0.97, 1.10, 0.95, 0.95, 0.95, 0.90, 0.90),  # haematoxylin in nuclei
    "pleomorphism":    ( 0.35, 0.16, 0.14, 0.26, 0.20, 0.30, 0.16, 0.16, 0.10, 0.10),  # relative spread among nuclei
    "room":            ( 0.90, 0.95, 0.95, 0.88, 0.86, 0.92, 0.78, 0.78, 0.95, 0.95),  # share of radii kept apart
    "chromatin":       ( 0.08, 0.18, 0.12, 0.16, 0.13, 0.10, 0.16, 0.16, 0.10, 0.10),  # contrast within nuclei
    "pyknosis":        ( 0.40, 0.02, 0.02, 0.03, 0.05, 0.58, 0.01, 0.00, 0.00, 0.00),  # share shrunken and black
    "ghosts":          ( 0.60, 0.12, 0.10, 0.16, 0.08, 0.28, 0.12, 0.00, 0.00, 0.00),  # share faded or unsharp
    "halo":            ( 0.10, 0.80, 0.80, 0.80, 0.60, 0.80, 0.15, 0.00, 0.00, 0.00),  # shrinkage clefts round nuclei
    "eosin":           ( 0.26, 0.24, 0.28, 0.24, 0.26, 0.26, 0.34, 0.37, 0.03, 0.00),
    "basophilia":      ( 0.07, 0.14, 0.15, 0.28, 0.26, 0.14, 0.24, 0.22, 0.00, 0.00),  # haematoxylin between nuclei
    "fibre":           ( 0.10, 0.15, 0.27, 0.19, 0.22, 0.17, 0.25, 0.22, 0.10, 0.00),  # contrast of fibrils
    "grain":           ( 0.17, 0.18, 0.10, 0.11, 0.09, 0.15, 0.07, 0.05, 0.10, 0.00),  # contrast of granules
    "mottle":          ( 0.24, 0.17, 0.19, 0.27, 0.24, 0.27, 0.18, 0.10, 0.20, 0.00),  # contrast of cell-sized clouds
    "clefts":          ( 0.20, 0.45, 0.80, 0.95, 0.90, 0.80, 0.25, 0.00, 0.00, 0.00),  # torn along the fibres
    "vacuoles_per_mm2":(  150, 1200,  500,  200,  100,  350,    0,    0,    0,    0),
    "debris_per_mm2":  ( 3000,    0,    0,   60,  150,  900,    0,    0,    0,    0),
}
# fmt: on
_TABLE = np.array(list(_PROPERTIES.values()), np.float32)


@dataclass(frozen=True)
class Layout:
    """The layout of a region: maps on a grid of `CELL_UM` that begins `MARGIN_UM` outside the region.

    Attributes:
        maps: float32 (rows, columns) under each name of `_PROPERTIES`, and under `lumen`, `vessel` (lumen and
            wall) and `glass` their share.
        along_x: float32 (rows, columns), x part of the unit vector along which the tissue runs.
        along_y: the y part.
    """

    maps: dict[str, F32]
    along_x: F32
    along_y: F32

    def cells(self, y_um: F32, x_um: F32) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return row and column of the nearest cells to these places, the outermost for places beyond."""
        rows, columns = self.along_x.shape
        row = np.clip(((y_um + MARGIN_UM) / CELL_UM).astype(np.intp), 0, rows - 1)
        column = np.clip(((x_um + MARGIN_UM) / CELL_UM).astype(np.intp), 0, columns - 1)
        return row, column

    @staticmethod
    def enlarge(values: F32, y_um: F32, x_um: F32) -> F32:
        """Interpolate a map linearly onto the grid of `y_um` (H,) and `x_um` (W,), float32 (H, W)."""
        rows = _lerp(values, (y_um + MARGIN_UM) / CELL_UM - 0.5, axis=0)
        return _lerp(rows, (x_um + MARGIN_UM) / CELL_UM - 0.5, axis=1)


def _lerp(values: F32, position: F32, axis: int) -> F32:
    """Interpolate `values` linearly along an axis at fractional positions."""
    position = np.clip(position, 0, values.shape[axis] - 1.001)
    below = position.astype(np.intp)
    share = np.expand_dims((position - below).astype(np.float32), 1 - axis)
    lower = values.take(below, axis)
    return lower + share * (values.take(below + 1, axis) - lower)


def waves(
    rng: np.random.Generator, y_um: F32, x_um: F32, shortest_um: float, longest_um: float, count: int = 24
) -> F32:
    """Return a smooth random field of mean 0 and variance 1 on the grid `y_um` × `x_um`, float32 (H, W).

    A sum of plane waves of all directions: its statistics do not depend on how large the region is, as those
    of filtered noise would in a tile smaller than the filter.
    """
    turn = 2 * np.pi * (np.arange(count) + rng.random(count)) / count
    wave_number = 2 * np.pi / (shortest_um * (longest_um / shortest_um) ** rng.random(count))
    phase = 2 * np.pi * rng.random(count)
    across = (np.outer(y_um, wave_number * np.sin(turn)) + phase).astype(np.float32)
    along = np.outer(wave_number * np.cos(turn), x_um).astype(np.float32)
    # Not a matrix product: at a tile's size, BLAS takes longer to wake its threads than to multiply.
    field: F32 = np.einsum(
        "hm,mw->hw", np.hstack([np.cos(across), np.sin(across)]), np.vstack([np.cos(along), -np.sin(along)])
    )
    return field * np.float32(np.sqrt(2 / count))


def smoothstep(values: F32, low: float, high: float) -> F32:
    """Rise smoothly from 0 at `low` to 1 at `high`."""
    share = np.clip((values - low) / (high - low), 0, 1)
    smooth: F32 = share * share * (3 - 2 * share)
    return smooth


def lay_out(class_map: NDArray[np.integer], mpp: float, rng: np.random.Generator) -> Layout:
    """Lay out a region whose pixels have class indices, int (H, W), at `mpp` µm/px."""
    y_um, x_um = (np.arange(-MARGIN_UM, size * mpp + MARGIN_UM, CELL_UM, dtype=np.float32) for size in class_map.shape)
    rows, columns = (
        np.clip((places / mpp).astype(np.intp), 0, size - 1)
        for places, size in zip((y_um, x_um), class_map.shape, strict=True)
    )
    classes = class_map[np.ix_(rows, columns)]
    present = [int(index) for index in np.unique(classes)]
    shares = _class_shares(classes, present, waves(rng, y_um, x_um, 8, 40))

    slow = waves(rng, y_um, x_um, 250, 700)  # differs from tile to tile, hardly within one
    patchy = waves(rng, y_um, x_um, 40, 140)  # cell nests and bare spots
    mix = np.zeros((len(_STATES), *classes.shape), np.float32)
    direction = _swirl(rng, y_um, x_um)
    from_necrosis = _distance_from_necrosis(classes, present, rng, y_um, x_um)
    for index in present:
        share = shares[index]
        if index == VASCULAR:
            from_lumen = _distance_from_lumen(classes == VASCULAR, rng, y_um, x_um)
            direction = _turn_to(direction, from_lumen, share * smoothstep(-from_lumen, -26, -18), across=False)
            parts = _vascular(from_lumen)
        elif index == PALISADING:
            fringe = share * smoothstep(-from_necrosis, -48, -30)
            direction = _turn_to(direction, from_necrosis, fringe, across=True)
            parts = _palisading(from_necrosis)
        elif index == PERINECROTIC:
            parts = _perinecrotic(from_necrosis, slow, patchy)
        else:
            parts = _plain(index, slow, patchy)
        for name, part in parts.items():
            mix[_STATES.index(name)] += share * part

    properties = np.einsum("ps,shw->phw", _TABLE, mix)
    maps = dict(zip(_PROPERTIES, properties, strict=True))
    maps["nuclei_per_mm2"] = maps["nuclei_per_mm2"] * np.exp(0.18 * patchy + 0.12 * slow)
    maps |= {name: mix[_STATES.index(name)] for name in ("lumen", "glass")}
    maps["vessel"] = sum((mix[_STATES.index(name)] for name in ("lining", "wall")), start=maps["lumen"])
    along_x, along_y = _half_angle(direction)
    return Layout(maps, along_x, along_y)


def _class_shares(classes: NDArray[np.integer], present: list[int], ragged: F32) -> dict[int, F32]:
    """Blend the classes over some µm where they meet; glass begins sharply, with a ragged edge."""
    if len(present) == 1:
        return {present[0]: np.ones(classes.shape, np.float32)}
    shares = {index: ndimage.gaussian_filter((classes == index).astype(np.float32), 5 / CELL_UM) for index in present}
    if GLASS in shares:
        glass = smoothstep(shares[GLASS] + 0.1 * ragged, 0.4, 0.6)
        tissue: F32 = (1 - glass) / np.maximum(1 - shares[GLASS], 1e-3)  # so that the shares still add up to 1
        return {index: glass if index == GLASS else tissue * share for index, share in shares.items()}
    return shares


def _plain(index: int, slow: F32, patchy: F32) -> dict[str, F32]:
    """Mix the classes without a structure of their own."""
    whole = np.ones_like(slow)
    if index == GLASS:
        return {"glass": whole}
    if index == NECROSIS:
        dying = 0.55 * smoothstep(slow + 0.6 * patchy, 0.0, 2.2)
        return {"necrosis": 1 - dying, "dying": dying}
    if index == CELLULAR:
        tumour = 1 - 0.5 * smoothstep(-slow - 0.4 * patchy, 0.2, 2.2)
    elif index == INFILTRATING:
        tumour = 0.08 + 0.42 * smoothstep(slow + 0.3 * patchy, -1.8, 1.8)
    else:
        tumour = 0.18 * smoothstep(slow + 0.3 * patchy, -0.4, 2.0)
    white = (1 - tumour) * smoothstep(patchy * 0.3 - slow, -0.8, 0.8)
    return {"tumour": tumour, "white": white, "grey": 1 - tumour - white}


def _perinecrotic(from_necrosis: F32, slow: F32, patchy: F32) -> dict[str, F32]:
    """Thin the tumour out towards necrosis, or, if there is none nearby, from one side of a patch to the other."""
    alive = smoothstep(slow + 0.8 * patchy, -2.0, 2.0) * smoothstep(from_necrosis, -10, 90)
    tumour = 0.12 + 0.55 * alive
    return {"tumour": tumour, "dying": (1 - tumour) * 0.85, "necrosis": (1 - tumour) * 0.15}


def _palisading(from_necrosis: F32) -> dict[str, F32]:
    """Place a necrotic core, its dense fringe, and tumour beyond."""
    dead = 1 - smoothstep(from_necrosis, -3, 3)
    fringe = (1 - dead) * (1 - smoothstep(from_necrosis, 24, 42))
    return {"necrosis": dead, "palisade": fringe, "tumour": 1 - dead - fringe}


def _vascular(from_lumen: F32) -> dict[str, F32]:
    """Place lumina, their thick walls, and tumour between the vessels."""
    lumen = 1 - smoothstep(from_lumen, -1.5, 1.5)
    lining = (1 - lumen) * (1 - smoothstep(from_lumen, 1, 4))
    wall = (1 - lumen - lining) * (1 - smoothstep(from_lumen, 16, 22))
    return {"lumen": lumen, "lining": lining, "wall": wall, "tumour": 1 - lumen - lining - wall}


def _distance_from_necrosis(
    classes: NDArray[np.integer], present: list[int], rng: np.random.Generator, y_um: F32, x_um: F32
) -> F32:
    """Return the distance to necrosis in µm, negative inside: class CTne and the cores of palisades."""
    dead = classes == NECROSIS
    if PALISADING in present:
        serpentine = waves(rng, y_um, x_um, 90, 150) + 0.12 * waves(rng, y_um, x_um, 15, 40)
        palisading = classes == PALISADING
        # A share of the area, not a fixed height: every tile of the class then shows core and fringe.
        height = np.quantile(serpentine[palisading], 1 - rng.uniform(0.15, 0.5))
        dead = dead | (palisading & (serpentine > height))
    if not dead.any() or dead.all():
        return np.full(classes.shape, -np.inf if dead.any() else np.inf, np.float32)
    outside = ndimage.distance_transform_edt(~dead) - ndimage.distance_transform_edt(dead)
    return ndimage.gaussian_filter((outside * CELL_UM).astype(np.float32), 1.5)


def _distance_from_lumen(vascular: NDArray[np.bool_], rng: np.random.Generator, y_um: F32, x_um: F32) -> F32:
    """Return the distance to the nearest vessel lumen in µm, negative inside; tufts have one to three lumina."""
    spacing_um = 74.0  # so that nearly every tile of 75 µm has a vessel
    tuft_y, tuft_x = np.meshgrid(
        *(np.arange(along[0] - spacing_um * rng.random(), along[-1], spacing_um) for along in (y_um, x_um)),
        indexing="ij",
    )
    lumina = rng.integers(1, 4, tuft_y.size)
    centres_y, centres_x = (
        np.repeat(tufts.ravel() + rng.uniform(-18, 18, tufts.size), lumina) + rng.normal(0, 13, lumina.sum())
        for tufts in (tuft_y, tuft_x)
    )
    far_um, reach = 200.0, int(50 / CELL_UM)
    distance = np.full(vascular.shape, far_um, np.float32)
    for centre_y, centre_x in zip(centres_y, centres_x, strict=True):
        short_um, turn = rng.uniform(3.0, 7.5), rng.uniform(0, np.pi)
        long_um = short_um * rng.uniform(1.0, 2.6)
        row, column = int((centre_y - y_um[0]) / CELL_UM), int((centre_x - x_um[0]) / CELL_UM)
        near = np.s_[max(row - reach, 0) : max(row + reach, 0), max(column - reach, 0) : max(column + reach, 0)]
        if not vascular[near].any():
            continue
        dy, dx = (y_um[near[0]] - centre_y)[:, None], (x_um[near[1]] - centre_x)[None, :]
        u, v = np.cos(turn) * dx + np.sin(turn) * dy, np.cos(turn) * dy - np.sin(turn) * dx
        span = np.hypot(u / long_um, v / short_um) + 1e-6
        outside = np.hypot(u, v) * (1 - 1 / span)  # along the ray from the centre
        np.minimum(distance[near], outside, out=distance[near])
    wobble: F32 = 2.2 * waves(rng, y_um, x_um, 10, 35)
    return distance + wobble


def _swirl(rng: np.random.Generator, y_um: F32, x_um: F32) -> NDArray[np.complex64]:
    """Return an orientation at every cell, as exp(2iθ), since half a turn of θ is the same orientation."""
    field = waves(rng, y_um, x_um, 180, 420) + 1j * waves(rng, y_um, x_um, 180, 420)
    waver = np.exp(0.6j * waves(rng, y_um, x_um, 14, 60))
    return (waver * field / (np.abs(field) + 1e-6)).astype(np.complex64)


def _turn_to(direction: NDArray[np.complex64], distance_um: F32, share: F32, *, across: bool) -> NDArray[np.complex64]:
    """Turn the orientation across, or along, the lines of equal distance, by the given fraction."""
    if not np.isfinite(distance_um).all():
        return direction
    slope_y, slope_x = np.gradient(ndimage.gaussian_filter(distance_um, 1.0))
    steep = slope_x + 1j * slope_y
    target = steep**2 / (np.abs(steep) ** 2 + 1e-6) * (1 if across else -1)
    turned = direction * (1 - share) + target * share
    return (turned / (np.abs(turned) + 1e-6)).astype(np.complex64)


def _half_angle(direction: NDArray[np.complex64]) -> tuple[F32, F32]:
    """Return x and y components of the unit vectors at angle θ for exp(2iθ)."""
    theta = (np.angle(direction) / 2).astype(np.float32)
    return np.cos(theta), np.sin(theta)
