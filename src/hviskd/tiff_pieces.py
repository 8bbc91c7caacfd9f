"""Unpacks LZW and PackBits of TIFFs with libtiff, because the LZW of imagecodecs crashes the process on damaged data.

A piece is wrapped into a small TIFF of its own. Slides and masks are read with it.
"""

import struct

import numpy as np
from numpy.typing import NDArray

LZW, PACKBITS = 5, 32773
_SHORT, _LONG = 3, 4


def unpacked_by_libtiff(
    packed: bytes, shape: tuple[int, int, int], *, compression: int, bits: int = 8, predictor: int = 1, order: str = "<"
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Unpack one tile or strip.

    Args:
        packed: Its bytes in the file.
        shape: Rows, columns and samples.
        compression: `LZW` or `PACKBITS`.
        bits: Of each sample: 1, 8 or 16.
        predictor: 2 if samples are stored as differences to their neighbours.
        order: Byte order of the file, as NumPy writes it.

    Returns:
        Samples of this shape, uint8 or uint16.

    Raises:
        ValueError: They are damaged.
    """
    import imagecodecs

    try:
        with_header = _header(len(packed), shape, compression, bits, predictor, order) + packed
        samples = np.asarray(imagecodecs.tiff_decode(with_header)).reshape(shape)
        return samples.view(np.uint8) if bits == 1 else samples
    except RuntimeError as error:
        raise ValueError(f"damaged {'LZW' if compression == LZW else 'PackBits'}") from error


def _header(size: int, shape: tuple[int, int, int], compression: int, bits: int, predictor: int, order: str) -> bytes:
    rows, columns, samples = shape
    entries = [(256, _LONG, columns), (257, _LONG, rows), (258, _SHORT, bits), (259, _SHORT, compression)]
    entries += [(262, _SHORT, 1), (273, _LONG, 0), (277, _SHORT, samples), (278, _LONG, rows), (279, _LONG, size)]
    entries += [(317, _SHORT, predictor)] * (predictor != 1) + [(338, _SHORT, 0)] * (samples > 1)
    counts = {258: samples, 338: samples - 1}
    values_at = 8 + 2 + 12 * len(entries) + 4
    written, values = b"", b""
    for tag, kind, value in entries:
        count = counts.get(tag, 1)
        form = f"{order}{count}{'H' if kind == _SHORT else 'I'}"
        stored = struct.pack(form, *[value] * count)
        if tag == 273:
            stored = struct.pack(f"{order}I", values_at + 4 * samples)  # behind the values, which take no more
        if len(stored) > 4:
            place = values_at + len(values)
            values += stored
            stored = struct.pack(f"{order}I", place)
        written += struct.pack(f"{order}HHI", tag, kind, count) + stored.ljust(4, b"\0")
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    head = start + struct.pack(f"{order}H", len(entries)) + written + bytes(4) + values
    return head.ljust(values_at + 4 * samples, b"\0")
