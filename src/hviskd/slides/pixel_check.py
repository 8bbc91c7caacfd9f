"""Checks that the px of a slide are the colours of a stained section; every reader calls it before reading px.

Models take 8-bit red, green and blue. Deeper, grey and fluorescent px, and channels of unknown meaning, would be
reduced to that silently, and classified as if they were stained.
"""

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path

from PIL.ImageFile import ImageFile

from hviskd.errors import DataError
from hviskd.slides.tiff_images import (
    BY_PALETTE,
    CMYK,
    RGB_COLOURS,
    YCBCR,
    StoredImage,
    first_image,
    is_tiff,
    stored_images,
)

_COLOURS = {RGB_COLOURS: 3, BY_PALETTE: 1, CMYK: 4, YCBCR: 3}  # samples by photometric interpretation
_PNG_COLOURS = (2, 3, 6)  # RGB, a palette, RGB and opacity
_MODES = frozenset({"P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})


@dataclass(frozen=True)
class PixelKind:
    """The pixel format of a file.

    Attributes:
        bits: Of each channel.
        channels: How many a px has.
        is_float: Whether they are floating-point numbers.
        is_signed: Whether they are whole numbers that may be negative.
        in_colour: Whether they are known to mean a colour: RGB or CMYK, YCbCr, or a palette.
        has_alpha: Whether the last is the opacity.
        names: What the file calls its channels.
    """

    bits: int = 8
    channels: int = 3
    is_float: bool = False
    is_signed: bool = False
    in_colour: bool = True
    has_alpha: bool = False
    names: tuple[str, ...] = ()


def require_colour(path: Path, kind: PixelKind) -> None:
    """Check that px are colours of 8 bits a channel.

    Raises:
        DataError: They are not.
    """
    problem = _problem(kind)
    if problem:
        raise DataError(f"{path}: its pixel format is {problem}; convert it to 8-bit RGB")


def require_colour_of_scan(path: Path) -> None:
    """Check the px of a file that OpenSlide reads, from the header of its largest image, since OpenSlide does not.

    Raises:
        DataError: They are not colours.
    """
    if not is_tiff(path):
        return
    with contextlib.suppress(ValueError):  # OpenSlide reports damage itself
        largest = max(stored_images(path), key=lambda image: math.prod(image.size))
        require_colour(path, kind_of_image(largest))


def kind_of_image(image: StoredImage) -> PixelKind:
    """Describe the px of an image in a TIFF."""
    colours = _COLOURS.get(image.photometric)
    has_alpha = colours is not None and image.samples == colours + 1 and image.extra[:1] in ((1,), (2,))
    return PixelKind(
        bits=max(image.bits) if image.photometric != BY_PALETTE else min(8, *image.bits),
        channels=image.samples,
        is_float=image.number_format == 3,
        is_signed=image.number_format == 2,
        in_colour=colours is not None and image.samples == colours + has_alpha,
        has_alpha=has_alpha,
    )


def kind_of_picture(path: Path, picture: ImageFile) -> PixelKind:
    """Describe the px of a flat image that Pillow opened; of deep ones, it would give the upper 8 bits unasked."""
    if picture.format == "PNG":
        with path.open("rb") as stream:
            depth, kind = stream.read(26)[24:26]
        return PixelKind(bits=depth, channels=len(picture.getbands()), in_colour=kind in _PNG_COLOURS)
    image = first_image(path) if picture.format == "TIFF" else None
    if image is not None:
        return kind_of_image(image)
    deep = {"F": 32, "I": 32}.get(picture.mode[0], 8)
    channels = len(picture.getbands())
    return PixelKind(bits=deep, channels=channels, is_float=picture.mode == "F", in_colour=picture.mode in _MODES)


def _problem(kind: PixelKind) -> str:
    named = f" ({', '.join(kind.names)})" if kind.names else ""
    channels = "grey, one channel" if kind.channels == 1 else f"{kind.channels} channels{named}"
    if kind.is_float:
        return f"{kind.bits}-bit floating-point numbers ({channels})"
    if kind.is_signed:
        return f"{kind.bits}-bit numbers with a sign ({channels})"
    if kind.bits > 8:
        return f"{kind.bits} bits per channel ({channels})"
    if kind.in_colour:
        return ""
    if kind.channels <= 2:
        return "grey (one channel), not the colours of a stained section"
    return f"{channels}, which the file does not say to be red, green and blue"
