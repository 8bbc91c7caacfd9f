"""Draws synthetic tissue that looks like H&E-stained glioblastoma.

Everything is drawn from a map of classes: a tile is a region of one class, a slide a region of many. Stain
amounts become colours by the law of Beer and Lambert, so that a patient's stain changes them as in a laboratory.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hviskd.checks import require_at_least
from hviskd.errors import DataError
from hviskd.synthesis.layout import (
    F32,
    TISSUE_CLASSES,
    Layout,
    TissueClass,
    lay_out,
    require_drawable,
    smoothstep,
    waves,
)
from hviskd.synthesis.nuclei import (
    Spots,
    scatter_dust,
    scatter_nuclei,
    scatter_red_cells,
    scatter_vacuoles,
    stamp,
)

__all__ = ["TISSUE_CLASSES", "PatientLook", "TissueClass", "draw_patient", "draw_tile", "draw_tissue"]

# Optical densities (R, G, B) of haematoxylin and eosin: Ruifrok and Johnston (2001), and the reference of
# Macenko et al. (2009). Laboratories lie between: the first alone makes eosin magenta, the second salmon.
_RUIFROK = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
_MACENKO = np.array([[0.5626, 0.7201, 0.4062], [0.2159, 0.8012, 0.5581]])

_BAND_ROWS = 256  # a band's fields fit the memory of any computer, however many rows the region has
_OVERLAP_UM = 20.0  # how far a band must see beyond its rows for its seams not to show
_WHITE, _CLOUDS, _UNEVEN, _SENSOR = range(4)  # noises of their own, drawn again the same for every band


@dataclass(frozen=True)
class PatientLook:
    """The appearance that the sections of one patient share.

    Attributes:
        haematoxylin: Optical density of the stain in R, G, B, of length 1.
        eosin: The same of the other stain.
        haematoxylin_strength: Factor on the amount of stain.
        eosin_strength: The same of the other stain.
        nuclear_density_factor: Factor on the nuclei per mm².
        nuclear_size_factor: Factor on the nuclei's diameter.
        background_rgb: Colour of empty glass, grey levels.
        blur_um: Standard deviation of the optical blur, µm.
        noise_levels: Standard deviation of the sensor's noise, grey levels.
    """

    haematoxylin: tuple[float, float, float]
    eosin: tuple[float, float, float]
    haematoxylin_strength: float
    eosin_strength: float
    nuclear_density_factor: float
    nuclear_size_factor: float
    background_rgb: tuple[float, float, float]
    blur_um: float
    noise_levels: float


def draw_patient(seed: int) -> PatientLook:
    """Draw the appearance of one patient; the same seed gives the same patient."""
    rng = np.random.default_rng(seed)
    share = rng.uniform((-0.1, 0.25), (0.3, 0.75))[:, None]
    stains = np.clip((1 - share) * _RUIFROK + share * _MACENKO + rng.normal(0, 0.025, (2, 3)), 0.02, None)
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    background = np.clip(rng.uniform(240, 249) + rng.normal(0, 1.0, 3), 0, 254)
    return PatientLook(
        haematoxylin=_triple(stains[0]),
        eosin=_triple(stains[1]),
        haematoxylin_strength=float(np.exp(rng.normal(0.05, 0.15))),
        eosin_strength=float(np.exp(rng.normal(0.05, 0.20))),
        nuclear_density_factor=float(np.exp(rng.normal(0, 0.15))),
        nuclear_size_factor=float(np.exp(rng.normal(0, 0.06))),
        background_rgb=_triple(background),
        blur_um=float(rng.uniform(0.25, 0.5)),
        noise_levels=float(rng.uniform(1.0, 2.5)),
    )


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    first, second, third = values.tolist()
    return first, second, third


def draw_tile(
    class_index: int, look: PatientLook, *, tile_px: int = 150, mpp: float = 0.5, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw a tile of one class, uint8 RGB (tile_px, tile_px, 3), at `mpp` µm/px.

    Raises:
        DataError: There is no such class, no pixel to draw, or `mpp` is out of range.
    """
    require_at_least(1, tile_px=tile_px)
    return draw_tissue(np.full((tile_px, tile_px), class_index), look, mpp=mpp, rng=rng)


def draw_tissue(
    class_map: NDArray[np.integer],
    look: PatientLook,
    *,
    mpp: float = 0.5,
    rng: np.random.Generator,
    layout: Layout | None = None,
) -> NDArray[np.uint8]:
    """Draw the tissue of a map of classes.

    Args:
        class_map: For every pixel the index of its class in `TISSUE_CLASSES`, int (H, W).
        look: The patient.
        mpp: µm a pixel, from 0.1 to 4.
        rng: The only source of chance: from the same state it draws the same picture.
        layout: What `lay_out` made of the map with this `rng`, if the caller has it.

    Returns:
        uint8 RGB (H, W, 3). It is drawn in bands of rows: beside it, memory holds one band and a plan of the
        region, some 12 bytes a pixel at 0.5 µm a pixel.

    Raises:
        DataError: A class index is out of range, the map is empty or not two-dimensional, or `mpp` is out of range.
    """
    _check(class_map, mpp)
    if layout is None:
        layout = lay_out(class_map, mpp, rng)
    scene = _Scene.plan(layout, class_map.shape, look, mpp, rng)
    picture = np.empty((*class_map.shape, 3), np.uint8)
    for first_row in range(0, len(picture), _BAND_ROWS):
        rows = picture[first_row : first_row + _BAND_ROWS]
        rows[:] = scene.band(first_row, len(rows), look)
    return picture


def _check(class_map: NDArray[np.integer], mpp: float) -> None:
    if class_map.ndim != 2 or class_map.size == 0 or not np.issubdtype(class_map.dtype, np.integer):
        raise DataError(
            f"class map: {class_map.dtype} of shape {class_map.shape}; give integers of shape (rows, columns)"
        )
    if class_map.min() < 0 or class_map.max() >= len(TISSUE_CLASSES):
        raise DataError(
            f"class map: has values {class_map.min()} to {class_map.max()}; give indices 0 to {len(TISSUE_CLASSES) - 1}"
        )
    require_drawable(mpp)


@dataclass(frozen=True)
class _Scene:
    """The layout of a region before its pixels are drawn, band by band."""

    layout: Layout
    nuclei: Spots
    vacuoles: Spots
    red_cells: Spots
    dust: Spots
    streaks: F32  # coarse fibre bundles on the layout's grid
    seed: int
    mpp: float
    shape: tuple[int, ...]

    @classmethod
    def plan(
        cls, layout: Layout, shape: tuple[int, ...], look: PatientLook, mpp: float, rng: np.random.Generator
    ) -> Self:
        noise = rng.standard_normal(layout.along_x.shape, np.float32)
        return cls(
            layout=layout,
            nuclei=scatter_nuclei(layout, look.nuclear_density_factor, look.nuclear_size_factor, rng),
            vacuoles=scatter_vacuoles(layout, rng),
            red_cells=scatter_red_cells(layout, rng),
            dust=scatter_dust(layout, rng),
            streaks=_along_fibres(_grain(noise, 0.8), layout.along_y, layout.along_x, 0.7, 3),
            seed=int(rng.integers(2**62)),
            mpp=mpp,
            shape=shape,
        )

    def band(self, first_row: int, count: int, look: PatientLook) -> NDArray[np.uint8]:
        """Draw rows `first_row` to `first_row + count`, uint8 RGB (count, W, 3)."""
        overlap_px = int(np.ceil(_OVERLAP_UM / self.mpp))
        top, bottom = max(first_row - overlap_px, 0), min(first_row + count + overlap_px, self.shape[0])
        y_um = ((np.arange(top, bottom) + 0.5) * self.mpp).astype(np.float32)
        x_um = ((np.arange(self.shape[1]) + 0.5) * self.mpp).astype(np.float32)
        haematoxylin, eosin, dust = self._stains(self._white(top, bottom), y_um, x_um)
        uneven = np.random.default_rng((self.seed, _UNEVEN))
        thickness, uptake, lamp = (waves(uneven, y_um, x_um, 300, 1200) for _ in range(3))
        haematoxylin *= look.haematoxylin_strength * np.exp(0.08 * thickness - 0.06 * uptake)
        eosin *= look.eosin_strength * np.exp(0.08 * thickness + 0.10 * uptake)
        stains = np.array([look.haematoxylin, look.eosin], np.float32)
        density = haematoxylin[..., None] * stains[0] + eosin[..., None] * stains[1]
        light = np.asarray(look.background_rgb, np.float32) * np.exp(density * np.float32(-np.log(10)))
        light *= ((1 + 0.006 * lamp) * (1 - dust))[..., None]
        blur_px = np.hypot(look.blur_um / self.mpp, 0.4)
        light = ndimage.gaussian_filter(light, (blur_px, blur_px, 0), truncate=3)
        light = light[first_row - top : first_row - top + count]
        sensor = np.random.default_rng((self.seed, _SENSOR, first_row))
        light += look.noise_levels * sensor.standard_normal(light.shape, np.float32)
        return np.clip(np.rint(light), 0, 255).astype(np.uint8)

    def _stains(self, white: F32, y_um: F32, x_um: F32) -> tuple[F32, F32, F32]:
        """Return haematoxylin, eosin and dust on a band, float32 (rows, W) each."""
        layout, top_um = self.layout, float(y_um[0]) - self.mpp / 2

        def here(name: str) -> F32:
            return layout.enlarge(layout.maps[name], y_um, x_um)

        grain = _grain(white, max(0.42 / self.mpp, 0.7))
        rows, columns = layout.cells(y_um, x_um)
        block = np.ix_(rows, columns)
        fibre = _along_fibres(grain, layout.along_y[block], layout.along_x[block], max(0.5 / self.mpp, 0.5), 4)
        clouds = np.random.default_rng((self.seed, _CLOUDS))
        cloud_e, cloud_h = waves(clouds, y_um, x_um, 7, 45, 48), waves(clouds, y_um, x_um, 7, 60, 48)
        ripple = waves(clouds, y_um, x_um, 3, 9, 64)
        streaks = layout.enlarge(self.streaks, y_um, x_um)

        nuclear, cover, halo = stamp(self.nuclei, grain, ripple, top_um, self.mpp)
        bubble, _, _ = stamp(self.vacuoles, grain, ripple, top_um, self.mpp)
        red, in_red, _ = stamp(self.red_cells, grain, ripple, top_um, self.mpp)
        dust, _, _ = stamp(self.dust, grain, ripple, top_um, self.mpp)

        cleft = here("clefts") * smoothstep(0.8 * streaks + 0.5 * fibre + 0.7 * cloud_e, 1.2, 2.9)
        glass = smoothstep(here("glass") + 0.05 * fibre, 0.4, 0.6)
        tissue = (1 - cleft) * (1 - bubble) * (1 - halo) * (1 - glass)
        texture = here("fibre") * fibre * (1 + 0.5 * cloud_h) + here("grain") * grain
        mottle = here("mottle")
        eosin = here("eosin") * np.clip(1 + texture + mottle * (cloud_e + 0.5 * streaks), 0.1, None) * tissue
        matrix = here("basophilia") * np.clip(1 + texture + mottle * (cloud_h + 0.6 * cloud_e), 0.1, None) * tissue
        haematoxylin = matrix * (1 - cover) + nuclear * (1 - glass)
        eosin = eosin * (1 - in_red) + red
        return haematoxylin, eosin, dust

    def _white(self, top: int, bottom: int) -> F32:
        """Return rows of white noise, the same in every band that contains them, float32 (bottom - top, W)."""
        first_block, last_block = top // _BAND_ROWS, (bottom - 1) // _BAND_ROWS
        block_shape = (min(_BAND_ROWS, self.shape[0]), self.shape[1])
        blocks = [
            np.random.default_rng((self.seed, _WHITE, block)).standard_normal(block_shape, np.float32)
            for block in range(first_block, last_block + 1)
        ]
        start = top - first_block * _BAND_ROWS
        return np.concatenate(blocks)[start : start + bottom - top]


def _grain(white: F32, sigma_px: float) -> F32:
    """Blur white noise and bring its variance back to 1."""
    impulse = np.zeros(2 * int(4 * sigma_px + 2) + 1, np.float32)
    impulse[len(impulse) // 2] = 1
    kernel_norm = float(np.linalg.norm(ndimage.gaussian_filter1d(impulse, sigma_px)))
    return ndimage.gaussian_filter(white, sigma_px) / np.float32(kernel_norm**2)


def _along_fibres(noise: F32, along_y: F32, along_x: F32, step_px: float, doublings: int) -> F32:
    """Smear noise along the local orientation into fibrils; variance about 1.

    Each round averages what lies ahead and behind at twice the distance of the round before, so n rounds make
    a line integral over 2ⁿ places.
    """
    height, width = noise.shape
    place = np.arange(height * width).reshape(height, width)
    for doubling in range(doublings):
        reach = step_px * 2**doubling
        ahead = np.rint(reach * along_y).astype(np.intp) * width + np.rint(reach * along_x).astype(np.intp)
        flat = noise.ravel()
        noise = 0.5 * (flat.take(place + ahead, mode="clip") + flat.take(place - ahead, mode="clip"))
    return noise / max(float(noise.std()), 1e-3)
