"""Real slide files for tests: Aperio SVS with levels, and pictures whose every place can be told from any other."""

from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import fft, ndimage

RGB = NDArray[np.uint8]
_COARSE_PX = 10  # from where waves are quicker than the filter: twelve times at 100


def drawn_once(draw: Callable[..., RGB]) -> Callable[..., RGB]:
    """Draw each picture once in a process, and give every test that asks for it a copy, to paint on as it likes."""
    kept = lru_cache(maxsize=24)(draw)

    @wraps(draw)
    def copy_of(*how: object, **more: object) -> RGB:
        return kept(*how, **more).copy()

    return copy_of


def write_svs(
    path: Path,
    image: RGB,
    mpp: float | None = 0.5,
    levels: int = 3,
    tile: int = 256,
    quality: int | None = 90,
    factor: int = 2,
    note: str = "",
    icc: bytes | None = None,
) -> Path:
    """Write an Aperio SVS that OpenSlide takes for a scanner's.

    Args:
        path: Where to; the suffix should be `.svs`.
        image: Level 0, uint8 (height, width, 3).
        mpp: µm/px to record; None records none, as some archives' files.
        levels: How many levels, each the mean of `factor` × `factor` px of the one before, cut as scanners cut it.
        tile: Side of a tile in px.
        quality: Of the JPEG; None writes without loss.
        factor: Reduction from level to level.
        note: More of what Aperio writes into its description, `|key = value`.
        icc: An ICC profile to carry.
    """
    height, width = image.shape[:2]
    said = "" if mpp is None else f"|AppMag = 20|MPP = {mpp}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as writer:
        for number in range(levels):
            level = reduce_by(image, factor**number)
            writer.write(
                level,
                tile=(tile, tile),
                photometric="rgb",
                compression="jpeg" if quality else "deflate",
                compressionargs={"level": quality or 1},  # of deflate the quickest
                description=f"Aperio Image Library v12\r\n{width}x{height} ({tile}x{tile}) of test{said}{note}",
                subfiletype=1 if number else 0,
                iccprofile=icc,
                metadata=None,  # with any, OpenSlide does not take it for Aperio's
            )
    return path


def reduce_by(image: RGB, factor: int) -> RGB:
    """Give the mean of each `factor` × `factor` px; what is left over at the right and below is cut off."""
    height, width = image.shape[0] // factor, image.shape[1] // factor
    total = np.zeros((height, width, 3), np.uint32)
    for row, column in np.ndindex(factor, factor):
        total += image[row : height * factor : factor, column : width * factor : factor]
    return np.rint(total / factor**2).astype(np.uint8)


@drawn_once
def patterned(width_px: int, height_px: int, seed: int = 0, grain_px: float = 2.0) -> RGB:
    """Draw coloured noise of a given grain that uses the whole range of greys: no two places are alike."""
    noise = np.random.default_rng(seed).standard_normal((height_px, width_px, 3))
    if grain_px < _COARSE_PX:
        smooth = ndimage.gaussian_filter(noise, (grain_px, grain_px, 0), mode="wrap")
    else:
        waves = ndimage.fourier_gaussian(fft.rfft2(noise, axes=(0, 1)), (grain_px, grain_px, 0), n=width_px, axis=1)
        smooth = fft.irfft2(waves, s=(height_px, width_px), axes=(0, 1))
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


GLASS = (243, 241, 244)


@drawn_once
def stained(shape: tuple[int, ...], haematoxylin: float, eosin: float, seed: int = 0) -> RGB:
    """Draw H&E of given mean amounts, by the law of Beer and Lambert, with nuclei and noise.

    Args:
        shape: Height and width of the result, in px.
        haematoxylin: Mean amount; 0.5 is pale, 1.5 rich.
        eosin: Mean amount.
        seed: Start of the random numbers.
    """
    rng = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(rng.standard_normal(shape), 3, mode="wrap")
    nuclei = 1 / (1 + np.exp(-8 * (texture / texture.std() - 1)))  # a sixth of the area
    amounts = np.stack([haematoxylin * (0.4 + 2 * nuclei), eosin * (1 - 0.7 * nuclei)], axis=-1)
    density = amounts @ np.array([[0.5626, 0.7201, 0.4062], [0.2159, 0.8012, 0.5581]])
    return np.clip(np.array(GLASS) * np.exp(-density) + rng.normal(0, 2, (*shape, 3)), 0, 255).astype(np.uint8)


@drawn_once
def glass(shape: tuple[int, ...], seed: int = 0) -> RGB:
    """Draw empty glass as a scanner sees it, tinted and with some noise; `shape` is height and width in px."""
    noise = np.random.default_rng(seed).normal(0, 2, (*shape, 3))
    return np.clip(np.array(GLASS) + noise, 0, 255).astype(np.uint8)


def write_scn(path: Path, image: RGB, *, origin_px: tuple[int, int], plane_px: tuple[int, int], nm: int = 500) -> Path:
    """Write a Leica SCN whose scan is a part of its plane, as OpenSlide tells by its bounds.

    Args:
        path: Where to; the suffix should be `.scn`.
        image: The scan, uint8 (height, width, 3), with even sides.
        origin_px: Where it begins in the plane, x and y.
        plane_px: Width and height of the plane.
        nm: Side of a px in nm.
    """
    height, width = image.shape[:2]
    plane = f'sizeX="{plane_px[0] * nm}" sizeY="{plane_px[1] * nm}"'

    def described(name: str, sizes: list[tuple[int, int]], first: int, view: str, objective: int) -> str:
        """Describe an image by the sizes of its levels; `first` is the directory of the first."""
        levels = "".join(
            f'<dimension sizeX="{across}" sizeY="{down}" r="{number}" ifd="{first + number}"/>'
            for number, (across, down) in enumerate(sizes)
        )
        return (
            f'<image name="{name}" uuid="urn:uuid:00000000-0000-0000-0000-00000000000{first + 1}"><creationDate>'
            '2020-01-01T00:00:00Z</creationDate><device model="m" version="v"/>'
            f'<pixels sizeX="{sizes[0][0]}" sizeY="{sizes[0][1]}">{levels}</pixels><view {view} spacingZ="0"/>'
            f"<scanSettings><objectiveSettings><objective>{objective}</objective></objectiveSettings>"
            "<illuminationSettings><numericalAperture>0.4</numericalAperture><illuminationSource>brightfield"
            "</illuminationSource></illuminationSettings></scanSettings></image>"
        )

    scan = f'sizeX="{width * nm}" sizeY="{height * nm}" offsetX="{origin_px[0] * nm}" offsetY="{origin_px[1] * nm}"'
    xml = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" '
        f'uuid="urn:uuid:00000000-0000-0000-0000-000000000000"><collection name="c" '
        f'uuid="urn:uuid:00000000-0000-0000-0000-000000000009" {plane}>'
        + described("macro", [(256, 256)], 0, f'{plane} offsetX="0" offsetY="0"', 1)
        + described("main", [(width, height), (width // 2, height // 2)], 1, scan, 20)
        + "</collection></scn>"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for number, level in enumerate((np.full((256, 256, 3), 240, np.uint8), image, reduce_by(image, 2))):
            writer.write(
                level,
                tile=(256, 256),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": 95},
                description=None if number else xml,
                metadata=None,
                software=False,
                resolution=(1e7 / nm, 1e7 / nm),
                resolutionunit="CENTIMETER",
            )
    return path
