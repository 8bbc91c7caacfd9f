"""Finds the JPEG tiles of a TIFF pyramid.

Whatever a damaged header claims, it takes little memory and gives, at worst, no tiles. What is unusual is left to
OpenSlide.
"""

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hviskd.arrays import Ints
from hviskd.tiff_directories import Directory, directories

_MOST_TILES = 2**22  # 500,000 px a side in tiles of 256 px
_MAX_TILE_SIDE_PX = 4096
_MOST_TABLES_BYTES = 2**16

# Tags and values of TIFF 6.0 and its Technical Note 2, on JPEG.
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR = 256, 257, 258, 259, 262, 277, 284
_TILE_WIDTH, _TILE_HEIGHT, _OFFSETS, _BYTE_COUNTS, _TABLES = 322, 323, 324, 325, 347
_JPEG, _INTERLEAVED = 7, 1
_COLOURS: dict[int, Literal["RGB", "YCBCR"]] = {2: "RGB", 6: "YCBCR"}


@dataclass(frozen=True, eq=False)
class TiledJpeg:
    """An image in a TIFF that is divided into JPEG tiles of RGB, all of them present.

    Attributes:
        size: Width and height of the picture, in px.
        tile_size: Width and height of each tile, in px; those at the right and lower edge stand out of the picture.
        colours: In what the JPEGs hold colours.
        tables: What the JPEGs have in common, itself a JPEG without a picture; empty where there is nothing.
        offsets: (N,) where each tile begins in the file, row by row.
        byte_counts: (N,) how long each is.
    """

    size: tuple[int, int]
    tile_size: tuple[int, int]
    colours: Literal["RGB", "YCBCR"]
    tables: bytes
    offsets: Ints
    byte_counts: Ints


def find_tiled_jpegs(path: Path) -> list[TiledJpeg]:
    """List the images of a TIFF or BigTIFF that are divided into complete, ordinary JPEG tiles.

    Returns:
        Those found until the file's end, or until it makes no more sense; none where it is no TIFF at all.
    """
    file_bytes = path.stat().st_size
    pictures = (_tiled_jpeg(directory, file_bytes) for directory in _directories(path))
    return [picture for picture in pictures if picture is not None]


def longest_tile(path: Path) -> int:
    """Return the largest number of bytes that a tile of a TIFF claims; 0 if none, or if this is not a TIFF."""
    claims = (directory.some(_BYTE_COUNTS, _MOST_TILES) for directory in _directories(path))
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
    with path.open("rb") as stream, contextlib.suppress(struct.error, OSError, OverflowError, ValueError):
        yield from directories(stream)


def _tiled_jpeg(directory: Directory, file_bytes: int) -> TiledJpeg | None:
    number = directory.number
    width, height = number(_WIDTH), number(_HEIGHT)
    tile_width, tile_height = number(_TILE_WIDTH), number(_TILE_HEIGHT)
    colours = _COLOURS.get(number(_PHOTOMETRIC))
    is_ordinary = (
        min(width, height) > 0
        and 0 < min(tile_width, tile_height) <= max(tile_width, tile_height) <= _MAX_TILE_SIDE_PX
        and number(_COMPRESSION) == _JPEG
        and number(_SAMPLES) == 3
        and directory.numbers(_BITS, 3).tolist() == [8, 8, 8]
        and number(_PLANAR, _INTERLEAVED) == _INTERLEAVED
    )
    if not is_ordinary or colours is None:
        return None
    tiles = -(-width // tile_width) * -(-height // tile_height)
    offsets, byte_counts = (directory.numbers(tag, _MOST_TILES) for tag in (_OFFSETS, _BYTE_COUNTS))
    if not len(offsets) == len(byte_counts) == tiles:
        return None
    most_bytes = 4 * tile_width * tile_height + 2**16  # no JPEG is longer
    if offsets.min() <= 0 or byte_counts.min() <= 0 or byte_counts.max() > most_bytes:
        return None  # where a tile is missing, its place is filled in another way for each scanner
    if (offsets > file_bytes - byte_counts).any():
        return None
    tables = directory.numbers(_TABLES, _MOST_TABLES_BYTES).astype("u1").tobytes()
    if _TABLES in directory.tags and not tables:
        return None
    return TiledJpeg((width, height), (tile_width, tile_height), colours, tables, offsets, byte_counts)
