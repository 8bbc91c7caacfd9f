"""Tells the size of a JPEG, and whether it is whole, before anything decodes it; `pixels` and `tiff` ask.

A decoder makes room for whatever the header claims, and fills what is missing with grey, without a word.
"""

import io
import struct
from typing import BinaryIO

PROGRESSIVE_LIMIT_PX = 150_000_000  # its decoder holds the whole picture at 6 bytes a px


def jpeg_size(stream: BinaryIO) -> tuple[int, int]:
    """Find width and height in px in the frame header of a JPEG (ITU T.81, B.2.2).

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
        raise ValueError("a JPEG that is not plain grey or RGB; save it as one")
    if marker[1] == 0xC2 and width * height > PROGRESSIVE_LIMIT_PX:
        raise ValueError("a large progressive JPEG; save it as a plain one, or as PNG or tiled TIFF")
    return width, height


def jpeg_ends(content: bytes) -> bool:
    """Tell whether the last scan of a JPEG is followed by the picture's end."""
    return content.rfind(b"\xff\xd9") > content.rfind(b"\xff\xda")
