"""Reads from the headers of a TIFF where the tiles or strips of its images are, and how they are encoded.

Even a damaged header takes little memory.
"""

import contextlib
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from hviskd.arrays import RGB, Ints
from hviskd.slides.compressions import NONE
from hviskd.tiff_directories import TIFF_STARTS, Directory, directories

MOST_PIECES = 2**22  # 500,000 px a side in tiles of 256 px
_MOST_TABLES_BYTES = 2**16
_MOST_SAMPLES, _MOST_LEVELS = 64, 24
_MOST_TEXT_BYTES = 16 * 2**20  # of OME-XML, which lists every plane of a stack
_MOST_ICC_BYTES = 16 * 2**20
_ROWS_PX = 2**20  # of what is not compressed, and so need not be read whole

# Tags and values of TIFF 6.0, its supplements, and its Technical Note 2, on JPEG.
_KIND, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_DESCRIPTION, _STRIP_OFFSETS, _ORIENTATION, _SAMPLES, _ROWS, _STRIP_BYTES = 270, 273, 274, 277, 278, 279
_ACROSS, _DOWN, _PLANAR, _PAGE_NAME, _UNIT, _PREDICTOR, _PALETTE = 282, 283, 284, 285, 296, 317, 320
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES, _EXTRA, _FORMAT, _TABLES = 322, 323, 324, 325, 338, 339, 347
_SUBSAMPLING, _ICC, _LERC = 530, 34675, 50674
GREY, RGB_COLOURS, BY_PALETTE, CMYK, YCBCR = 1, 2, 3, 5, 6  # photometric interpretations
_UM = {2: 25_400, 3: 10_000}  # in an inch, in a centimetre


@dataclass(frozen=True, eq=False)
class StoredImage:
    """An image in a TIFF, in tiles or strips.

    Attributes:
        size: Width and height of the image, in px.
        tile_size: Width and height of each piece, in px; tiles at the right and lower edge stand out of the image.
        tiled: Whether the pieces are tiles; strips otherwise, of which the last may be lower.
        offsets: (N,) where each piece begins in the file, row by row; of planes, all of the first come first.
        byte_counts: (N,) how long each is; 0 where it is missing.
        compression: What they are compressed with, by TIFF's number.
        photometric: In what the samples hold colours, by TIFF's number.
        bits: Of each sample of a px.
        number_format: 1 whole numbers, 2 with a sign, 3 floating point.
        extra: What the samples beyond the colours are; 0 unknown, 1 and 2 opacity (premultiplied, not).
        planar: Whether the samples of a px lie in planes.
        predictor: 2 if samples are stored as differences to their neighbours.
        order: Byte order, as NumPy writes it.
        tables: What the JPEGs have in common, itself a JPEG without an image; empty where there is nothing.
        palette: (colours, 3) where the samples are positions in it.
        subsampling: Of the colours of YCbCr.
        lerc: What LERC is compressed with once more: 0 nothing, 1 deflate, 2 Zstandard.
        reduced: Whether it is a smaller copy of another image.
        orientation: How it is rotated or mirrored; 1 if it is not.
        said: Its description.
        page_name: Its name.
        mpp: µm/px along x and y by its resolution; None if it has none.
        icc: Its ICC profile.
        below: The images below it (SubIFDs).
    """

    size: tuple[int, int]
    tile_size: tuple[int, int]
    tiled: bool
    offsets: Ints
    byte_counts: Ints
    compression: int
    photometric: int
    bits: tuple[int, ...]
    number_format: int = 1
    extra: tuple[int, ...] = ()
    planar: bool = False
    predictor: int = 1
    order: str = "<"
    tables: bytes = b""
    palette: RGB | None = None
    subsampling: tuple[int, int] = (1, 1)
    lerc: int = 0
    reduced: bool = False
    orientation: int = 1
    said: str = ""
    page_name: str = ""
    mpp: tuple[float, float] | None = None
    icc: bytes = b""
    below: "tuple[StoredImage, ...]" = ()

    @property
    def samples(self) -> int:
        """How many samples a px has."""
        return len(self.bits)

    @property
    def colours(self) -> Literal["RGB", "YCBCR"] | None:
        """In what a JPEG of three samples holds colours; None if in neither."""
        return "RGB" if self.photometric == RGB_COLOURS else "YCBCR" if self.photometric == YCBCR else None

    @property
    def grid(self) -> tuple[int, int]:
        """How many pieces there are across and down."""
        return -(-self.size[0] // self.tile_size[0]), -(-self.size[1] // self.tile_size[1])

    def planes(self) -> "list[StoredImage]":
        """Return an image of one sample for each plane, or the image itself if its samples are interleaved."""
        if not self.planar:
            return [self]
        share = len(self.offsets) // self.samples
        parts = [slice(share * number, share * (number + 1)) for number in range(self.samples)]
        return [
            replace(
                self,
                planar=False,
                bits=self.bits[number : number + 1],
                offsets=self.offsets[part],
                byte_counts=self.byte_counts[part],
            )
            for number, part in enumerate(parts)
        ]

    def in_rows(self) -> "StoredImage":
        """Return an image that is stored as one uncompressed strip as one of lower strips, else the image itself."""
        width, height = self.size
        rows = max(1, _ROWS_PX // width)
        row_bytes = width * sum(self.bits) // 8
        whole = len(self.offsets) == 1 and self.byte_counts[0] == row_bytes * height
        if self.tiled or self.planar or self.compression != NONE or not whole or rows >= height:
            return self
        starts = np.arange(0, height, rows)
        byte_counts = np.minimum(rows, height - starts) * row_bytes
        offsets = self.offsets[0] + starts * row_bytes
        return replace(self, tile_size=(width, rows), offsets=offsets, byte_counts=byte_counts)


def is_tiff(path: Path) -> bool:
    """Return whether a file is a TIFF, from its first bytes."""
    with path.open("rb") as stream:
        return stream.read(4) in TIFF_STARTS


def stored_images(path: Path) -> list[StoredImage]:
    """Read the headers of the images of a TIFF.

    Raises:
        ValueError: There is none, one of those that are no smaller copies is damaged, or the chain of headers is.
        OSError: The file cannot be read.
    """
    images = []
    with path.open("rb") as stream:
        try:
            for directory in directories(stream):
                image = stored_image(directory)
                if image is not None:
                    images.append(image)
                elif not directory.number(_KIND) & 1:
                    raise ValueError("in its header")
        except (struct.error, OverflowError) as error:
            raise ValueError("in its header") from error
    if not images:
        raise ValueError("no image")
    return images


def first_image(path: Path) -> StoredImage | None:
    """Read the header of the first image of a TIFF; None if it is damaged, or this is no TIFF."""
    with path.open("rb") as stream, contextlib.suppress(struct.error, OverflowError, ValueError):
        for directory in directories(stream):
            return stored_image(directory)
    return None


def stored_image(directory: Directory, *, deep: bool = True) -> StoredImage | None:
    """Read the header of an image and, if `deep`, of its SubIFDs; None if it makes no sense.

    Raises:
        struct.error, OSError, OverflowError, ValueError: The header of one below it is cut off or points beyond all
            files.
    """
    number = directory.number
    tiled = _TILE_WIDTH in directory.tags
    width, height = number(_WIDTH), number(_HEIGHT)
    samples, planar = number(_SAMPLES, 1), number(_PLANAR, 1) == 2
    tile_size = (number(_TILE_WIDTH), number(_TILE_HEIGHT)) if tiled else (width, min(height, number(_ROWS) or height))
    if min(width, height, *tile_size) < 1 or not 1 <= samples <= _MOST_SAMPLES:
        return None
    tags = (_TILE_OFFSETS, _TILE_BYTES) if tiled else (_STRIP_OFFSETS, _STRIP_BYTES)
    offsets, byte_counts = (directory.numbers(tag, MOST_PIECES) for tag in tags)
    pieces = math.prod((-(-width // tile_size[0]), -(-height // tile_size[1]), samples if planar else 1))
    if not len(offsets) == len(byte_counts) == pieces or offsets.min() < 0 or byte_counts.min() < 0:
        return None
    bits = tuple(directory.numbers(_BITS, _MOST_SAMPLES).tolist()) or (1,)
    formats = {*directory.numbers(_FORMAT, _MOST_SAMPLES).tolist()} or {1}
    tables = directory.numbers(_TABLES, _MOST_TABLES_BYTES).astype("u1").tobytes()
    if _TABLES in directory.tags and not tables:
        return None
    subsampling = directory.numbers(_SUBSAMPLING, 2).tolist()
    lerc = directory.numbers(_LERC, 8).tolist()
    return StoredImage(
        size=(width, height),
        tile_size=tile_size,
        tiled=tiled,
        offsets=offsets,
        byte_counts=byte_counts,
        compression=number(_COMPRESSION, NONE),
        photometric=number(_PHOTOMETRIC, GREY),
        bits=bits * samples if len(bits) == 1 else bits[:samples] if len(bits) >= samples else (0,) * samples,
        number_format=max(formats),
        extra=tuple(directory.numbers(_EXTRA, _MOST_SAMPLES).tolist()),
        planar=planar and samples > 1,
        predictor=number(_PREDICTOR, 1),
        order=directory.order,
        tables=tables,
        palette=_palette(directory),
        subsampling=(subsampling[0], subsampling[1]) if len(subsampling) == 2 else (2, 2),
        lerc=lerc[1] if len(lerc) > 1 else 0,
        reduced=bool(number(_KIND) & 1),
        orientation=number(_ORIENTATION, 1),
        said=directory.text(_DESCRIPTION, _MOST_TEXT_BYTES),
        page_name=directory.text(_PAGE_NAME, 1000),
        mpp=_mpp(directory),
        icc=directory.content(_ICC, _MOST_ICC_BYTES),
        below=tuple(_below(directory, width * height) if deep else ()),
    )


def _below(directory: Directory, whole_px: int) -> Iterator[StoredImage]:
    for below in islice(directory.below(), _MOST_LEVELS):
        smaller = below.number(_WIDTH) * below.number(_HEIGHT) < whole_px
        image = stored_image(below, deep=False) if smaller else None
        if image is not None:
            yield image


def _palette(directory: Directory) -> RGB | None:
    values = directory.numbers(_PALETTE, 3 * 2**16)
    if not len(values) or len(values) % 3:
        return None
    return np.ascontiguousarray((values >> 8).astype(np.uint8).reshape(3, -1).T)


def _mpp(directory: Directory) -> tuple[float, float] | None:
    um = _UM.get(directory.number(_UNIT, 2))
    across, down = directory.fraction(_ACROSS), directory.fraction(_DOWN)
    if um is None or not (across > 0 and down > 0):
        return None
    return um / across, um / down
