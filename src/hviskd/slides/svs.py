"""Writes an image as an Aperio SVS, for OpenSlide, QuPath and others."""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hviskd.arrays import RGB
from hviskd.checks import require_mpp
from hviskd.errors import DataError
from hviskd.storage import atomic_file

LEVEL_DOWNSAMPLES = (1, 4, 16)  # as Aperio's scanners write them
TILE_PX = 256
THUMBNAIL_PX = 1024
MIN_SIDE_PX = 16


def write_svs(path: Path | str, pixels: RGB, *, mpp: float, quality: int = 85) -> Path:
    """Write an SVS of three levels (1, 1/4 and 1/16) and a thumbnail, in JPEG tiles of 256 px, and return its path.

    A level's px is the mean of 4 × 4 px of the level before; what is left over at the right and below is cut off, as
    scanners do. The same pixels give the same bytes.

    Args:
        path: Where to; its suffix should be `.svs`.
        pixels: Level 0, uint8 RGB (H, W, 3), at least 16 px a side.
        mpp: µm a pixel of level 0.
        quality: Of the JPEG, 1 to 100.

    Raises:
        DataError: The picture is not such a one, `mpp` is not a positive number, or `quality` is out of range.
    """
    import tifffile

    path = Path(path)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape[:2]) < MIN_SIDE_PX:
        raise DataError(f"{path}: {pixels.dtype} of shape {pixels.shape}; give uint8 RGB with sides of at least 16 px")
    require_mpp(mpp)
    if not 1 <= quality <= 100:
        raise DataError(f"`quality={quality}`: must be from 1 to 100")
    height, width = pixels.shape[:2]
    head = f"Aperio Image Library v12.0.0\r\n{width}x{height}"
    coding = f"({TILE_PX}x{TILE_PX})"
    facts = f"JPEG/YCC Q={quality}|AppMag = {10 / mpp:.4g}|MPP = {mpp:.6g}"
    levels = [pixels]
    while len(levels) < len(LEVEL_DOWNSAMPLES):
        levels.append(_reduce(levels[-1]))
    thumbnail = _thumbnail(pixels)
    with atomic_file(path) as partial, tifffile.TiffWriter(partial) as writer:
        # OpenSlide takes a file for Aperio's by its first description, and only if tifffile adds none of its own.
        write = functools.partial(
            writer.write,
            photometric="rgb",
            compression="jpeg",
            compressionargs={"level": quality},
            metadata=None,
            software=False,
        )
        for number, level in enumerate(levels):
            size = "" if number == 0 else f" -> {level.shape[1]}x{level.shape[0]}"
            said = f"{head} [0,0 {width}x{height}] {coding}{size} {facts}"
            write(_tiles(level), shape=level.shape, dtype=np.uint8, tile=(TILE_PX, TILE_PX), description=said)
            if number == 0:  # the second picture of an Aperio file is its thumbnail, in strips
                said = f"{head} -> {thumbnail.shape[1]}x{thumbnail.shape[0]} - |{facts.partition('|')[2]}"
                write(thumbnail, rowsperstrip=16, description=said)
    return path


def _tiles(level: RGB) -> Iterator[RGB]:
    """Yield the tiles row by row; the image is extended beyond its border, so that no black edge causes ringing."""
    for top in range(0, level.shape[0], TILE_PX):
        for left in range(0, level.shape[1], TILE_PX):
            tile = level[top : top + TILE_PX, left : left + TILE_PX]
            yield np.pad(tile, ((0, TILE_PX - tile.shape[0]), (0, TILE_PX - tile.shape[1]), (0, 0)), mode="edge")


def _reduce(level: RGB) -> RGB:
    height, width = level.shape[0] // 4, level.shape[1] // 4
    total = np.zeros((height, width, 3), np.uint16)
    for row in range(4):
        for column in range(4):
            total += level[row : 4 * height : 4, column : 4 * width : 4]
    return ((total + 8) // 16).astype(np.uint8)


def _thumbnail(pixels: RGB) -> RGB:
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), reducing_gap=2)
    return np.asarray(picture)
