"""The headers of a TIFF, whatever is in them: whoever reads one begins here.

Numbers are read only after their count has been judged, so a damaged header takes no memory. tifffile takes it: of
one tag that claimed 1 GiB, 3.1 GB and 18 s. So what tifffile shall read is looked through here first.
"""

import logging
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import Ints

if TYPE_CHECKING:
    from tifffile import TiffFile

MOST_DIRECTORIES, MOST_TAGS = 64, 512
MOST_BYTES = 64 * 2**20  # of the values of one tag: places of eight million tiles

# What tifffile has to say of a damaged file is told by our one line; whoever sets up logging still hears it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_WHOLE = {1: "u1", 3: "u2", 4: "u4", 7: "u1", 8: "i2", 9: "i4", 16: "u8", 17: "i8"}  # whole numbers, by TIFF's number
_BYTES = {**{kind: np.dtype(name).itemsize for kind, name in _WHOLE.items()}, 2: 1, 5: 8, 6: 1, 10: 8, 11: 4, 12: 8}


@dataclass(frozen=True)
class Directory:
    """What a TIFF says of one of its pictures: (type, count, and the value or the offset at which it stands) by tag."""

    stream: BinaryIO
    order: str
    tags: dict[int, tuple[int, int, bytes]]

    def some(self, tag: int, most: int) -> NDArray[np.integer[Any]]:
        """Give the first `most` whole numbers of a tag, of those that are there."""
        kind, count, value = self.tags.get(tag, (0, 0, b""))
        if kind not in _WHOLE:
            return np.empty(0, np.int64)
        count = min(count, most)
        if count * _BYTES[kind] > len(value):
            self.stream.seek(int.from_bytes(value, "little" if self.order == "<" else "big"))
            value = self.stream.read(count * _BYTES[kind])
        return np.frombuffer(value, self.order + _WHOLE[kind], min(count, len(value) // _BYTES[kind]))

    def numbers(self, tag: int, most: int) -> Ints:
        """Give all whole numbers of a tag; none if it has over `most` or one of them is not there."""
        count = self.tags.get(tag, (0, 0, b""))[1]
        found = self.some(tag, most if count <= most else 0)
        return found.astype(np.int64) if len(found) == count else np.empty(0, np.int64)

    def number(self, tag: int, default: int = 0) -> int:
        """Give the whole number of a tag that has one."""
        found = self.numbers(tag, 1)
        return int(found[0]) if len(found) else default


def directories(stream: BinaryIO) -> Iterator[Directory]:
    """Give the headers of the pictures of a TIFF or BigTIFF one after the other; none where it is no TIFF.

    Raises:
        struct.error, OSError, OverflowError, ValueError: It is cut off, points beyond all files, or has over 512 tags.
    """
    start = stream.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None:
        return
    version = struct.unpack_from(order + "H", start, 2)[0]
    if version == 42:
        count_of, tag_of, place_of = (struct.Struct(order + fields) for fields in ("H", "HHI4s", "I"))
        (place,) = place_of.unpack_from(start, 4)
    elif version == 43:
        count_of, tag_of, place_of = (struct.Struct(order + fields) for fields in ("Q", "HHQ8s", "Q"))
        (place,) = place_of.unpack_from(start, 8)
    else:
        return
    for _ in range(MOST_DIRECTORIES):
        if not place:
            return
        stream.seek(place)
        (count,) = count_of.unpack(stream.read(count_of.size))
        if count > MOST_TAGS:
            raise ValueError("damaged header")
        entries = stream.read(count * tag_of.size)
        (place,) = place_of.unpack(stream.read(place_of.size))
        first_of_each = reversed([*tag_of.iter_unpack(entries)])
        yield Directory(stream, order, {tag: (kind, number, value) for tag, kind, number, value in first_of_each})


def open_tiff(path: Path) -> "TiffFile":
    """Open a TIFF with tifffile, if none of its headers claims more than memory has room for.

    Raises:
        ValueError: One does.
        Exception: Whatever tifffile raises on a damaged file.
    """
    from tifffile import TiffFile

    with path.open("rb") as stream:
        file_bytes = os.fstat(stream.fileno()).st_size
        for directory in directories(stream):
            claims = [_BYTES.get(kind, 1) * count for kind, count, _ in directory.tags.values()]
            if any(MOST_BYTES < claim <= file_bytes for claim in claims):  # of a longer one tifffile reads nothing
                raise ValueError("damaged header")
    return TiffFile(path)
