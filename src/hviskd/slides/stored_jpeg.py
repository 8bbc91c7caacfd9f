"""A slide's JPEG tiles as they are stored: whether one is sound, and one that stands alone, as browsers need it.

A tile in a TIFF may lack the tables that all tiles have in common, and says nothing of its colours; it may carry notes,
which nobody should see who only looks. What is handed out has tables and colours, and no notes.
"""

from collections.abc import Iterator
from typing import Literal

_BEGIN = b"\xff\xd8"
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_BEFORE_SCAN = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})  # tables and notes
_SCAN, _RESTARTS = 0xDA, 0xDD
_NEEDED = frozenset({0xC0, 0xC1, 0xC4, 0xDB, 0xDD})  # frame, Huffman and quantisation tables, restarts
_TRANSFORM = {"RGB": b"\x00", "YCBCR": b"\x01"}  # of Adobe's marker (T.872, 6.5.3)


def whole_jpeg(tile: bytes, tables: bytes, colours: Literal["RGB", "YCBCR"]) -> bytes:
    """Return a JPEG that stands alone.

    Args:
        tile: A tile that `is_sound`.
        tables: What the tiles have in common, itself a JPEG without an image; may be empty.
        colours: In what the samples hold colours.
    """
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + _TRANSFORM[colours]
    return b"".join([_BEGIN, adobe, *_kept(tables), *_kept(tile)])


def _kept(data: bytes) -> Iterator[bytes]:
    """Yield the segments that an image is made of, and its scan to the end."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == _SCAN:
            yield data[place : data.find(b"\xff\xd9", place) + 2]
            return
        if marker in _NEEDED:
            yield data[place : place + 2 + length]
        place += 2 + length


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
