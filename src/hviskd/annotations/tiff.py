"""Reads the colours of a TIFF piece by piece.

tifffile finds its way in the file and unpacks most of it. LZW and PackBits are unpacked by libtiff, because the LZW of
imagecodecs, which tifffile uses, crashes the whole program on damaged data. libvips, which reads JPEG here, leaves the
checksum of deflated data unread and gives other pixels of one damaged file in five: benchmarks/results/masks.md.
"""

import io
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, TiffFile, TiffPage

from hviskd.annotations.colours import (
    IF_NUMBERS,
    LOSSY_NUMBERS,
    Block,
    Packing,
    by_table,
    pack_codes,
    pack_numbers,
    row_blocks,
)
from hviskd.annotations.jpeg import jpeg_ends, jpeg_size
from hviskd.tiff_directories import MOST_DIRECTORIES, open_tiff
from hviskd.tiff_pieces import unpacked_by_libtiff

SEGMENT_LIMIT_PX = 64_000_000
_BY_TIFFFILE = (COMPRESSION.NONE, COMPRESSION.JPEG, COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE)
_BY_LIBTIFF = (COMPRESSION.LZW, COMPRESSION.PACKBITS)
_COLOUR_SAMPLES: dict[int, int] = {
    PHOTOMETRIC.MINISWHITE: 1,
    PHOTOMETRIC.MINISBLACK: 1,
    PHOTOMETRIC.PALETTE: 1,
    PHOTOMETRIC.RGB: 3,
    PHOTOMETRIC.YCBCR: 3,
}
_GREYS = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK)
_ALPHA = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)


def tiff_size(path: Path, *, numbers: bool = False) -> tuple[int, int]:
    """Return width and height in px of a TIFF's image, which is the first that is not a thumbnail."""
    with open_tiff(path) as tiff:
        page = _full_page(tiff, numbers)
        return page.imagewidth, page.imagelength


def tiff_blocks(path: Path, *, numbers: bool = False) -> Iterator[Block]:
    """Yield the codes of the image of a TIFF, as in `tiff_size`, a strip or tile at a time.

    Args:
        path: The file.
        numbers: Its px are class numbers, which may have 16 bits.

    Raises:
        ValueError: It is cut short, or not a grey, palette or RGB picture of 8 bits (or 1) a sample, packed in a way
            known here.
        Exception: Whatever tifffile and imagecodecs raise on a damaged file; `pixels` turns it into one line.
    """
    with open_tiff(path) as tiff:
        page = _full_page(tiff, numbers)
        pack, shown = _meaning(page)
        if numbers:
            pack = pack_numbers
        width, height = page.imagewidth, page.imagelength
        if page.is_memmappable:
            shape, start, sample = (height, width, page.samplesperpixel), page.dataoffsets[0], _sample(page)
            if start + math.prod(shape) * sample.itemsize > tiff.filehandle.size:
                raise ValueError("truncated")
            yield from row_blocks(np.memmap(path, sample, "r", offset=start, shape=shape)[..., :shown], pack)
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
            if len(packed) < length:
                raise ValueError("truncated")
            samples = _unpacked(page, packed, position, stored_rows, columns)[..., :shown]
            for below, right, codes in row_blocks(samples[: height - row, : width - column], pack):
                yield row + below, column + right, codes


def _unpacked(page: TiffPage, packed: bytes, position: int, rows: int, columns: int) -> np.ndarray:
    """Decompress the strip or tile at a position: (rows, columns, samples) uint8 or uint16."""
    shape = (rows, columns, page.samplesperpixel)
    if page.compression in _BY_LIBTIFF:
        return unpacked_by_libtiff(
            packed,
            shape,
            compression=page.compression,
            bits=page.bitspersample,
            predictor=page.predictor,
            order=page.parent.byteorder,
        )
    if page.compression == COMPRESSION.JPEG:
        width, height = jpeg_size(io.BytesIO(packed))
        if width > columns or height > page.chunks[0]:
            raise ValueError(f"a piece of {columns} × {rows} px contains a JPEG of {width} × {height} px")
        if not jpeg_ends(packed):
            raise ValueError("truncated")
    samples = page.decode(packed, position, jpegtables=page.jpegtables, jpegheader=page.jpegheader)[0]
    if samples is None:
        raise ValueError("a piece is missing")
    return np.asarray(samples).reshape(shape).astype(_sample(page).newbyteorder("="), copy=False)


def _sample(page: TiffPage) -> np.dtype:
    """Return the type of the stored samples."""
    return np.dtype(f"{page.parent.byteorder}u2" if page.bitspersample == 16 else np.uint8)


def _full_page(tiff: TiffFile, numbers: bool) -> TiffPage:
    """Return the first page at full resolution; reject images that are not 8-bit per channel, or numbers."""
    pages = islice(tiff.pages, MOST_DIRECTORIES)
    full = [page for page in pages if isinstance(page, TiffPage) and not page.is_reduced]
    page = next(iter(full), tiff.pages.first)
    if page.photometric in _GREYS and any(other.shape == page.shape for other in full[1:]):
        raise ValueError("a TIFF of several grey images, perhaps red, green and blue; save it as one RGB image")
    depth, samples, kind = page.bitspersample, page.samplesperpixel, page.photometric
    fields = (page.imagewidth, page.imagelength, depth, samples, kind, page.compression, page.predictor, *page.chunks)
    if not all(isinstance(field, int) for field in fields):
        raise ValueError("damaged header")  # tifffile hands on whatever type a damaged tag claims
    if page.sampleformat != 1 or page.planarconfig != 1 or page.imagedepth != 1 or samples > 4:
        raise ValueError("a TIFF that is not a plain image; save it as RGB with interleaved channels")
    if depth != 8 and (depth, samples) != (1, 1) and not (numbers and (depth, samples) == (16, 1)):
        raise ValueError("a TIFF without 8 bits per channel; save it with 8" + ("" if numbers else IF_NUMBERS))
    if numbers and page.compression == COMPRESSION.JPEG:
        raise ValueError(LOSSY_NUMBERS)
    if page.compression not in (*_BY_TIFFFILE, *_BY_LIBTIFF):
        name = getattr(page.compression, "name", page.compression)
        raise ValueError(f"a TIFF with compression {name}; save it with deflate")
    if not 0 < page.chunks[0] * page.chunks[1] <= SEGMENT_LIMIT_PX and not page.is_memmappable:
        raise ValueError(f"a TIFF in pieces of {page.chunks[0]} × {page.chunks[1]} px; save it in tiles")
    return page


def _meaning(page: TiffPage) -> tuple[Packing, int]:
    """Return the meaning of the samples of a px; reject anything but grey, palette and RGB.

    Returns:
        How to make colour codes of the samples; and how many samples of a px are its colour and its opacity, for what
        follows them says nothing of how it looks.
    """
    kind, samples = page.photometric, page.samplesperpixel
    colours = _COLOUR_SAMPLES.get(kind)
    if colours is None or (kind == PHOTOMETRIC.YCBCR and page.compression != COMPRESSION.JPEG):
        name = "CMYK" if kind == PHOTOMETRIC.SEPARATED else getattr(kind, "name", f"kind {kind}")
        raise ValueError(f"a {name} image; save it as RGB PNG")
    if samples not in (colours, colours + 1):
        raise ValueError(f"an image with {samples} channels, but {colours} are expected; save it as RGB PNG")
    has_alpha = samples > colours and any(extra in _ALPHA for extra in page.extrasamples[:1])
    if colours == 3 or (has_alpha and kind == PHOTOMETRIC.MINISBLACK):
        return pack_codes, colours + has_alpha
    if has_alpha:
        raise ValueError("an image with a transparent palette or inverted grey; save it as RGB PNG")
    if kind == PHOTOMETRIC.PALETTE:
        if page.colormap is None:
            raise ValueError("a palette image without a palette")
        return by_table(pack_codes((page.colormap.T >> 8).astype(np.uint8))), 1
    greys = np.arange(256, dtype=np.int32) * 0x010101
    if page.bitspersample == 1:
        greys = greys[[0, 255]]
    return by_table(greys[::-1] if kind == PHOTOMETRIC.MINISWHITE else greys), 1
