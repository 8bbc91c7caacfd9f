"""Reads the colours of a mask a block at a time from PNG, JPEG or TIFF; reading a mask and the census use it."""

import struct
import tempfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from hviskd.annotations.colours import Block, row_blocks
from hviskd.annotations.jpeg import PROGRESSIVE_LIMIT_PX, jpeg_ends, jpeg_size
from hviskd.annotations.png import SIGNATURE, png_codes, png_size
from hviskd.annotations.tiff import tiff_blocks, tiff_size
from hviskd.errors import DataError

MASK_LIMIT_PX = 2_000_000_000
MEMORY_LIMIT_BYTES = 256 * 2**20  # a larger array lies in a temporary file
JPEG_LIMIT_BYTES = 512 * 2**20

_JPEG = b"\xff\xd8\xff"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_picture(start: bytes) -> bool:
    """Tell from its first bytes whether a file is a PNG, JPEG or TIFF."""
    return start.startswith((SIGNATURE, _JPEG, *_TIFF))


class MaskPixels:
    """The pixels of one mask file, of which only a block at a time is in memory.

    Attributes:
        size: Width and height in px.

    Raises:
        DataError: The file is missing, no PNG, JPEG or TIFF of 8 bits a sample, damaged, or over two billion px.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        self.path = path
        with path.open("rb") as stream:
            self._start = stream.read(8)
        with self._readable():
            self.size = self._read_size()
            if not 0 < self.size[0] * self.size[1] <= MASK_LIMIT_PX:
                limit = MASK_LIMIT_PX // 10**6
                raise ValueError(f"{self.size[0]} × {self.size[1]} px, over the limit of {limit} million")

    def blocks(self) -> Iterator[Block]:
        """Give every pixel once, in blocks of some million: first row, first column, (h, w) int32 codes.

        The next block is unpacked in a thread while one is looked at.
        """
        unpacked = self._unpacked()
        with ThreadPoolExecutor(1) as beside:
            coming = beside.submit(next, unpacked, None)
            try:
                while (block := coming.result()) is not None:
                    coming = beside.submit(next, unpacked, None)
                    yield block
            finally:
                del coming  # an error in it holds this frame, and would keep all arrays alive

    def _unpacked(self) -> Iterator[Block]:
        if self._start.startswith(SIGNATURE):
            blocks = self._png_blocks()
        elif self._start.startswith(_JPEG):
            blocks = self._jpeg_blocks()
        else:
            blocks = tiff_blocks(self.path)
        left_px = self.size[0] * self.size[1]
        while left_px:
            with self._readable():
                block = next(blocks, None)
                left_px -= 0 if block is None else block[2].size
                if block is None or left_px < 0:
                    raise ValueError("cut short")
            yield block

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn whatever a decoder says of a damaged file into one line."""
        try:
            yield
        except (
            *(OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, AttributeError),
            *(AssertionError, SyntaxError, struct.error, zlib.error, Image.DecompressionBombError),
        ) as error:
            # The others speak to programmers. As text, for a local that holds the error would keep all arrays alive.
            said = str(error) if isinstance(error, OSError | ValueError | RuntimeError) else ""
            raise DataError(f"{self.path}: cannot be read as a mask ({said or 'damaged'}); save it again") from error

    def _read_size(self) -> tuple[int, int]:
        if self._start.startswith(SIGNATURE):
            with self.path.open("rb") as stream:
                return png_size(stream)
        if self._start.startswith(_JPEG):
            with self.path.open("rb") as stream:
                return jpeg_size(stream)
        if self._start.startswith(_TIFF):
            return tiff_size(self.path)
        raise ValueError("not a PNG, JPEG or TIFF")

    def _png_blocks(self) -> Iterator[Block]:
        with self.path.open("rb") as stream:
            for row, codes in png_codes(stream):
                yield row, 0, codes

    def _jpeg_blocks(self) -> Iterator[Block]:
        width, height = self.size
        if self.path.stat().st_size > JPEG_LIMIT_BYTES:
            raise ValueError(f"larger than {JPEG_LIMIT_BYTES // 2**20} MiB")
        content = self.path.read_bytes()
        # A plain JPEG, as all large ones are here, needs two bits for 64 px at the least, so a short file cannot be a
        # large one.
        if not jpeg_ends(content) or width * height > max(PROGRESSIVE_LIMIT_PX, len(content) * 256):
            raise ValueError("cut short")
        picture = imagecodecs.jpeg8_decode(
            content, outcolorspace="RGB", out=scratch((height, width, 3), np.dtype(np.uint8))
        )
        yield from row_blocks(picture)


def scratch(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Give an array of undefined content: in memory if small, else in a temporary file that goes with it."""
    if int(np.prod(shape)) * dtype.itemsize <= MEMORY_LIMIT_BYTES:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as stream:
        return np.memmap(stream, dtype, "w+", shape=shape)
