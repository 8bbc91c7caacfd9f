"""Finds where a TIFF keeps the JPEG tiles of its pyramid; `jpeg_tiles` decodes them.

It reads nothing but numbers, and each only after its size has been judged: whatever a damaged header claims, it takes
little memory and gives, at worst, no tiles. What is unusual is left to OpenSlide.
"""

import contextlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

_MAX_DIRECTORIES, _MAX_TAGS = 64, 512
_MAX_TILES = 2**22  # 500,000 px a side in tiles of 256 px
_MAX_TILE_SIDE_PX = 4096
_MAX_TABLES_BYTES = 2**16

# Tags and values of TIFF 6.0 and its Technical Note 2, on JPEG.
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR = 256, 257, 258, 259, 262, 277, 284
_TILE_WIDTH, _TILE_HEIGHT, _OFFSETS, _BYTE_COUNTS, _TABLES = 322, 323, 324, 325, 347
_JPEG, _INTERLEAVED = 7, 1
_COLOURS: dict[int, Literal["RGB", "YCBCR"]] = {2: "RGB", 6: "YCBCR"}
_TYPES = {1: "u1", 3: "u2", 4: "u4", 7: "u1", 8: "i2", 9: "i4", 16: "u8", 17: "i8"}  # whole numbers, by TIFF's number

_Tags = dict[int, tuple[str, int, bytes]]  # type, count, and the value or the offset at which it stands


@dataclass(frozen=True, eq=False)
class TiledJpeg:
    """A picture in a TIFF that is cut into JPEG tiles of RGB, all of them there.

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
    offsets: NDArray[np.int64]
    byte_counts: NDArray[np.int64]


def find_tiled_jpegs(path: Path) -> list[TiledJpeg]:
    """List the pictures of a TIFF or BigTIFF that are cut into whole, ordinary JPEG tiles.

    Returns:
        Those found until the file's end, or until it makes no more sense; none where it is no TIFF at all.
    """
    found = []
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        try:
            for order, tags in _directories(stream):
                picture = _tiled_jpeg(stream, size, order, tags)
                if picture is not None:
                    found.append(picture)
        except (struct.error, OSError, OverflowError, ValueError):  # cut off, or an offset beyond all files
            pass
    return found


def longest_tile(path: Path) -> int:
    """Give the most bytes that a tile of a TIFF claims to take; 0 where none claims any, or this is no TIFF."""
    longest = 0
    with path.open("rb") as stream, contextlib.suppress(struct.error, OSError, OverflowError, ValueError):
        for order, tags in _directories(stream):
            kind, count, value = tags.get(_BYTE_COUNTS, ("u1", 0, b""))
            size = min(count, _MAX_TILES) * np.dtype(kind).itemsize
            if size > len(value):
                stream.seek(int.from_bytes(value, "little" if order == "<" else "big"))
                value = stream.read(size)
            whole = len(value) // np.dtype(kind).itemsize
            longest = max(longest, int(np.frombuffer(value, kind, min(count, whole)).max(initial=0)))
    return longest


def has_growing_grid(path: Path) -> bool:
    """Tell whether a TIFF holds a picture of over twice the tiles, across or down, of the tiled one before it."""
    before = None
    with path.open("rb") as stream, contextlib.suppress(struct.error, OSError, OverflowError, ValueError):
        for _, tags in _directories(stream):
            if {_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT} <= tags.keys():
                width, height, tile_width, tile_height = (
                    int(np.frombuffer(tags[tag][2], tags[tag][0], 1)[0])
                    for tag in (_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT)
                )
                grid = -(-width // max(1, tile_width)), -(-height // max(1, tile_height))
                if before is not None and any(now > 2 * then for now, then in zip(grid, before, strict=True)):
                    return True
                before = grid
    return False


def _directories(stream: BinaryIO) -> Iterator[tuple[str, _Tags]]:
    """Give byte order and tags of one picture after the other."""
    start = stream.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None:
        return
    version = struct.unpack_from(order + "H", start, 2)[0]
    if version == 42:
        count_of, tag_of, place_of = (struct.Struct(order + fields) for fields in ("H", "HHI4s", "I"))
        (place,) = place_of.unpack_from(start, 4)
    elif version == 43:
        count_of, tag_of, place_of = (struct.Struct(order + fields) for fields in ("Q", "HHQ8s", "Q"))
        (place,) = place_of.unpack_from(start, 8)
    else:
        return
    for _ in range(_MAX_DIRECTORIES):
        if not place:
            return
        stream.seek(place)
        (count,) = count_of.unpack(stream.read(count_of.size))
        if count > _MAX_TAGS:
            return
        entries = stream.read(count * tag_of.size)
        (place,) = place_of.unpack(stream.read(place_of.size))
        yield (
            order,
            {
                tag: (order + _TYPES[kind], number, value)
                for tag, kind, number, value in reversed([*tag_of.iter_unpack(entries)])  # the first of one tag counts
                if kind in _TYPES
            },
        )


def _tiled_jpeg(stream: BinaryIO, file_bytes: int, order: str, tags: _Tags) -> TiledJpeg | None:
    def values(tag: int, most: int) -> NDArray[np.int64]:
        kind, count, value = tags.get(tag, ("u1", 0, b""))
        size = count * np.dtype(kind).itemsize
        if not 0 < count <= most:
            return np.empty(0, np.int64)
        if size > len(value):
            stream.seek(int.from_bytes(value, "little" if order == "<" else "big"))
            value = stream.read(size)
            if len(value) < size:
                return np.empty(0, np.int64)
        return np.frombuffer(value, kind, count).astype(np.int64)

    def number(tag: int, default: int = 0) -> int:
        return int(values(tag, 1)[0]) if tag in tags and len(values(tag, 1)) else default

    width, height = number(_WIDTH), number(_HEIGHT)
    tile_width, tile_height = number(_TILE_WIDTH), number(_TILE_HEIGHT)
    colours = _COLOURS.get(number(_PHOTOMETRIC))
    is_ordinary = (
        min(width, height) > 0
        and 0 < min(tile_width, tile_height) <= max(tile_width, tile_height) <= _MAX_TILE_SIDE_PX
        and number(_COMPRESSION) == _JPEG
        and number(_SAMPLES) == 3
        and values(_BITS, 3).tolist() == [8, 8, 8]
        and number(_PLANAR, _INTERLEAVED) == _INTERLEAVED
    )
    if not is_ordinary or colours is None:
        return None
    tiles = -(-width // tile_width) * -(-height // tile_height)
    offsets, byte_counts = values(_OFFSETS, _MAX_TILES), values(_BYTE_COUNTS, _MAX_TILES)
    if not len(offsets) == len(byte_counts) == tiles:
        return None
    most_bytes = 4 * tile_width * tile_height + 2**16  # no JPEG is longer
    if offsets.min() <= 0 or byte_counts.min() <= 0 or byte_counts.max() > most_bytes:
        return None  # where a tile is missing, its place is filled in another way for each scanner
    if (offsets > file_bytes - byte_counts).any():
        return None
    tables = values(_TABLES, _MAX_TABLES_BYTES).astype(np.uint8).tobytes()
    if _TABLES in tags and not tables:
        return None
    return TiledJpeg((width, height), (tile_width, tile_height), colours, tables, offsets, byte_counts)
