"""Decodes the JPEG tiles of a slide directly to RGB, each once.

OpenSlide leaves the decoding to libjpeg with its defaults, as here, so the pixels are the same. What is not sound and
ordinary is left to OpenSlide.
"""

import contextlib
from typing import BinaryIO

import imagecodecs

from hviskd.arrays import RGB
from hviskd.slides.piece_level import PieceLevel

_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_BEFORE_SCAN = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})  # tables and notes
_SCAN, _RESTARTS = 0xDA, 0xDD


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


def is_sound(data: bytes, width_px: int, height_px: int, samples: int = 3, *, ordinary: bool = True) -> bool:
    """Return whether bytes are a complete JPEG of this size and as many samples a px.

    libjpeg allocates the size that a JPEG claims, and imagecodecs does not pass on its warnings of damage: a
    scan that is cut short, or that another marker breaks into. An ordinary one has one sequential scan, in which there
    is no marker; of any other, damage within its scans is not found.
    """
    frame = b"\x08" + height_px.to_bytes(2, "big") + width_px.to_bytes(2, "big") + bytes([samples])
    if data[:2] != b"\xff\xd8" or max(width_px, height_px) >= 2**16:
        return False
    place, has_frame, marked = 2, False, False
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == _SCAN:
            scan = place + 2 + length
            if marked and not ordinary:
                return has_frame and data.rfind(b"\xff\xd9", scan) >= 0
            markers = data.count(b"\xff", scan) - data.count(b"\xff\x00", scan)
            return has_frame and markers == 1 and data.find(b"\xff\xd9", scan) >= 0
        marked |= marker in (_PROGRESSIVE, _RESTARTS)
        if marker in _SEQUENTIAL or (marker == _PROGRESSIVE and not ordinary):
            has_frame = data.startswith(frame, place + 4)
        elif marker not in _BEFORE_SCAN:
            return False
        place += 2 + length
    return False
