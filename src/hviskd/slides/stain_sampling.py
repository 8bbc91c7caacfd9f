"""Fits the stain of a slide, or reads a reference stain from a slide, an image or a file."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import RGB
from hviskd.errors import DataError
from hviskd.slides.slide import Slide
from hviskd.slides.stain import FITS, Stain, StainMethod, read_stain
from hviskd.slides.tissue import TissueMask
from hviskd.slides.tissue_rule import TissueRule

_FIELDS = 256
_FIELD_PX = 32
_GLASS_LEVEL = 220  # a pixel that is brighter than this in every channel is glass
_PICTURE_PIXELS = 1_000_000


def fit_slide_stain(
    slide: Slide, tissue: TissueMask, *, method: StainMethod = "macenko", mpp: float = 0.5, seed: int = 0
) -> Stain:
    """Fit the stain of a slide on samples from all over its tissue.

    Args:
        slide: An open slide.
        tissue: Its tissue.
        method: `macenko` or `reinhard`.
        mpp: µm/px at which to look, that of the tiles to be changed; never finer than the slide's own.
        seed: Start of the random numbers that choose where to look; the same seed gives the same stain.

    Returns:
        The stain, with a `problem` where there is too little tissue or no fit.

    Raises:
        DataError: The slide is damaged.
    """
    return FITS[method](sample_tissue(slide, tissue, mpp=mpp, seed=seed))


def sample_tissue(slide: Slide, tissue: TissueMask, *, mpp: float = 0.5, seed: int = 0) -> RGB:
    """Read 256 fields of 32 px, one in each of as many equal neighbourhoods of the tissue, without glass.

    Args:
        slide: An open slide.
        tissue: Its tissue.
        mpp: µm/px to read at; never finer than the slide's own.
        seed: Start of the random numbers.

    Returns:
        Tissue pixels, RGB uint8 (N, 3); N is 0 where there is no tissue.

    Raises:
        DataError: The slide is damaged.
    """
    rows, columns = np.nonzero(tissue.tissue)
    if len(rows) == 0:
        return np.empty((0, 3), np.uint8)
    mpp = max(mpp, slide.mpp)
    half_px = _FIELD_PX / 2 * mpp / slide.mpp
    order = np.argsort(_quarter_order(rows, columns))
    count = min(_FIELDS, len(order))
    places = (np.arange(count) + np.random.default_rng(seed).random(count)) / count * len(order)
    chosen = order[places.astype(np.intp)]
    fields = []
    for row, column in zip(rows[chosen], columns[chosen], strict=True):
        x_px, y_px = (column + 0.5) * tissue.cell_px - half_px, (row + 0.5) * tissue.cell_px - half_px
        fields.append(slide.read(x_px, y_px, _FIELD_PX, _FIELD_PX, mpp))
    return _without_glass(np.stack(fields))


def stain_reference(
    path: Path | str,
    *,
    method: StainMethod = "macenko",
    slide_mpp: float | None = None,
    tissue_rule: TissueRule | None = None,
    icc: bool = False,
) -> Stain:
    """Return the reference stain from a slide, an image or a stored stain.

    Args:
        path: A stored stain (`.json`), a flat image of tissue, or a slide.
        method: `macenko` or `reinhard`.
        slide_mpp: µm/px of a slide whose metadata lacks it.
        tissue_rule: Settings of tissue detection.
        icc: Convert the slide or image to sRGB by its ICC profile, if it has one; use it if tiles are converted, too.

    Raises:
        DataError: The file is missing or damaged, its stain cannot be fitted, or was fitted by another method.
    """
    stain = _named_stain(Path(path), method, slide_mpp, tissue_rule, icc=icc)
    if stain.method != method:
        raise DataError(f"{path}: the stain was fitted by {stain.method}, not by {method}")
    if stain.problem:
        raise DataError(f"{path}: its stain could not be fitted ({stain.problem}); choose a reference with more tissue")
    return stain


def _named_stain(
    path: Path, method: StainMethod, slide_mpp: float | None, tissue_rule: TissueRule | None, *, icc: bool
) -> Stain:
    from hviskd.slides.opening import is_flat, open_slide
    from hviskd.slides.tissue import tissue_mask

    if path.suffix.lower() == ".json":
        return read_stain(path)
    if is_flat(path):
        with open_slide(path, slide_mpp=slide_mpp or 1.0, icc=icc) as picture:  # a picture's µm/px does not matter
            pixels = picture.read(0, 0, *picture.size).reshape(-1, 3)
        if len(pixels) > _PICTURE_PIXELS:
            pixels = pixels[np.random.default_rng(0).integers(len(pixels), size=_PICTURE_PIXELS)]
        return FITS[method](_without_glass(pixels))
    with open_slide(path, slide_mpp=slide_mpp, icc=icc) as slide:
        return fit_slide_stain(slide, tissue_mask(slide, tissue_rule), method=method)


def _without_glass(pixels: RGB) -> RGB:
    flat = pixels.reshape(-1, 3)
    return flat[(flat < _GLASS_LEVEL).any(axis=1)]


def _quarter_order(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.int64]:
    """Number cells quarter by quarter, recursively, so that neighbours are close together (Morton 1966)."""
    places = np.arange(max(rows.max(), columns.max()) + 1, dtype=np.int64)
    spread = np.zeros_like(places)  # each number's bits, with a gap between every two
    for bit in range(len(places).bit_length()):
        spread |= (places >> bit & 1) << 2 * bit
    return spread[rows] << 1 | spread[columns]
