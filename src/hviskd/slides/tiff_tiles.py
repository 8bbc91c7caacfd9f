"""Finds the tiles of a TIFF pyramid that need no OpenSlide, and what would end OpenSlide's process.

Whatever a damaged header claims, it takes little memory and gives, at worst, no tiles. What is unusual is left to
OpenSlide.
"""

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path

from hviskd.slides.compressions import APERIO_JPEG_2000_RGB, JPEG
from hviskd.slides.tiff_images import MOST_PIECES, StoredImage, stored_image
from hviskd.tiff_directories import Directory, directories

_MAX_TILE_SIDE_PX = 4096
_FAULTS = (struct.error, OSError, OverflowError, ValueError)  # of damaged headers
_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT, _BYTE_COUNTS = 256, 257, 322, 323, 325


def find_ordinary_tiles(path: Path) -> list[StoredImage]:
    """List the images of a TIFF or BigTIFF that are divided into complete, ordinary tiles of RGB, in JPEG or JPEG 2000.

    Returns:
        Those found until the file's end, or until it makes no more sense; none where it is no TIFF at all.
    """
    file_bytes = path.stat().st_size
    found = []
    for directory in _directories(path):
        with contextlib.suppress(*_FAULTS):
            image = stored_image(directory, deep=False)
            if image is not None and _is_ordinary(image, file_bytes):
                found.append(image)
    return found


def longest_tile(path: Path) -> int:
    """Return the largest number of bytes that a tile of a TIFF claims; 0 if none, or if this is not a TIFF."""
    claims = (directory.some(_BYTE_COUNTS, MOST_PIECES) for directory in _directories(path))
    return max((int(each.max(initial=0)) for each in claims), default=0)


def has_growing_grid(path: Path) -> bool:
    """Return whether a TIFF has an image with more than twice the tiles, across or down, of the tiled one before it."""
    before = None
    for directory in _directories(path):
        sides = [directory.some(tag, 1) for tag in (_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT)]
        if all(len(side) for side in sides):
            width, height, tile_width, tile_height = (int(side[0]) for side in sides)
            grid = -(-width // max(1, tile_width)), -(-height // max(1, tile_height))
            if before is not None and any(now > 2 * then for now, then in zip(grid, before, strict=True)):
                return True
            before = grid
    return False


def _directories(path: Path) -> Iterator[Directory]:
    """Return the headers of a TIFF, until its end or the first invalid one."""
    with path.open("rb") as stream, contextlib.suppress(*_FAULTS):
        yield from directories(stream)


def _is_ordinary(image: StoredImage, file_bytes: int) -> bool:
    return (
        image.tiled
        and max(image.tile_size) <= _MAX_TILE_SIDE_PX
        and image.compression in (JPEG, APERIO_JPEG_2000_RGB)
        and image.bits == (8, 8, 8)
        and not image.planar
        and image.colours is not None
        and _are_present(image, file_bytes)
    )


def _are_present(image: StoredImage, file_bytes: int) -> bool:
    """Return whether no tile is missing, since each scanner fills its place in another way, and none is too long."""
    width, height = image.tile_size
    most_bytes = 4 * width * height + 2**16  # no JPEG is longer, nor a JPEG 2000
    if image.offsets.min() <= 0 or image.byte_counts.min() <= 0 or image.byte_counts.max() > most_bytes:
        return False
    return not (image.offsets > file_bytes - image.byte_counts).any()
