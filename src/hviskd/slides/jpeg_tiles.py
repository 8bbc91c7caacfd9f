"""Decodes the JPEG tiles of a slide directly to RGB, each once.

OpenSlide draws tiles on a canvas with transparency, which takes four times as long. Both leave the decoding to libjpeg
with its defaults, so the pixels are the same. What is not sound and ordinary is left to OpenSlide.
"""

import struct
import threading
from collections import OrderedDict
from functools import cache
from pathlib import Path

import imagecodecs
import numpy as np

from hviskd.arrays import RGB
from hviskd.slides.tiff_tiles import TiledJpeg

CACHE_BYTES = 128 * 2**20  # two rows of 256 px tiles across a slide of 80,000 px

_SEQUENTIAL = (0xC0, 0xC1)
_BEFORE_SCAN = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})  # tables and notes
_SCAN = 0xDA


class JpegLevel:
    """One level of a slide whose tiles are decoded on demand; several threads may read it at once.

    Args:
        path: The file.
        picture: Where in it the tiles are.
    """

    def __init__(self, path: Path, picture: TiledJpeg) -> None:
        self._path = path
        self._picture = picture

    def region(self, x: int, y: int, width: int, height: int) -> RGB | None:
        """Read a rectangle inside the level, in its px: uint8 (height, width, 3); None if this is not possible."""
        side_x, side_y = self._picture.tile_size
        across = -(-self._picture.size[0] // side_x)
        rows = range(y // side_y, (y + height - 1) // side_y + 1)
        columns = range(x // side_x, (x + width - 1) // side_x + 1)
        tiles = self._tiles([row * across + column for row in rows for column in columns])
        if tiles is None:
            return None
        pixels = np.empty((height, width, 3), np.uint8)
        for row in rows:
            for column in columns:
                left, top = column * side_x, row * side_y
                x0, y0, x1, y1 = max(x, left), max(y, top), min(x + width, left + side_x), min(y + height, top + side_y)
                tile = tiles[row * across + column]
                pixels[y0 - y : y1 - y, x0 - x : x1 - x] = tile[y0 - top : y1 - top, x0 - left : x1 - left]
        return pixels

    def forget(self) -> None:
        """Free the decoded tiles of a closed slide."""
        _decoded_tiles().drop(self)

    def _tiles(self, numbers: list[int]) -> dict[int, RGB] | None:
        """Return decoded tiles by number; None if one of them cannot be read."""
        kept, picture = _decoded_tiles(), self._picture
        tiles = {number: tile for number in numbers if (tile := kept.get((self, number))) is not None}
        if len(tiles) == len(numbers):
            return tiles
        try:
            with self._path.open("rb", buffering=0) as stream:
                for number in numbers:
                    if number in tiles:
                        continue
                    stream.seek(int(picture.offsets[number]))
                    tile = self._decode(stream.read(int(picture.byte_counts[number])))
                    if tile is None:
                        return None
                    tiles[number] = tile
                    kept.put((self, number), tile)
        except OSError:
            return None
        return tiles

    def _decode(self, data: bytes) -> RGB | None:
        picture = self._picture
        if not _is_sound(data, *picture.tile_size):
            return None
        try:
            tile: RGB = imagecodecs.jpeg8_decode(
                data, tables=picture.tables or None, colorspace=picture.colours, outcolorspace="RGB"
            )
        except imagecodecs.Jpeg8Error:
            return None
        return tile


class _Kept:
    """The most recently used tiles of all slides together, so that memory does not grow with the number of slides."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._tiles: OrderedDict[tuple[JpegLevel, int], RGB] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[JpegLevel, int]) -> RGB | None:
        with self._lock:
            if key not in self._tiles:
                return None
            self._tiles.move_to_end(key)
            return self._tiles[key]

    def put(self, key: tuple[JpegLevel, int], tile: RGB) -> None:
        with self._lock:
            if key in self._tiles:  # another thread was faster
                return
            self._tiles[key] = tile
            self._bytes += tile.nbytes
            while self._bytes > self._limit_bytes:
                self._bytes -= self._tiles.popitem(last=False)[1].nbytes

    def drop(self, level: JpegLevel) -> None:
        with self._lock:
            for key in [key for key in self._tiles if key[0] is level]:
                self._bytes -= self._tiles.pop(key).nbytes


@cache
def _decoded_tiles() -> _Kept:
    return _Kept(CACHE_BYTES)


def _is_sound(data: bytes, width_px: int, height_px: int) -> bool:
    """Return whether bytes are a complete JPEG of this size, with one sequential scan of three channels.

    libjpeg takes memory for whatever size a JPEG claims, and imagecodecs does not hand on its warnings of damage: a
    scan that is cut short, or that another marker breaks into.
    """
    frame = struct.pack(">BHHB", 8, height_px, width_px, 3)
    if data[:2] != b"\xff\xd8":
        return False
    place, has_frame = 2, False
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == _SCAN:
            scan = place + 2 + length
            markers = data.count(b"\xff", scan) - data.count(b"\xff\x00", scan)
            return has_frame and markers == 1 and data.find(b"\xff\xd9", scan) >= 0
        if marker in _SEQUENTIAL:
            has_frame = data.startswith(frame, place + 4)
        elif marker not in _BEFORE_SCAN:
            return False
        place += 2 + length
    return False
