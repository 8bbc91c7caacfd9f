"""Detects images that are stored rotated or mirrored; slides, flat images and masks are all checked.

Viewers turn such a picture as its Orientation says, readers of pixels do not, or each tile in its place: what was
drawn on it in one program would lie elsewhere in another, unseen where the picture is square.
"""

import contextlib
import io
import struct
from pathlib import Path
from typing import BinaryIO

from hviskd.errors import DataError
from hviskd.tiff_directories import TIFF_STARTS, directories

_ORIENTATION, _TILE_WIDTH = 274, 322
_JPEG, _PNG, _EXIF = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"Exif\0\0"
_START_OF_SCAN = 0xDA
_MOST_SEGMENTS, _MOST_CHUNKS = 1000, 2**20  # of a JPEG before its scan; of a PNG
_MOST_BYTES = 2**16


def require_upright(path: Path) -> None:
    """Check that a TIFF, JPEG or PNG is stored as it is to be seen; any other file passes.

    Raises:
        DataError: It is stored rotated or mirrored.
        OSError: The file cannot be read.
    """
    refuse_turned(path, orientation_of(path))


def refuse_turned(path: Path, orientation: int) -> None:
    """Refuse a picture of an Orientation that is rotated or mirrored.

    Raises:
        DataError: It is.
    """
    if 2 <= orientation <= 8:
        raise DataError(f"{path}: stored rotated or mirrored (orientation {orientation}); save it upright")


def orientation_of(path: Path) -> int:
    """Return the Orientation (TIFF 6.0, Exif) of a picture, of a TIFF's first or a tiled one; 1 if it tells none.

    Raises:
        OSError: The file cannot be opened.
    """
    with path.open("rb") as stream:
        start = stream.read(len(_PNG))
        # Damage, such as a header beyond all files, is told by whoever reads the pixels.
        with contextlib.suppress(struct.error, OverflowError, ValueError, OSError):
            if start.startswith(TIFF_STARTS):
                return _of_tiff(stream)
            if start.startswith(_JPEG):
                return _of_exif(_exif_of_jpeg(stream))
            if start == _PNG:
                return _of_exif(_exif_of_png(stream))
    return 1


def _of_tiff(stream: BinaryIO) -> int:
    stream.seek(0)
    for number, directory in enumerate(directories(stream)):
        orientation = directory.number(_ORIENTATION, 1)
        if orientation > 1 and (number == 0 or _TILE_WIDTH in directory.tags):
            return orientation
    return 1


def _of_exif(exif: bytes) -> int:
    return next((directory.number(_ORIENTATION, 1) for directory in directories(io.BytesIO(exif))), 1)


def _exif_of_jpeg(stream: BinaryIO) -> bytes:
    place = len(_JPEG)
    for _ in range(_MOST_SEGMENTS):
        stream.seek(place)
        mark, kind, length = struct.unpack(">BBH", stream.read(4))
        if mark != 0xFF or kind == _START_OF_SCAN:
            break
        if kind == 0xE1 and stream.read(len(_EXIF)) == _EXIF:
            return stream.read(length - 2 - len(_EXIF))
        place += 2 + length
    return b""


def _exif_of_png(stream: BinaryIO) -> bytes:
    for _ in range(_MOST_CHUNKS):
        length, kind = struct.unpack(">I4s", stream.read(8))
        if kind == b"eXIf":
            return stream.read(min(length, _MOST_BYTES))
        if kind == b"IEND":
            break
        stream.seek(length + 4, io.SEEK_CUR)
    return b""
