"""Decodes the tiles of a slide in JPEG or JPEG 2000 directly to RGB, each once.

OpenSlide leaves the decoding to libjpeg and OpenJPEG with their defaults, as here, so the pixels are the same. What is
not sound and ordinary is left to OpenSlide.
"""

import contextlib
from typing import BinaryIO

import imagecodecs
import numpy as np

from hviskd.arrays import RGB
from hviskd.slides.compressions import JPEG
from hviskd.slides.piece_level import PieceLevel
from hviskd.slides.stored_jpeg import is_sound
from hviskd.slides.stored_jpeg_2000 import claims


class OrdinaryLevel(PieceLevel):
    """A level of ordinary tiles of RGB; None is given where one of them is not sound."""

    def region(self, x: int, y: int, width: int, height: int) -> RGB | None:
        """Read a rectangle inside the level, in its px: uint8 (height, width, 3); None if this is not possible."""
        with contextlib.suppress(OSError):
            return super().region(x, y, width, height)
        return None

    def _decoded(self, stream: BinaryIO, number: int) -> RGB | None:
        image = self._image
        stream.seek(int(image.offsets[number]))
        data = stream.read(int(image.byte_counts[number]))
        return self._jpeg(data) if image.compression == JPEG else self._jpeg_2000(data)

    def _jpeg(self, data: bytes) -> RGB | None:
        image = self._image
        if not is_sound(data, *image.tile_size):
            return None
        try:
            tile: RGB = imagecodecs.jpeg8_decode(
                data, tables=image.tables or None, colorspace=image.colours, outcolorspace="RGB"
            )
        except imagecodecs.Jpeg8Error:
            return None
        return tile

    def _jpeg_2000(self, data: bytes) -> RGB | None:
        columns, rows = self._image.tile_size
        if not claims(data, columns, rows):
            return None
        tile = np.empty((rows, columns, 3), np.uint8)
        try:
            imagecodecs.jpeg2k_decode(data, out=tile)
        except (imagecodecs.Jpeg2kError, ValueError):
            return None
        return tile
