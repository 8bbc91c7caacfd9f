"""Reads rectangles of an image that is stored in pieces, each of which is decoded once and kept for a while.

OpenSlide draws tiles on a canvas with transparency, which takes four times as long.
"""

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hviskd.arrays import RGB
from hviskd.slides.compressions import JPEG
from hviskd.slides.stored_jpeg import is_sound, whole_jpeg
from hviskd.slides.tiff_images import StoredImage

CACHE_BYTES = 128 * 2**20  # two rows of 256 px tiles across a slide of 80,000 px


class PieceLevel(ABC):
    """One level of a slide whose pieces are decoded on demand; several threads may read it at once.

    Args:
        path: The file.
        image: Where in it the pieces are.
    """

    def __init__(self, path: Path, image: StoredImage) -> None:
        self._path = path
        self._image = image

    def region(self, x: int, y: int, width: int, height: int) -> RGB | None:
        """Read a rectangle inside the level, in its px: uint8 (height, width, 3); None if this is not possible.

        Raises:
            OSError: The file cannot be read.
            ValueError: A piece is damaged, and the level has no other way to read it.
        """
        side_x, side_y = self._image.tile_size
        across = self._image.grid[0]
        rows = range(y // side_y, (y + height - 1) // side_y + 1)
        columns = range(x // side_x, (x + width - 1) // side_x + 1)
        pixels = np.empty((height, width, 3), np.uint8)
        for row in rows:  # one after the other, for of strips each is as wide as the slide
            pieces = self._pieces([row * across + column for column in columns])
            if pieces is None:
                return None
            for column in columns:
                left, top = column * side_x, row * side_y
                x0, y0, x1, y1 = max(x, left), max(y, top), min(x + width, left + side_x), min(y + height, top + side_y)
                piece = pieces[row * across + column]
                pixels[y0 - y : y1 - y, x0 - x : x1 - x] = piece[y0 - top : y1 - top, x0 - left : x1 - left]
        return pixels

    @property
    def jpeg_px(self) -> int | None:
        """The side of the pieces if they are square JPEGs of colours; None otherwise."""
        image = self._image
        square = image.tiled and image.tile_size[0] == image.tile_size[1]
        plain = image.compression == JPEG and image.bits == (8, 8, 8) and not image.planar and image.colours is not None
        return image.tile_size[0] if square and plain else None

    def jpeg(self, column: int, row: int) -> bytes | None:
        """Return a piece as a JPEG that stands alone; None where it is not sound, or stored in another way.

        Raises:
            OSError: The file cannot be read.
        """
        image, number = self._image, row * self._image.grid[0] + column
        if self.jpeg_px is None or image.colours is None or not (image.offsets[number] and image.byte_counts[number]):
            return None
        with self._path.open("rb", buffering=0) as stream:
            stream.seek(int(image.offsets[number]))
            data = stream.read(int(image.byte_counts[number]))
        return whole_jpeg(data, image.tables, image.colours) if is_sound(data, *image.tile_size) else None

    def forget(self) -> None:
        """Free the decoded pieces of a closed slide."""
        _decoded_pieces().drop(self)

    def _pieces(self, numbers: list[int]) -> dict[int, RGB] | None:
        """Return decoded pieces by number; None if one of them cannot be read."""
        kept = _decoded_pieces()
        pieces = {number: piece for number in numbers if (piece := kept.get((self, number))) is not None}
        if len(pieces) == len(numbers):
            return pieces
        with self._path.open("rb", buffering=0) as stream:
            for number in numbers:
                if number in pieces:
                    continue
                piece = self._decoded(stream, number)
                if piece is None:
                    return None
                pieces[number] = piece
                kept.put((self, number), piece)
        return pieces

    @abstractmethod
    def _decoded(self, stream: BinaryIO, number: int) -> RGB | None:
        """Decode a piece of an open file."""


class _Kept:
    """The most recently used pieces of all slides together, so that memory does not grow with the number of slides."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._pieces: OrderedDict[tuple[PieceLevel, int], RGB] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[PieceLevel, int]) -> RGB | None:
        with self._lock:
            if key not in self._pieces:
                return None
            self._pieces.move_to_end(key)
            return self._pieces[key]

    def put(self, key: tuple[PieceLevel, int], piece: RGB) -> None:
        with self._lock:
            if key in self._pieces:  # another thread was faster
                return
            self._pieces[key] = piece
            self._bytes += piece.nbytes
            while self._bytes > self._limit_bytes:
                self._bytes -= self._pieces.popitem(last=False)[1].nbytes

    def drop(self, level: PieceLevel) -> None:
        with self._lock:
            for key in [key for key in self._pieces if key[0] is level]:
                self._bytes -= self._pieces.pop(key).nbytes


@cache
def _decoded_pieces() -> _Kept:
    return _Kept(CACHE_BYTES)
