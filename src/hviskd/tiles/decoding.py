"""Reads an image file as a tile, or reports why it cannot be one."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from hviskd.rgb_images import on_white

TOO_LARGE_PX = 100_000_000

_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
_WORST_BYTES_PER_PX = 8  # four channels of 16 bits, not compressed at all
_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_FAULTS = (OSError, SyntaxError, ValueError, EOFError, LookupError, OverflowError, struct.error)  # of Pillow at damage


@dataclass(frozen=True)
class LeftOut:
    """Why an image cannot become a tile: a short reason to count, and a detail for the list of files."""

    reason: str
    detail: str = ""


class _UnusableError(Exception):
    """Carries a `LeftOut` out of the steps that open a file."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.left_out = LeftOut(reason, detail)


def picture_size(path: Path) -> tuple[int, int] | LeftOut:
    """Return width and height of an image from its header, or why it cannot be used."""
    try:
        with _opened(path) as image:
            return image.size
    except _UnusableError as error:
        return error.left_out


def read_tile(
    path: Path, *, size: tuple[int, int], square: tuple[int, int, int], tile_px: int
) -> NDArray[np.uint8] | LeftOut:
    """Read a square of an image as a tile, or report why that is impossible.

    Args:
        path: A JPEG, PNG, TIFF or WebP file; of several pages the first.
        size: Width and height that `picture_size` gave.
        square: Left edge, upper edge and side of what is taken of the picture, in its pixels.
        tile_px: Side of the tile; a square of another side is resampled to it (Lanczos, antialiased).

    Returns:
        (tile_px, tile_px, 3) uint8, RGB. Transparent pixels are laid over white, as empty glass is.
    """
    left, upper, side = square
    try:
        with _opened(path, size) as image:
            tile = on_white(image.crop((left, upper, left + side, upper + side)))
            if side != tile_px:
                tile = tile.resize((tile_px, tile_px), Image.Resampling.LANCZOS)
            return np.asarray(tile)
    except _UnusableError as error:
        return error.left_out


@contextmanager
def _opened(path: Path, size: tuple[int, int] | None = None) -> Iterator[ImageFile]:
    """Open an image that may be decoded: of a reasonable size (or exactly `size`) and with 8 bits per channel."""
    try:
        if path.stat().st_size > TOO_LARGE_PX * _WORST_BYTES_PER_PX:
            raise _UnusableError("too large", f"{path.stat().st_size} bytes")
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > TOO_LARGE_PX:
                raise _UnusableError("too large", f"{image.width} × {image.height} px")
            if size is not None and image.size != size:
                raise _UnusableError("damaged", "it changed while it was read")
            if image.mode in _DEEP_MODES or _holds_deep_colour(image):
                raise _UnusableError("more than 8 bits per channel")
            yield image
    except Image.DecompressionBombError as error:
        raise _UnusableError("too large", "far more than 100 megapixels") from error
    except _FAULTS as error:
        raise _UnusableError("damaged", _short(error, path)) from error


def _holds_deep_colour(image: ImageFile) -> bool:
    """Return whether the file has 16-bit colour, which Pillow would silently reduce to 8 bits."""
    layouts = (tile.args if isinstance(tile.args, str) else str((tile.args or ("",))[0]) for tile in image.tile)
    return any(";16" in layout for layout in layouts)


def _short(error: BaseException, path: Path) -> str:
    """Return the beginning of Pillow's message, without the path."""
    return " ".join(str(error).replace(repr(str(path)), "the file").split())[:80]
