"""Reads the colours of a mask block by block from PNG, JPEG or TIFF."""

import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from hviskd.annotations.colours import LOSSY_NUMBERS, Block
from hviskd.annotations.jpeg import jpeg_blocks, jpeg_size
from hviskd.annotations.png import SIGNATURE, png_codes, png_size
from hviskd.annotations.tiff import tiff_blocks, tiff_size
from hviskd.errors import DataError
from hviskd.orientation import require_upright

MASK_LIMIT_PX = 2_000_000_000

_JPEG = b"\xff\xd8\xff"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_picture(start: bytes) -> bool:
    """Return whether a file is a PNG, JPEG or TIFF, from its first bytes."""
    return start.startswith((SIGNATURE, _JPEG, *_TIFF))


class MaskPixels:
    """The pixels of one mask file, of which only one block at a time is in memory.

    Args:
        path: The file.
        numbers: Its px are class numbers and not colours; they may have 16 bits.

    Attributes:
        size: Width and height in px.

    Raises:
        DataError: The file is missing, no PNG, JPEG or TIFF of 8 bits a sample, damaged, stored turned, or
            over two billion px.
    """

    def __init__(self, path: Path, *, numbers: bool = False) -> None:
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        self.path, self._numbers = path, numbers
        with path.open("rb") as stream:
            self._start = stream.read(8)
        require_upright(path)
        with self._readable():
            self.size = self._read_size()
            if not 0 < self.size[0] * self.size[1] <= MASK_LIMIT_PX:
                limit = MASK_LIMIT_PX // 10**6
                raise ValueError(f"{self.size[0]} × {self.size[1]} px, over the limit of {limit} million")

    def blocks(self) -> Iterator[Block]:
        """Yield every pixel once, in blocks of about a million: first row, first column, (h, w) int32 codes or numbers.

        The next block is decoded in a thread while the caller processes the current one.
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
            blocks = jpeg_blocks(self.path)
        else:
            blocks = tiff_blocks(self.path, numbers=self._numbers)
        left_px = self.size[0] * self.size[1]
        while left_px:
            with self._readable():
                block = next(blocks, None)
                left_px -= 0 if block is None else block[2].size
                if block is None or left_px < 0:
                    raise ValueError("truncated")
            yield block

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn any decoder error about a damaged file into one line."""
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
                return png_size(stream, numbers=self._numbers)
        if self._start.startswith(_JPEG):
            if self._numbers:
                raise ValueError(LOSSY_NUMBERS)
            with self.path.open("rb") as stream:
                return jpeg_size(stream)
        if self._start.startswith(_TIFF):
            return tiff_size(self.path, numbers=self._numbers)
        raise ValueError("not a PNG, JPEG or TIFF")

    def _png_blocks(self) -> Iterator[Block]:
        with self.path.open("rb") as stream:
            for row, codes in png_codes(stream, numbers=self._numbers):
                yield row, 0, codes
