"""Decodes the JPEG tiles of a slide directly to RGB, each once.

OpenSlide leaves the decoding to libjpeg with its defaults, as here, so the pixels are the same. What is not sound and
ordinary is left to OpenSlide.
"""

import contextlib
from typing import BinaryIO

import imagecodecs

from hviskd.arrays import RGB
from hviskd.slides.piece_level import PieceLevel
from hviskd.slides.stored_jpeg import is_sound


class JpegLevel(PieceLevel):
    """A level of ordinary JPEG tiles of RGB; None is given where one of them is not sound."""

    def region(self, x: int, y: int, width: int, height: int) -> RGB | None:
        """Read a rectangle inside the level, in its px: uint8 (height, width, 3); None if this is not possible."""
        with contextlib.suppress(OSError):
            return super().region(x, y, width, height)
        return None

    def _decoded(self, stream: BinaryIO, number: int) -> RGB | None:
        image = self._image
        stream.seek(int(image.offsets[number]))
        data = stream.read(int(image.byte_counts[number]))
        if not is_sound(data, *image.tile_size):
            return None
        try:
            tile: RGB = imagecodecs.jpeg8_decode(
                data, tables=image.tables or None, colorspace=image.colours, outcolorspace="RGB"
            )
        except imagecodecs.Jpeg8Error:
            return None
        return tile
