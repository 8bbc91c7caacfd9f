"""Reads what DICOM files are from their headers: of which series, with or without a scan, and how it is compressed.

OpenSlide reads their pixels. Part 5 of the standard (7.1, 7.5) tells how a header is written; none of its sequences is
looked into, and nothing large is read.
"""

import contextlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hviskd.errors import DataError
from hviskd.slides.pixel_check import PixelKind, require_colour

_PREAMBLE = 128
_MOST_ELEMENTS, _MOST_DEPTH, _MOST_VALUE_BYTES = 20_000, 16, 1024
_UNDEFINED = 0xFFFFFFFF
_ITEM_GROUP, _ITEM_END, _SEQUENCE_END = 0xFFFE, 0xFFFEE00D, 0xFFFEE0DD
_LONG_FORMS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_SYNTAX, _TYPE, _CLASS, _SERIES = 0x00020010, 0x00080008, 0x00080016, 0x0020000E
_SAMPLES, _PHOTOMETRIC, _BITS = 0x00280002, 0x00280004, 0x00280100
_WHOLE_SLIDE_IMAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_NO_SCAN = ("LABEL", "OVERVIEW", "THUMBNAIL", "LOCALIZER")
_IMPLICIT, _BIG_ENDIAN, _DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"

# Of the transfer syntaxes, by what follows 1.2.840.10008.1.2, those that OpenSlide does not read.
_UNREAD = {
    ".2": "big-endian",
    ".1.99": "deflated",
    ".5": "RLE",
    ".4.51": "12-bit JPEG",
    ".4.57": "lossless JPEG",
    ".4.70": "lossless JPEG",
    ".4.80": "JPEG-LS",
    ".4.81": "JPEG-LS",
    ".4.92": "multi-component JPEG 2000",
    ".4.93": "multi-component JPEG 2000",
    ".4.110": "JPEG XL",
    ".4.111": "JPEG XL",
    ".4.112": "JPEG XL",
    ".4.201": "HTJ2K",
    ".4.202": "HTJ2K",
    ".4.203": "HTJ2K",
    **{f".4.{number}": "video" for number in range(100, 109)},
}


@dataclass(frozen=True)
class DicomFile:
    """The header of a DICOM file.

    Attributes:
        syntax: How its pixels are stored, a UID.
        series: The UID of its series; all files of a slide have one.
        is_slide_image: Whether it holds an image of a slide, were it of the label.
        is_scan: Whether it holds a level of the scan.
        samples: Channels per px.
        bits: Of each.
        photometric: In what they hold colours.
    """

    syntax: str
    series: str
    is_slide_image: bool
    is_scan: bool
    samples: int
    bits: int
    photometric: str


def read_dicom(path: Path) -> DicomFile | None:
    """Read the header of a DICOM file; None if it is not DICOM, or the header is damaged."""
    found: dict[int, bytes] = {}
    with contextlib.suppress(OSError, struct.error, ValueError, OverflowError), path.open("rb") as stream:
        if stream.read(_PREAMBLE + 4)[_PREAMBLE:] != b"DICM":
            return None
        for tag, value in _Header(stream).elements():
            found.setdefault(tag, value)
    if _SERIES not in found:
        return None
    kind = _text(found, _TYPE).split("\\")
    is_slide = _text(found, _CLASS) == _WHOLE_SLIDE_IMAGE
    return DicomFile(
        syntax=_text(found, _SYNTAX),
        series=_text(found, _SERIES),
        is_slide_image=is_slide,
        is_scan=is_slide and not any(word in kind for word in _NO_SCAN),
        samples=_number(found, _SAMPLES, 3),
        bits=_number(found, _BITS, 8),
        photometric=_text(found, _PHOTOMETRIC),
    )


def require_readable(path: Path) -> None:
    """Check a file that may be DICOM: that it holds an image, in colour, and stored in a way that OpenSlide reads.

    Raises:
        DataError: It does not.
    """
    file = read_dicom(path)
    if file is None:
        return
    if not file.is_slide_image:
        raise DataError(f"{path}: a DICOM object without an image of a slide; give a file of the slide's own series")
    name = _UNREAD.get(file.syntax.removeprefix(_IMPLICIT))
    if name is not None:
        raise DataError(
            f"{path}: compressed with {name} (transfer syntax {file.syntax[:60]}), which is not read; convert it to "
            "JPEG or JPEG 2000, for example with dcm4che's dcm2dcm"
        )
    in_colour = file.samples == 3 and not file.photometric.startswith("MONOCHROME")
    require_colour(path, PixelKind(file.bits, file.samples, in_colour=in_colour))


def one_of_each_series(paths: Iterable[Path]) -> tuple[list[Path], int]:
    """Choose one file for each series of a folder that has a scan, the first by name.

    Files that cannot be read count as one slide if there is no other, so that they are reported as damaged.

    Returns:
        The chosen files, and how many of the others hold no image of a slide or are of a series without a scan.
    """
    scans: dict[str, Path] = {}
    read = [(path, read_dicom(path)) for path in paths]
    for path, file in read:
        if file is not None and file.is_scan:
            scans.setdefault(file.series, path)
    left_out = sum(file is not None and file.series not in scans for _, file in read)
    unread = [path for path, file in read if file is None]
    return sorted([*scans.values(), *unread[:1]]), left_out


def same_series(path: Path, others: Iterable[Path]) -> list[Path]:
    """Leave out of the files beside a DICOM slide those that are of another series."""
    own = read_dicom(path)
    kept = []
    for other in others:
        file = read_dicom(other) if own is not None and other.suffix.lower() == path.suffix.lower() else None
        if own is None or file is None or file.series == own.series:
            kept.append(other)
    return kept


def _text(found: dict[int, bytes], tag: int) -> str:
    return found.get(tag, b"").decode("ascii", "replace").strip(" \0")


def _number(found: dict[int, bytes], tag: int, default: int) -> int:
    value = found.get(tag, b"")
    return int.from_bytes(value, "little") if len(value) == 2 else default


class _Header:
    """Iterates over the elements of an open file, positioned after its preamble."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._explicit = True  # whether each element tells the kind of its value; the first ones always do
        self._left = _MOST_ELEMENTS

    def elements(self) -> Iterator[tuple[int, bytes]]:
        """Yield tag and value of each element until the last one looked for; of those that are long, no value.

        Raises:
            struct.error, ValueError: The file ends, or is no sound DICOM.
        """
        syntax = ""
        while True:
            place = self._stream.tell()
            tag, size = self._head()
            if tag >> 16 > 2 and syntax:
                if syntax in (_BIG_ENDIAN, _DEFLATED):
                    return
                self._explicit, syntax = syntax != _IMPLICIT, ""
                self._stream.seek(place)
            elif tag > _BITS:
                return
            elif size == _UNDEFINED:
                self._skip_items(0)
            elif size > _MOST_VALUE_BYTES:
                self._stream.seek(size, 1)
            else:
                value = self._stream.read(size)
                syntax = value.decode("ascii", "replace").strip(" \0") if tag == _SYNTAX else syntax
                yield tag, value

    def _head(self) -> tuple[int, int]:
        """Read the tag of an element and the size of its value."""
        self._left -= 1
        if not self._left:
            raise ValueError("too many elements")
        group, element = struct.unpack("<HH", self._stream.read(4))
        if self._explicit and group != _ITEM_GROUP:
            kind, size = struct.unpack("<2sH", self._stream.read(4))
            if kind not in _LONG_FORMS:
                return group << 16 | element, size
        return group << 16 | element, struct.unpack("<I", self._stream.read(4))[0]

    def _skip_items(self, depth: int) -> None:
        """Go to the end of a sequence or item of undefined length."""
        if depth > _MOST_DEPTH:
            raise ValueError("nested too deeply")
        while True:
            tag, size = self._head()
            if tag in (_SEQUENCE_END, _ITEM_END):
                return
            if size == _UNDEFINED:
                self._skip_items(depth + 1)
            else:
                self._stream.seek(size, 1)
