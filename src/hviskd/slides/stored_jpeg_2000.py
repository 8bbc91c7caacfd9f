"""What a tile in JPEG 2000 says of itself before it is decoded (ISO/IEC 15444-1, A.5.1)."""

import struct

_BEGIN = b"\xff\x4f\xff\x51"  # of a codestream: start, then the size of the image
_SIZE = struct.Struct(">4x2x2x8I")  # right and lower edge, left and upper edge, then the same of its own tiles
_CHANNEL = b"\x07\x01\x01"  # 8 bits without a sign, not subsampled


def claims(data: bytes, width_px: int, height_px: int) -> bool:
    """Return whether bytes begin as a JPEG 2000 codestream of this size, with three channels of 8 bits.

    OpenJPEG allocates the size that a codestream claims.
    """
    if not data.startswith(_BEGIN) or len(data) < _SIZE.size:
        return False
    right, lower, left, upper, *_ = _SIZE.unpack_from(data)
    size = right - left, lower - upper
    return size == (width_px, height_px) and data.startswith(b"\x00\x03" + 3 * _CHANNEL, _SIZE.size)
