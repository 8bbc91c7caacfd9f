"""Slides that are a single flat image: JPEG, PNG, or TIFF without tiles.

The picture is decoded whole at the first read and kept: 4 bytes a px, so 1.6 GB for 20,000 px a side. A JPEG can be
decoded at a half, a quarter or an eighth for far less, so its low-power views never need the whole.
"""

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from hviskd.arrays import RGB
from hviskd.errors import DataError
from hviskd.rgb_images import on_white
from hviskd.slides.pixel_check import kind_of_picture, require_colour
from hviskd.slides.resolution import settle_mpp
from hviskd.slides.slide import Level, Slide

MAX_PIXELS = 2_000_000_000
_MAX_PACKING = 4000  # bytes of pixels to one of the file: of a blank picture deflate makes 1032, JPEG some more

_READERS: tuple[tuple[bytes, type[ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"II*\x00", TiffImageFile),
    (b"MM\x00*", TiffImageFile),
    (b"II+\x00", TiffImageFile),
    (b"MM\x00+", TiffImageFile),
)
# Of Pillow at damaged files; it believes whatever type a damaged tag claims.
_FAULTS = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError),
    *(EOFError, struct.error, Image.DecompressionBombError),
)


class FlatImage(Slide):
    """A flat image as a slide; its recorded resolution is meant for printing and ignored."""

    def __init__(self, path: Path, *, slide_mpp: float | None = None) -> None:
        """Read the header of an image.

        Raises:
            DataError: The file is none of these pictures, damaged, has more than 2 Gpx, its px are not the colours of a
                stained section, or `slide_mpp` does not give its µm/px.
        """
        with _opened(path) as image:
            kind, (width_px, height_px) = image.format or "image", image.size
            icc = image.info.get("icc_profile")
        scales = (1, 2, 4, 8) if kind == "JPEG" and min(width_px, height_px) >= 64 else (1,)
        try:
            mpp, notes = settle_mpp(path, None, slide_mpp)
        except DataError:
            decode_image(path, scales[-1])  # of a truncated file, say that it is damaged, not what it lacks
            raise
        levels = [Level(-(-width_px // scale), -(-height_px // scale), float(scale)) for scale in scales]
        super().__init__(path, levels=levels, mpp=mpp, vendor=f"flat {kind}", notes=notes, icc=icc)
        self._decoded: dict[int, Image.Image] = {}
        self._decoding = threading.Lock()

    def verify(self) -> None:
        """Decode the image, at reduced size if it is a JPEG.

        Raises:
            DataError: The file is damaged.
        """
        self._level_region(len(self.levels) - 1, 0, 0, 1, 1)

    def _release(self) -> None:
        with self._decoding:
            self._decoded.clear()

    def _level_region(self, level: int, x: int, y: int, width: int, height: int) -> RGB:
        with self._decoding:
            if level not in self._decoded:
                self._decoded[level] = decode_image(self.path, int(self.levels[level].downsample))
            picture = self._decoded[level]
        return np.asarray(picture.crop((x, y, x + width, y + height)))


def decode_image(path: Path, downsample: int = 1, *, stained: bool = True) -> Image.Image:
    """Decode an image as RGB, white where transparent; a JPEG optionally at ½, ¼ or ⅛ of its size.

    Args:
        path: The file.
        downsample: 1, 2, 4 or 8.
        stained: It shows a stained section, so it must be in colour; a mask need not.

    Raises:
        DataError: The file is none of these pictures, damaged, too large, or not in colour.
    """
    with _opened(path, stained=stained) as image:
        channels = len(image.getbands())
        least_bits = 8 * channels if channels > 1 else 1  # a channel alone may be packed
        if image.width * image.height * least_bits > 8 * _MAX_PACKING * path.stat().st_size:
            raise DataError(f"{path}: too short for {image.width} × {image.height} px; copy or download it again")
        if downsample > 1:
            image.draft(None, (image.width // downsample, image.height // downsample))
        image.load()
        return on_white(image)


@contextmanager
def _opened(path: Path, *, stained: bool = True) -> Iterator[ImageFile]:
    """Open an image with the reader for its first bytes.

    `Image.open` would refuse what Pillow thinks too large, and its limit is one for the whole process.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
            reader = next((reader for magic, reader in _READERS if start.startswith(magic)), None)
            if reader is None:
                raise DataError(f"{path}: neither a slide that OpenSlide reads nor a JPEG, PNG or TIFF")
            stream.seek(0)
            with reader(stream, str(path)) as image:
                _refuse_unfit(path, image, stained=stained)
                yield image
    except PermissionError:
        raise
    except MemoryError as error:
        raise DataError(f"{path}: does not fit into memory; convert it to a pyramidal TIFF") from error
    except _FAULTS as error:
        if "unknown pixel mode" in str(error):  # of a TIFF that is whole
            raise DataError(f"{path}: its pixel format is not supported; convert it to 8-bit RGB") from error
        raise DataError(f"{path}: damaged ({error}); copy or download it again") from error


def _refuse_unfit(path: Path, image: ImageFile, *, stained: bool) -> None:
    """Check an image by its header, before anything is decoded."""
    width_px, height_px = image.size
    if width_px * height_px > MAX_PIXELS:
        raise DataError(
            f"{path}: {width_px} × {height_px} px exceed the limit for flat images "
            f"({MAX_PIXELS / 1e9:g} Gpx); convert it to a pyramidal TIFF"
        )
    if stained:
        require_colour(path, kind_of_picture(path, image))
