"""Reads the colours of a TIFF piece by piece; only `pixels` calls it.

tifffile finds its way in the file and unpacks most of it. LZW and PackBits are unpacked by Pillow, that is libtiff,
because the LZW of imagecodecs, which tifffile uses, crashes the whole program on damaged data.
"""

import io
import logging
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffPage

from hviskd.annotations.colours import Block, pack_codes, row_blocks
from hviskd.annotations.jpeg import jpeg_size

SEGMENT_LIMIT_PX = 64_000_000
_BY_TIFFFILE = (COMPRESSION.NONE, COMPRESSION.JPEG, COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE)
_BY_PILLOW = (COMPRESSION.LZW, COMPRESSION.PACKBITS)

# What tifffile has to say of a damaged file is told by our one line; whoever sets up logging still hears it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def tiff_size(path: Path) -> tuple[int, int]:
    """Give width and height in px of the first picture of a TIFF."""
    with TiffFile(path) as tiff:
        page = _first_page(tiff)
        return page.imagewidth, page.imagelength


def tiff_blocks(path: Path) -> Iterator[Block]:
    """Give the colour codes of the first picture of a TIFF, a strip or tile at a time.

    Raises:
        ValueError: It is not a picture of 8 bits (or 1) a sample, packed in a way known here.
        Exception: Whatever tifffile and Pillow raise on a damaged file; `pixels` turns it into one line.
    """
    with TiffFile(path) as tiff:
        page = _first_page(tiff)
        table = _table(page)
        width, height = page.imagewidth, page.imagelength
        if page.is_memmappable:
            shape = (height, width, page.samplesperpixel)
            yield from row_blocks(np.memmap(path, np.uint8, "r", offset=page.dataoffsets[0], shape=shape), table)
            return
        rows, columns = page.chunks[:2]
        if len(page.dataoffsets) != len(page.databytecounts):
            raise ValueError("damaged header")
        across = math.ceil(width / columns)
        for position, (offset, length) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            row, column = position // across * rows, position % across * columns
            tiff.filehandle.seek(offset)
            stored_rows = rows if page.is_tiled else min(rows, height - row)
            packed = tiff.filehandle.read(min(length, tiff.filehandle.size))
            samples = _unpacked(page, packed, position, stored_rows, columns)
            for below, right, codes in row_blocks(samples[: height - row, : width - column], table):
                yield row + below, column + right, codes


def _unpacked(page: TiffPage, packed: bytes, position: int, rows: int, columns: int) -> np.ndarray:
    """Unpack the strip or tile at a position: (rows, columns, samples) uint8."""
    shape = (rows, columns, page.samplesperpixel)
    if page.compression in _BY_PILLOW:
        return np.asarray(_unpacked_by_pillow(page, packed, shape)).reshape(shape).astype(np.uint8, copy=False)
    if page.compression == COMPRESSION.JPEG:
        width, height = jpeg_size(io.BytesIO(packed))
        if width > columns or height > page.chunks[0]:
            raise ValueError(f"a piece of {columns} × {rows} px holds a JPEG of {width} × {height} px")
    samples = page.decode(packed, position, jpegtables=page.jpegtables, jpegheader=page.jpegheader)[0]
    if samples is None:
        raise ValueError("a piece is missing")
    return np.asarray(samples).reshape(shape).astype(np.uint8, copy=False)


def _unpacked_by_pillow(page: TiffPage, packed: bytes, shape: tuple[int, int, int]) -> Image.Image:
    """Make the piece a small TIFF of its own and have Pillow read that."""
    samples = page.samplesperpixel
    small = io.BytesIO()
    tifffile.imwrite(
        small,
        iter([packed]),
        shape=shape if samples > 1 else shape[:2],
        dtype=np.uint8 if page.bitspersample == 8 else np.bool_,
        photometric="rgb" if samples >= 3 else "minisblack",
        extrasamples=["unassalpha"] if samples in (2, 4) else None,
        compression=page.compression,
        predictor=page.predictor,
        rowsperstrip=shape[0],
        metadata=None,
    )
    with Image.open(small, formats=["TIFF"]) as picture:
        picture.load()
        return picture


def _first_page(tiff: TiffFile) -> TiffPage:
    """Give the page at full resolution, and refuse what is not a picture of 8 bits a sample."""
    page = tiff.pages.first
    depth, samples = page.bitspersample, page.samplesperpixel
    numbers = (page.imagewidth, page.imagelength, depth, samples, page.compression, page.predictor, *page.chunks)
    if not all(isinstance(number, int) for number in numbers):
        raise ValueError("damaged header")  # tifffile hands on whatever type a damaged tag claims
    if page.sampleformat != 1 or page.planarconfig != 1 or page.imagedepth != 1 or samples > 4:
        raise ValueError("a TIFF that is no plain picture; save it as RGB, samples together")
    if depth != 8 and (depth, samples) != (1, 1):
        raise ValueError("a TIFF of other than 8 bits a sample; save it with 8")
    if page.compression not in (*_BY_TIFFFILE, *_BY_PILLOW):
        raise ValueError(f"a TIFF with compression {page.compression}; save it with deflate")
    if not 0 < page.chunks[0] * page.chunks[1] <= SEGMENT_LIMIT_PX and not page.is_memmappable:
        raise ValueError(f"a TIFF in pieces of {page.chunks[0]} × {page.chunks[1]} px; save it in tiles")
    return page


def _table(page: TiffPage) -> np.ndarray | None:
    """Give the colour code of each sample value, (N,) int32; None where the samples are the colours."""
    if page.photometric == PHOTOMETRIC.PALETTE and page.colormap is not None:
        return pack_codes((page.colormap.T >> 8).astype(np.uint8))
    greys = np.arange(256, dtype=np.int32) * 0x010101
    if page.bitspersample == 1:
        greys = greys[[0, 255]]
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        return greys[::-1]
    return greys if page.samplesperpixel == 1 else None
