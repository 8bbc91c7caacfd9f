"""Reads and writes PNG masks in bands of rows, since a billion pixels do not fit into memory.

Pillow and its like hold the whole picture. Here the compressed stream is unpacked a band at a time, each band is put
into a small PNG of its own behind the last row before it (PNG rows are stored as differences to the row above), and
Pillow decodes that. libvips, which reads JPEG here, would take a third of the time, but gives black where the palette
lacks a colour, and not the numbers of an indexed picture: benchmarks/results/masks.md.
"""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image

from hviskd.annotations.colours import IF_NUMBERS, TRANSPARENT, pack_codes, pack_numbers
from hviskd.arrays import Colour

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BAND_BYTES = 8 * 2**20
BAND_PX = 2_000_000  # of one bit each, a band of bytes has many more px
SIDE_LIMIT_PX = 1_000_000
TABLE_BYTES = 3 * 256  # a palette; no table is longer
INTERLACED_LIMIT_PX = 50_000_000  # rows of an interlaced picture cannot be read one after the other

_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_SAMPLES = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGB_ALPHA: 4}


@dataclass(frozen=True)
class _Header:
    width: int
    height: int
    depth: int
    kind: int
    interlaced: bool

    @property
    def row_bytes(self) -> int:
        return (self.width * self.depth * _SAMPLES[self.kind] + 7) // 8

    @property
    def px_bytes(self) -> int:
        return max(1, self.depth * _SAMPLES[self.kind] // 8)


def png_size(stream: BinaryIO, *, numbers: bool = False) -> tuple[int, int]:
    """Return width and height in px of a PNG, and rewind the stream.

    Raises:
        ValueError: It is not a PNG, its header is damaged, or it is not one of 8 bits or fewer a sample.
    """
    header = _read_header(stream, numbers)
    stream.seek(0)
    return header.width, header.height


def png_codes(stream: BinaryIO, *, numbers: bool = False) -> Iterator[tuple[int, np.ndarray]]:
    """Return the codes of a PNG band by band: the band's first row, and its pixels (rows, W) int32.

    They are colours, 0xRRGGBB, and TRANSPARENT for pixels less than half opaque, or class numbers: what is stored of
    a grey or indexed picture. The last band comes only when all checksums are right.

    Args:
        stream: The file.
        numbers: Its px are class numbers; in grey they may have 16 bits.

    Raises:
        ValueError: The PNG is damaged, has over a million px a side or 16 bits a sample, or is interlaced and large.
    """
    header = _read_header(stream, numbers)
    table = _Numbers(header) if numbers else _ColourTable(header)
    if header.interlaced:
        yield 0, _whole(stream, header, table)
        return
    before = np.zeros(header.row_bytes, dtype=np.uint8)
    first = 0
    for packed in _packed_bands(stream, header, table):
        samples = _unfilter(packed, before, header)
        yield first, table.codes(samples)
        before = samples[-1]
        first += len(samples)


def write_palette_png(
    stream: BinaryIO,
    size: tuple[int, int],
    palette: list[Colour],
    bands: Iterable[np.ndarray],
    *,
    clear: int,
) -> None:
    """Write an indexed PNG band by band.

    Args:
        stream: Where to write.
        size: Width and height in px.
        palette: Up to 256 RGB colours.
        bands: (rows, W) uint8 indices into the palette, from top to bottom; together they have the height.
        clear: The index that is transparent.
    """
    width, height = size
    stream.write(SIGNATURE)
    _write_chunk(stream, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, _PALETTE, 0, 0, 0))
    _write_chunk(stream, b"PLTE", bytes(value for colour in palette for value in colour))
    _write_chunk(stream, b"tRNS", bytes([255] * clear + [0]))
    packer = zlib.compressobj(6)
    for band in bands:
        rows = np.pad(band, ((0, 0), (1, 0)))  # each row begins with its filter, 0 for none
        _write_chunk(stream, b"IDAT", packer.compress(rows.tobytes()))
    _write_chunk(stream, b"IDAT", packer.flush())
    _write_chunk(stream, b"IEND", b"")


def _write_chunk(stream: BinaryIO, kind: bytes, content: bytes) -> None:
    stream.write(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content)))


def _read_header(stream: BinaryIO, numbers: bool) -> _Header:
    start = stream.read(33)
    if len(start) < 33 or start[:8] != SIGNATURE or start[8:16] != b"\0\0\0\x0dIHDR":
        raise ValueError("not a PNG")
    width, height, depth, kind, compression, filtering, interlace, checksum = struct.unpack(">IIBBBBBI", start[16:])
    if checksum != zlib.crc32(start[12:29]) or interlace > 1:
        raise ValueError("damaged header")
    if compression or filtering:
        raise ValueError(f"a PNG with compression {compression} and filter {filtering}, but only 0 is defined")
    if not (0 < width <= SIDE_LIMIT_PX and 0 < height <= SIDE_LIMIT_PX):
        raise ValueError(f"a PNG of {width} × {height} px")
    if depth == 16 and kind in _SAMPLES and not (numbers and kind == _GREY and not interlace):
        raise ValueError("a PNG of 16 bits a sample; save it with 8" + ("" if numbers else IF_NUMBERS))
    if kind not in _SAMPLES or depth not in (1, 2, 4, 8, 16) or (depth < 8 and kind not in (_GREY, _PALETTE)):
        raise ValueError("a PNG without 8 bits per channel; save it with 8")
    return _Header(width, height, depth, kind, bool(interlace))


def _whole(stream: BinaryIO, header: _Header, table: "_ColourTable") -> np.ndarray:
    if header.width * header.height > INTERLACED_LIMIT_PX:
        raise ValueError("a large interlaced PNG; save it without interlacing")
    for _ in _image_data(stream, table):
        pass  # Pillow does not look at the checksums of a picture
    stream.seek(0)
    try:
        with Image.open(stream, formats=["PNG"]) as picture:
            if header.kind == _PALETTE:
                return table.look_up(np.asarray(picture))
            if header.kind == _GREY and isinstance(table, _Numbers):
                step = 255 // (2**header.depth - 1)
                return table.look_up(np.asarray(picture.convert("L")) // step)
            return table.pack(np.asarray(picture.convert("RGBA")))
    except (OSError, SyntaxError, struct.error, zlib.error) as error:
        raise ValueError(f"damaged ({error})") from error


def _packed_bands(stream: BinaryIO, header: _Header, table: "_ColourTable") -> Iterator[bytes]:
    """Yield the rows, decompressed but still filtered, in bands, and fill the colour table meanwhile.

    The compressed stream ends with a checksum of its own, so it is read to its end before the last band is given.
    """
    row_bytes = header.row_bytes + 1  # each row begins with its filter
    band_bytes = max(1, min(BAND_BYTES // row_bytes, BAND_PX // header.width)) * row_bytes
    left = header.height * row_bytes
    unpacker = zlib.decompressobj()
    band = bytearray()
    try:
        for piece in _image_data(stream, table):
            packed = piece
            while not unpacker.eof:
                unpacked = unpacker.decompress(packed, min(band_bytes - len(band), left) or 1)
                if not unpacked:
                    break
                if not left:
                    raise ValueError("damaged (more rows than its header says)")
                packed = unpacker.unconsumed_tail
                band += unpacked
                left -= len(unpacked)
                if len(band) == band_bytes and left:
                    yield bytes(band)
                    band.clear()
    except zlib.error as error:
        raise ValueError(f"damaged ({error})") from error
    if left or not unpacker.eof:
        raise ValueError("truncated")
    yield bytes(band)


def _image_data(stream: BinaryIO, table: "_ColourTable") -> Iterator[bytes]:
    """Yield the compressed image in pieces of at most a megabyte, and fill the colour table meanwhile."""
    while True:
        start = stream.read(8)
        if len(start) < 8:
            raise ValueError("truncated")
        length, kind = struct.unpack(">I4s", start)
        if kind == b"IEND":
            return
        if kind in (b"PLTE", b"tRNS"):
            if length > TABLE_BYTES:
                raise ValueError(f"damaged (a chunk {kind.decode()} of {length} bytes)")
            table.read(kind, b"".join(_content(stream, kind, length)))
        elif kind == b"IDAT":
            yield from _content(stream, kind, length)
        else:
            stream.seek(length + 4, io.SEEK_CUR)


def _content(stream: BinaryIO, kind: bytes, length: int) -> Iterator[bytes]:
    """Yield a chunk's content in pieces of at most a megabyte, and check its checksum at the end."""
    checksum = zlib.crc32(kind)
    while length:
        piece = stream.read(min(length, 2**20))
        if not piece:
            raise ValueError("truncated")
        length -= len(piece)
        checksum = zlib.crc32(piece, checksum)
        yield piece
    if stream.read(4) != struct.pack(">I", checksum):
        raise ValueError(f"damaged (a chunk {kind.decode()} with a wrong checksum)")


def _unfilter(packed: bytes, before: np.ndarray, header: _Header) -> np.ndarray:
    """Undo the row filters of a band: (rows, row bytes) uint8.

    Differences are taken between bytes, whatever they mean, so any picture may be decoded as one of 1 to 4 samples of
    8 bits that has the same distance between neighbours.
    """
    samples = header.px_bytes
    kind = {1: _GREY, 2: _GREY_ALPHA, 3: _RGB, 4: _RGB_ALPHA}[samples]
    rows = len(packed) // (header.row_bytes + 1)
    small = io.BytesIO()
    small.write(SIGNATURE)
    _write_chunk(small, b"IHDR", struct.pack(">IIBBBBB", header.row_bytes // samples, rows + 1, 8, kind, 0, 0, 0))
    _write_chunk(small, b"IDAT", zlib.compress(b"\0" + before.tobytes() + packed, level=0))
    _write_chunk(small, b"IEND", b"")
    try:
        with Image.open(small, formats=["PNG"]) as picture:
            return np.asarray(picture).reshape(rows + 1, header.row_bytes)[1:]
    except (OSError, SyntaxError, ValueError, zlib.error) as error:
        raise ValueError(f"damaged ({error})") from error


class _ColourTable:
    """The meaning of a PNG's samples: its palette, and which values are transparent."""

    def __init__(self, header: _Header) -> None:
        self._header = header
        self._palette = np.zeros(256, dtype=np.int32)
        self._colours = 0 if header.kind == _PALETTE else 256
        self._key: int | None = None
        if header.kind == _GREY and header.depth <= 8:
            step = 255 // (2**header.depth - 1)
            self._palette[: 2**header.depth] = np.arange(2**header.depth) * step * 0x010101

    def read(self, kind: bytes, content: bytes) -> None:
        """Store the content of a PLTE or tRNS chunk."""
        if kind == b"PLTE" and self._header.kind == _PALETTE:
            colours = np.frombuffer(content[: len(content) // 3 * 3], dtype=np.uint8).reshape(-1, 3)
            self._palette[: len(colours)] = pack_codes(colours)
            self._colours = len(colours)
        elif kind == b"tRNS" and self._header.kind == _PALETTE:
            alpha = np.frombuffer(content[:256], dtype=np.uint8)
            self._palette[: len(alpha)][alpha < 128] = TRANSPARENT
        elif kind == b"tRNS" and self._header.kind == _GREY and len(content) >= 2:
            self._palette[content[1]] = TRANSPARENT
        elif kind == b"tRNS" and self._header.kind == _RGB and len(content) >= 6:
            self._key = content[1] << 16 | content[3] << 8 | content[5]

    def codes(self, samples: np.ndarray) -> np.ndarray:
        """Turn rows of bytes into (rows, W) int32 codes."""
        header = self._header
        if header.kind not in (_GREY, _PALETTE):
            return self.pack(samples.reshape(len(samples), header.width, _SAMPLES[header.kind]))
        if header.depth == 16:
            return self.look_up(samples.view(">u2"))
        if header.depth < 8:
            bits = np.unpackbits(samples, axis=1)[:, : header.width * header.depth]
            weights = (1 << np.arange(header.depth)[::-1]).astype(np.uint8)
            samples = bits.reshape(len(samples), header.width, header.depth) @ weights
        return self.look_up(samples)

    def look_up(self, samples: np.ndarray) -> np.ndarray:
        """Turn grey values or positions in the palette (rows, W) into (rows, W) int32 codes."""
        if (last := samples.max()) >= self._colours:
            raise ValueError(f"damaged (a px of colour {last}, but only {self._colours} colours in its palette)")
        return self._palette[samples]

    def pack(self, samples: np.ndarray) -> np.ndarray:
        """Turn colours (rows, W, 2 to 4) uint8 into (rows, W) int32 codes."""
        codes = pack_codes(samples)
        if self._key is not None:
            codes[codes == self._key] = TRANSPARENT
        return codes


class _Numbers(_ColourTable):
    """The samples of a PNG as class numbers, whatever its palette shows."""

    def look_up(self, samples: np.ndarray) -> np.ndarray:
        return samples.astype(np.int32)

    def pack(self, samples: np.ndarray) -> np.ndarray:
        return pack_numbers(samples)
