"""Reads a JPEG mask some rows at a time, and finds the size and the end of a JPEG in a TIFF.

libvips unpacks the rows. It never holds the picture, and what libjpeg only warns of, such as rows that are missing and
would come out grey, is an error with it. Other decoders within reach hand on such pixels without a word:
benchmarks/results/masks.md.
"""

import io
import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hviskd.annotations.colours import ROWS_AT_ONCE_PX, Block, pack_codes

PROGRESSIVE_LIMIT_PX = 120_000_000  # its decoder holds the whole picture at 6 bytes a px

# Our one-line error covers what libvips logs about a damaged file; users who configure logging still see it.
logging.getLogger("pyvips").addHandler(logging.NullHandler())


def jpeg_blocks(path: Path) -> Iterator[Block]:
    """Yield the colour codes of a JPEG whose header `jpeg_size` has accepted, some million px at a time.

    Raises:
        ValueError: It is damaged or cut short.
    """
    import pyvips  # brings a large library, and most masks are PNG

    try:
        picture = pyvips.Image.jpegload(str(path), access="sequential", fail_on="warning")
        rows_at_once = max(1, ROWS_AT_ONCE_PX // picture.width)
        region = pyvips.Region.new(picture)
        for row in range(0, picture.height, rows_at_once):
            rows = min(rows_at_once, picture.height - row)
            samples = np.frombuffer(region.fetch(0, row, picture.width, rows), np.uint8)
            yield row, 0, pack_codes(samples.reshape(rows, picture.width, picture.bands))
    except pyvips.Error as error:
        said = str(error).strip().splitlines()[-1].strip()
        raise ValueError(said.removeprefix("VipsJpeg: ") or "damaged") from error


def jpeg_size(stream: BinaryIO) -> tuple[int, int]:
    """Read width and height in px from the frame header of a JPEG (ITU T.81, B.2.2).

    Decoders allocate what the header claims, so it is checked first.

    Raises:
        ValueError: The header is damaged, or tells of a picture that is not decoded here.
        struct.error: The file ends within its header.
    """
    stream.seek(2)
    while True:
        marker, length = struct.unpack(">2sH", stream.read(4))
        if marker[0] != 0xFF or length < 2:
            raise ValueError("damaged header")
        if 0xC0 <= marker[1] <= 0xCF and marker[1] not in (0xC4, 0xC8, 0xCC):
            break
        stream.seek(length - 2, io.SEEK_CUR)
    depth, height, width, components = struct.unpack(">BHHB", stream.read(6))
    if marker[1] > 0xC2 or depth != 8 or components not in (1, 3):
        raise ValueError("a JPEG that is neither grey nor RGB; save it as RGB")
    if marker[1] == 0xC2 and width * height > PROGRESSIVE_LIMIT_PX:
        raise ValueError("a large progressive JPEG; save it as a baseline JPEG, PNG or tiled TIFF")
    return width, height


def jpeg_ends(content: bytes) -> bool:
    """Return whether the last scan of a JPEG ends with the end marker; missing data would be decoded as grey."""
    return content.rfind(b"\xff\xd9") > content.rfind(b"\xff\xda")
