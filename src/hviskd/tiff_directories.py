"""Reads the headers of a TIFF, however damaged; every reader of TIFFs begins here.

Numbers are read only after their count has been checked, so a damaged header takes little memory. tifffile checks
nothing: a tag that claimed 1 GiB took 3.1 GB and 18 s. So a file is checked here before tifffile opens it.
"""

import logging
import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import Ints

if TYPE_CHECKING:
    from tifffile import TiffFile

MOST_DIRECTORIES, MOST_TAGS = 64, 512
MOST_BYTES = 64 * 2**20  # of the values of one tag: places of eight million tiles
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# Our one-line error covers what tifffile logs about a damaged file; users who configure logging still see it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_WHOLE = {1: "u1", 3: "u2", 4: "u4", 7: "u1", 8: "i2", 9: "i4", 16: "u8", 17: "i8"}  # whole numbers, by TIFF's number
_BYTES = {**{kind: np.dtype(name).itemsize for kind, name in _WHOLE.items()}, 2: 1, 5: 8, 6: 1, 10: 8, 11: 4, 12: 8}


class _Layout(NamedTuple):
    """How a TIFF writes numbers: their byte order, a directory's number of entries, an entry, a place in the file."""

    order: str
    counter: struct.Struct
    entry: struct.Struct
    place: struct.Struct


_SUBIFDS, _RATIONAL = 330, 5


@dataclass(frozen=True)
class Directory:
    """The header of one image in a TIFF: by tag, its type, count, and value or the offset of its value."""

    stream: BinaryIO
    layout: _Layout
    tags: dict[int, tuple[int, int, bytes]]

    @property
    def order(self) -> str:
        """The byte order, as `struct` and NumPy write it."""
        return self.layout.order

    def some(self, tag: int, most: int) -> NDArray[np.integer[Any]]:
        """Give the first `most` whole numbers of a tag, of those that are there."""
        kind, count, value = self.tags.get(tag, (0, 0, b""))
        if kind not in _WHOLE:
            return np.empty(0, np.int64)
        value = self._content(value, min(count, most) * _BYTES[kind])
        return np.frombuffer(value, self.order + _WHOLE[kind], len(value) // _BYTES[kind])

    def numbers(self, tag: int, most: int) -> Ints:
        """Give all whole numbers of a tag; none if it has over `most` or one of them is not there."""
        count = self.tags.get(tag, (0, 0, b""))[1]
        found = self.some(tag, most if count <= most else 0)
        return found.astype(np.int64) if len(found) == count else np.empty(0, np.int64)

    def number(self, tag: int, default: int = 0) -> int:
        """Give the whole number of a tag that has one."""
        found = self.numbers(tag, 1)
        return int(found[0]) if len(found) else default

    def content(self, tag: int, most: int) -> bytes:
        """Give the bytes of a tag, such as a text or a profile; none if it has over `most`."""
        kind, count, value = self.tags.get(tag, (0, 0, b""))
        return self._content(value, count) if _BYTES.get(kind) == 1 and count <= most else b""

    def text(self, tag: int, most: int) -> str:
        """Give the text of a tag; empty if it has over `most` bytes."""
        return self.content(tag, most).partition(b"\0")[0].decode("utf-8", "replace")

    def fraction(self, tag: int) -> float:
        """Give the fraction of a tag that has one; not a number for any other."""
        kind, count, value = self.tags.get(tag, (0, 0, b""))
        content = self._content(value, 8) if (kind, count) == (_RATIONAL, 1) else b""
        above, below = struct.unpack(f"{self.order}II", content) if len(content) == 8 else (0, 0)
        return above / below if below else math.nan

    def below(self) -> "Iterator[Directory]":
        """Yield the headers of the SubIFDs of this image, which are levels of its pyramid.

        Raises:
            struct.error, OSError, OverflowError, ValueError: As for `directories`.
        """
        kind, count, value = self.tags.get(_SUBIFDS, (0, 0, b""))
        if kind == 13:  # a place of a directory, which is written as any whole number of four bytes
            kind = 4
        elif kind == 18:
            kind = 16
        places = replace(self, tags={_SUBIFDS: (kind, count, value)}).numbers(_SUBIFDS, MOST_DIRECTORIES)
        for place in places.tolist():
            yield _directory(self.stream, self.layout, place)[0]

    def _content(self, value: bytes, size: int) -> bytes:
        """Give the first bytes of a value, which stand in its entry if they fit."""
        if size <= len(value):
            return value[:size]
        self.stream.seek(int.from_bytes(value, "little" if self.order == "<" else "big"))
        return self.stream.read(size)


def directories(stream: BinaryIO) -> Iterator[Directory]:
    """Yield the headers of the images in a TIFF or BigTIFF; none if the file is not a TIFF.

    Raises:
        struct.error, OSError, OverflowError, ValueError: It is cut off, points beyond all files, or has over 512 tags.
    """
    start = stream.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None:
        return
    version = struct.unpack_from(order + "H", start, 2)[0]
    if version == 42:
        layout = _Layout(order, *(struct.Struct(order + fields) for fields in ("H", "HHI4s", "I")))
        (place,) = layout.place.unpack_from(start, 4)
    elif version == 43:
        layout = _Layout(order, *(struct.Struct(order + fields) for fields in ("Q", "HHQ8s", "Q")))
        (place,) = layout.place.unpack_from(start, 8)
    else:
        return
    for _ in range(MOST_DIRECTORIES):
        if not place:
            return
        directory, place = _directory(stream, layout, place)
        yield directory


def _directory(stream: BinaryIO, layout: _Layout, place: int) -> tuple[Directory, int]:
    """Read the header at a place, and where the next one stands; 0 after the last."""
    stream.seek(place)
    (count,) = layout.counter.unpack(stream.read(layout.counter.size))
    if count > MOST_TAGS:
        raise ValueError("damaged header")
    entries = stream.read(count * layout.entry.size)
    (following,) = layout.place.unpack(stream.read(layout.place.size))
    first_of_each = reversed([*layout.entry.iter_unpack(entries)])
    return Directory(
        stream, layout, {tag: (kind, number, value) for tag, kind, number, value in first_of_each}
    ), following


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
