"""Places and draws the round objects of a synthetic region: nuclei, debris, vacuoles, red cells.

`synthetic_tissue` scatters them once for a region, as its layout asks, and stamps them band by band.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import spatial

from hviskd.synthesis.layout import CELL_UM, F32, MARGIN_UM, Layout

_CHUNK_PIXELS = 20_000  # of stamps painted at once: their temporaries stay in the processor's cache


@dataclass(frozen=True)
class Spots:
    """Soft, bent ellipses, one per entry of the float32 (N,) arrays; lengths in µm, angles in radians."""

    y_um: F32
    x_um: F32
    long_um: F32  # half axes
    short_um: F32
    angle: F32
    stain: F32  # the stain they hold
    soft_um: F32  # width of their edge
    rim: F32  # how much paler than its rim the middle is
    chromatin: F32  # contrast of the texture within
    bend: F32
    taper: F32
    lobe: F32
    room: F32  # share of two spots' radii that must lie between their centres
    halo: F32  # clearing of what lies round them, on the side of `halo_angle`
    halo_angle: F32

    def __len__(self) -> int:
        return len(self.y_um)

    def pick(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """Return the spots at these indices or under this mask."""
        return type(self)(*(getattr(self, field.name)[which] for field in fields(self)))


def _spots(y_um: F32, x_um: F32, **given: NDArray[np.floating] | float) -> Spots:
    """Make spots from the given fields; the others are 0."""
    shape = {field.name: np.float32(0) for field in fields(Spots)} | given | {"y_um": y_um, "x_um": x_um}
    return Spots(**{name: np.broadcast_to(np.asarray(value, np.float32), y_um.shape) for name, value in shape.items()})


def join(*groups: Spots) -> Spots:
    """Join groups of spots."""
    return Spots(*(np.concatenate([getattr(group, field.name) for group in groups]) for field in fields(Spots)))


def _scatter(per_mm2: F32, rng: np.random.Generator) -> tuple[F32, F32]:
    """Draw places of a Poisson process with this intensity per cell, in random order."""
    counts = rng.poisson(np.clip(per_mm2, 0, None) * (CELL_UM * CELL_UM * 1e-6))
    cells = rng.permutation(np.repeat(np.arange(counts.size), counts.ravel()))
    row, column = np.divmod(cells, counts.shape[1])
    y_um, x_um = (((line + rng.random(len(cells))) * CELL_UM - MARGIN_UM).astype(np.float32) for line in (row, column))
    return y_um, x_um


def scatter_nuclei(layout: Layout, density_factor: float, size_factor: float, rng: np.random.Generator) -> Spots:
    """Place the nuclei, their nucleoli and the debris of dead ones."""
    y_um, x_um = _scatter(layout.maps["nuclei_per_mm2"] * density_factor, rng)
    count = len(y_um)
    here = {name: values[layout.cells(y_um, x_um)] for name, values in layout.maps.items()}

    def normal() -> F32:
        return rng.standard_normal(count, dtype=np.float32)

    spread = here["pleomorphism"]
    shrunken = rng.random(count) < here["pyknosis"]
    faded = ~shrunken & (rng.random(count) < here["ghosts"])
    diameter_um = here["diameter_um"] * size_factor * np.exp(0.75 * spread * np.clip(normal(), -2.0, 2.2))
    diameter_um *= np.where(shrunken, 0.62, 1)
    elongation = 1 + (here["elongation"] - 1) * np.exp(0.45 * normal())
    elongation = np.clip(np.where(shrunken, 1 + 0.3 * (elongation - 1), elongation), 1, 3.2)
    row, column = layout.cells(y_um, x_um)
    angle = np.arctan2(layout.along_y[row, column], layout.along_x[row, column]) + here["disorder"] * normal()
    stain = here["darkness"] * np.exp(spread * np.clip(normal(), -2.5, 1.5))
    stain = np.where(shrunken, np.maximum(stain, 0.9) * 1.25, np.where(faded, stain * 0.45, stain))
    nuclei = _spots(
        y_um,
        x_um,
        long_um=diameter_um / 2 * np.sqrt(elongation),
        short_um=diameter_um / 2 / np.sqrt(elongation),
        angle=angle,
        stain=stain,
        soft_um=np.where(faded, 2.2, 0.7 + 0.4 * rng.random(count)),
        rim=np.where(shrunken, 0, 0.35 * rng.random(count)),
        chromatin=np.where(shrunken | faded, 0.03, here["chromatin"] * rng.uniform(0.5, 1.4, count)),
        bend=0.45 * spread * normal(),
        taper=0.4 * spread * normal(),
        lobe=0.16 * spread * np.clip(normal(), -2, 2),
        room=here["room"],
        halo=here["halo"] * np.clip(normal(), 0, 1.5) * ~faded,
        halo_angle=rng.random(count) * (2 * np.pi),
    )
    nuclei = nuclei.pick(_uncrowded(nuclei))
    return join(nuclei, _nucleoli(nuclei, rng), _debris(layout, rng))


def _uncrowded(spots: Spots) -> NDArray[np.bool_]:
    """Mark the spots that remain if each one, in turn, removes the later ones it would overlap."""
    if len(spots) < 2:
        return np.ones(len(spots), bool)
    tree = spatial.cKDTree(np.column_stack([spots.y_um, spots.x_um]))
    pairs = tree.query_pairs(2 * float(spots.long_um.max()), output_type="ndarray")
    first, second = pairs.T
    dy, dx = spots.y_um[second] - spots.y_um[first], spots.x_um[second] - spots.x_um[first]
    apart, bearing = np.hypot(dy, dx), np.arctan2(dy, dx)

    def radius(which: NDArray[np.intp]) -> F32:
        turn = bearing - spots.angle[which]
        long_um, short_um = spots.long_um[which], spots.short_um[which]
        reach: F32 = long_um * short_um / np.hypot(short_um * np.cos(turn), long_um * np.sin(turn))
        return reach

    pairs = pairs[apart < spots.room[first] * (radius(first) + radius(second))]
    stays = [True] * len(spots)
    for earlier, later in pairs[np.argsort(pairs[:, 0], kind="stable")].tolist():
        if stays[earlier]:
            stays[later] = False
    return np.array(stays)


def _nucleoli(nuclei: Spots, rng: np.random.Generator) -> Spots:
    """Add a dark nucleolus to some of the larger, paler nuclei."""
    chosen = nuclei.pick((nuclei.short_um > 3.2) & (rng.random(len(nuclei)) < 0.4))
    along, across = (0.4 * axis * rng.uniform(-1, 1, len(chosen)) for axis in (chosen.long_um, chosen.short_um))
    cos, sin = np.cos(chosen.angle), np.sin(chosen.angle)
    size_um = rng.uniform(0.6, 1.1, len(chosen))
    return _spots(
        (chosen.y_um + sin * along + cos * across).astype(np.float32),
        (chosen.x_um + cos * along - sin * across).astype(np.float32),
        long_um=size_um,
        short_um=size_um,
        stain=chosen.stain * 1.35,
        soft_um=0.8,
    )


def _debris(layout: Layout, rng: np.random.Generator) -> Spots:
    """Place the fragments of burst nuclei: small, dark to faint, in every shape."""
    y_um, x_um = _scatter(layout.maps["debris_per_mm2"], rng)
    size_um = 0.5 + rng.gamma(2.0, 0.35, len(y_um))
    return _spots(
        y_um,
        x_um,
        long_um=size_um * rng.uniform(1, 2, len(y_um)),
        short_um=size_um,
        angle=rng.random(len(y_um)) * np.pi,
        stain=rng.uniform(0.15, 0.9, len(y_um)),
        soft_um=1.2,
    )


def scatter_vacuoles(layout: Layout, rng: np.random.Generator) -> Spots:
    """Place the vacuoles of the neuropil; their `stain` is the share of the tissue they clear."""
    y_um, x_um = _scatter(layout.maps["vacuoles_per_mm2"], rng)
    size_um = np.clip(rng.lognormal(0.45, 0.5, len(y_um)), 0.6, 5.5)
    return _spots(
        y_um,
        x_um,
        long_um=size_um * rng.uniform(1.0, 1.5, len(y_um)),
        short_um=size_um,
        angle=rng.random(len(y_um)) * np.pi,
        stain=rng.beta(1.2, 1.6, len(y_um)),
        soft_um=rng.uniform(1.0, 2.5, len(y_um)),
        lobe=0.1 * rng.standard_normal(len(y_um)),
    )


def scatter_red_cells(layout: Layout, rng: np.random.Generator) -> Spots:
    """Place red cells in the vessels; their `stain` is eosin."""
    full = np.clip(layout.maps["lumen"] * 1.6 - 0.6, 0, 1)
    y_um, x_um = _scatter(full * 20000, rng)
    count = len(y_um)
    cells = _spots(
        y_um,
        x_um,
        long_um=rng.uniform(2.7, 3.6, count),
        short_um=rng.uniform(2.2, 3.0, count),
        angle=rng.random(count) * np.pi,
        stain=rng.uniform(0.45, 0.75, count),
        soft_um=0.9,
        rim=0.5,
        room=0.95,
    )
    return cells.pick(_uncrowded(cells))


def scatter_dust(layout: Layout, rng: np.random.Generator) -> Spots:
    """Place dust on empty glass; its `stain` is the share of the light it absorbs."""
    y_um, x_um = _scatter(layout.maps["glass"] * 40, rng)
    size_um = np.minimum(rng.gamma(2.0, 0.7, len(y_um)) + 0.4, 4)
    return _spots(
        y_um,
        x_um,
        long_um=size_um * rng.uniform(1, 3, len(y_um)),
        short_um=size_um,
        angle=rng.random(len(y_um)) * np.pi,
        stain=rng.uniform(0.05, 0.4, len(y_um)),
        soft_um=2.5,
        bend=0.5 * rng.standard_normal(len(y_um)),
    )


def stamp(spots: Spots, grain: F32, ripple: F32, top_um: float, mpp: float) -> tuple[F32, F32, F32]:
    """Draw the spots on a band of a region; where they overlap, the stronger wins.

    Args:
        spots: What to stamp, placed relative to the region's corner.
        grain: Fine noise of variance 1, float32 (H, W), for the texture within the spots.
        ripple: Coarser noise of variance 1, float32 (H, W), for clumps within them and for their outline.
        top_um: Where the band's first row lies in the region.
        mpp: µm a pixel.

    Returns:
        Stain, cover (0 to 1) and clearing round the spots (0 to 1), each float32 (H, W).
    """
    height, width = grain.shape
    out = tuple(np.zeros(height * width + 1, np.float32) for _ in range(3))  # the last pixel is off the band
    reach_px = (1.35 * spots.long_um + spots.soft_um) / mpp + 1
    y_px, x_px = (spots.y_um - top_um) / mpp - 0.5, spots.x_um / mpp - 0.5
    seen = (y_px > -reach_px) & (y_px < height + reach_px) & (x_px > -reach_px) & (x_px < width + reach_px)
    order = np.flatnonzero(seen)
    order = order[np.argsort(reach_px[order])]
    noise = np.append(grain.ravel(), np.float32(0)), np.append(ripple.ravel(), np.float32(0))
    half = np.ceil(reach_px[order]).astype(np.intp)
    start = 0
    while start < len(order):
        # A window must hold its chunk's largest spot, so spots share one only with those not much larger.
        alike = int(np.searchsorted(half, 1.25 * half[start], side="right"))
        stop = min(alike, start + max(1, _CHUNK_PIXELS // (2 * int(half[alike - 1]) + 1) ** 2))
        chunk = order[start:stop]
        _stamp_chunk(spots.pick(chunk), y_px[chunk], x_px[chunk], int(half[stop - 1]), mpp, noise, (height, width), out)
        start = stop
    stain, cover, clearing = (field[:-1].reshape(height, width) for field in out)
    return stain, cover, clearing


def _stamp_chunk(
    spots: Spots,
    y_px: F32,
    x_px: F32,
    half: int,
    mpp: float,
    noise: tuple[F32, F32],
    shape: tuple[int, int],
    out: tuple[F32, ...],
) -> None:
    """Draw spots of the same window size, `2 * half + 1` px, into the flat fields `out`."""
    offsets = np.arange(-half, half + 1)
    rows, columns = (np.rint(places).astype(np.intp)[:, None] + offsets for places in (y_px, x_px))
    inside = ((rows >= 0) & (rows < shape[0]))[:, :, None] & ((columns >= 0) & (columns < shape[1]))[:, None, :]
    pixels = np.where(inside, rows[:, :, None] * shape[1] + columns[:, None, :], shape[0] * shape[1])
    dy, dx = ((rows - y_px[:, None]) * mpp)[:, :, None], ((columns - x_px[:, None]) * mpp)[:, None, :]

    def each(values: F32) -> F32:
        return values.astype(np.float32)[:, None, None]

    cos, sin = np.cos(each(spots.angle)), np.sin(each(spots.angle))
    long_um, short_um = each(spots.long_um), each(spots.short_um)
    dy, dx = dy.astype(np.float32), dx.astype(np.float32)
    u = (cos * dx + sin * dy) / long_um
    v = (cos * dy - sin * dx) / short_um
    v = (v + each(spots.bend) * (u * u - 0.4)) * (1 + each(spots.taper) * np.clip(u, -1.4, 1.4))
    square = u * u + v * v
    radius = np.sqrt(square) + each(spots.lobe) * u * (u * u - 3 * v * v) / (square + 0.3)
    grain, ripple = (field.take(pixels) for field in noise)
    radius += 0.045 * ripple
    texture = 0.6 * (grain + ripple)
    cover = (1 - radius) * (short_um / np.maximum(each(spots.soft_um), mpp)) + 0.5  # no edge sharper than a pixel
    cover = np.clip(cover, 0, 1)
    cover = cover * cover * (3 - 2 * cover)
    stain = each(spots.stain) * cover
    stain *= 1 + each(spots.rim) * (np.minimum(square, 1) - 0.6) + each(spots.chromatin) * texture
    side = u * np.cos(each(spots.halo_angle)) + v * np.sin(each(spots.halo_angle))
    ring = 1.1 - np.abs(radius - 1.15) * (short_um / 1.2) + 0.3 * texture
    ring = np.clip(np.minimum(ring, 6 * (1.35 - radius)), 0, 1)  # nothing is left to cut at the window's edge
    clearing = each(spots.halo) * ring * np.clip(0.15 + 0.75 * side, 0, 1)
    for field, values in zip(out, (stain, cover, clearing), strict=True):
        np.maximum.at(field, pixels.ravel(), values.ravel())
