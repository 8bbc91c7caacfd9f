"""Corrupts tiles as scanners, cameras and laboratories do, at five levels each, for the test of robustness.

Each tile is worsened in its own way, drawn from the seed and the tile's number, so that one tile is always worsened
alike, whatever stands beside it.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

from hviskd.arrays import RGB
from hviskd.checks import require_list
from hviskd.errors import DataError

LEVELS = 5


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption.

    Attributes:
        name: As on the command line.
        title: In words.
        strengths: One a level, from mild to severe.
        unit: Of the strengths.
        apply: From a tile, uint8 (H, W, 3), a strength and random numbers to the worse tile.
    """

    name: str
    title: str
    strengths: tuple[float, ...]
    unit: str
    apply: Callable[[RGB, float, np.random.Generator], RGB]


def corrupt(
    tiles: NDArray[np.uint8], corruption: Corruption, level: int, *, numbers: Sequence[int], seed: int = 0
) -> NDArray[np.uint8]:
    """Corrupt tiles.

    Args:
        tiles: RGB uint8 (N, H, W, 3).
        corruption: In which way, a value of `CORRUPTIONS`.
        level: 1 (mild) to 5 (severe); 0 gives the tiles back.
        numbers: N numbers, what tells the tiles apart, such as their rows in a TileSet.
        seed: Of the random numbers.

    Raises:
        DataError: There is no such level.
    """
    if not 0 <= level <= LEVELS:
        raise DataError(f"`level={level}`: must be from 0 (clean) to {LEVELS}")
    if level == 0:
        return tiles
    strength = corruption.strengths[level - 1]
    return np.stack(
        [
            corruption.apply(tile, strength, np.random.default_rng((seed, int(number))))
            for tile, number in zip(tiles, numbers, strict=True)
        ]
    )


def _noise(tile: RGB, strength: float, generator: np.random.Generator) -> RGB:
    return _bytes(tile + 255 * strength * generator.standard_normal(tile.shape))


def _blur(tile: RGB, strength: float, _: np.random.Generator) -> RGB:
    return _bytes(scipy.ndimage.gaussian_filter(tile.astype(np.float64), (strength, strength, 0), mode="reflect"))


def _defocus(tile: RGB, strength: float, _: np.random.Generator) -> RGB:
    """Spread every point over a disc, as a defocused lens does; the edge of the disc is softened by one pixel."""
    reach = int(np.ceil(strength))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(strength + 0.5 - np.hypot(x, y), 0, 1)
    padded = np.pad(tile.astype(np.float64), ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    return _bytes(scipy.signal.fftconvolve(padded, (disc / disc.sum())[..., None], mode="valid", axes=(0, 1)))


def _jpeg(tile: RGB, strength: float, _: np.random.Generator) -> RGB:
    stream = io.BytesIO()
    Image.fromarray(tile).save(stream, format="JPEG", quality=int(strength))
    with Image.open(stream) as image:
        return np.asarray(image.convert("RGB"))


def _brightness(tile: RGB, strength: float, generator: np.random.Generator) -> RGB:
    """Change the illumination: brighter or darker, with equal probability."""
    factor = (1 + strength) ** generator.choice([-1, 1])
    return _bytes(tile * factor)


def _stain(tile: RGB, strength: float, generator: np.random.Generator) -> RGB:
    """Make haematoxylin and eosin stronger or weaker, each with equal probability."""
    import torch

    from hviskd.tiles.jitter import scale_stains

    factors = np.exp(strength * generator.choice([-1, 1], size=2))
    return scale_stains(torch.from_numpy(tile.copy())[None], torch.from_numpy(factors)[None])[0].numpy()


def _bytes(values: NDArray[np.float64]) -> RGB:
    return np.rint(values).clip(0, 255).astype(np.uint8)


CORRUPTIONS: dict[str, Corruption] = {
    each.name: each
    for each in (
        Corruption("noise", "Gaussian noise", (0.02, 0.04, 0.08, 0.16, 0.32), "SD, fraction of the range", _noise),
        Corruption("blur", "Gaussian blur", (0.5, 1, 1.5, 2, 3), "SD, px", _blur),
        Corruption("focus", "out of focus", (1, 1.5, 2, 3, 4), "radius, px", _defocus),
        Corruption("jpeg", "JPEG", (80, 60, 40, 20, 10), "quality", _jpeg),
        Corruption("stain", "stain shift", (0.1, 0.2, 0.3, 0.45, 0.6), "log factor of H and E", _stain),
        Corruption("brightness", "brightness", (0.1, 0.2, 0.3, 0.45, 0.6), "factor − 1", _brightness),
    )
}


def choose_corruptions(names: Sequence[str]) -> list[Corruption]:
    """Return corruptions by name, all if none is given.

    Raises:
        DataError: One is unknown, or `names` is not a list.
    """
    require_list("corruptions", names)
    for name in names:
        if name not in CORRUPTIONS:
            raise DataError(f"`corruptions=[{name!r}]`: unknown; choose from {', '.join(CORRUPTIONS)}")
    return [CORRUPTIONS[name] for name in dict.fromkeys(names)] or list(CORRUPTIONS.values())
