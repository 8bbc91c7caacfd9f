"""Chooses the reader of a slide: OpenSlide for scanners' formats, our own for TIFFs that OpenSlide would misread."""

from pathlib import Path
from typing import Literal

import openslide

from hviskd.file_names import FLAT_SUFFIXES
from hviskd.slides import compressions as by
from hviskd.slides.ome_xml import is_ome
from hviskd.slides.piece_decoding import DECODED
from hviskd.slides.tiff_images import first_image, is_tiff, stored_images

Reader = Literal["openslide", "tiff", "flat", "none"]

_EVERYWHERE = {by.NONE, by.LZW, by.JPEG, by.DEFLATE, by.OLD_DEFLATE, by.PACKBITS, by.ZSTD}
_BEYOND_OPENSLIDE = DECODED - _EVERYWHERE - {by.APERIO_JPEG_2000_RGB, by.APERIO_JPEG_2000_YCBCR}
_BY_PILLOW = _EVERYWHERE - {by.ZSTD} | {2, 3, 4, 6}  # fax and old-style JPEG; more in some of its builds only


def choose_reader(path: Path) -> Reader:
    """Choose the reader of a file, by its content; "none" if it is neither a slide nor named like a flat image."""
    vendor = openslide.OpenSlide.detect_format(path)
    if is_tiff(path) and _is_ours(path, vendor):
        return "tiff"
    if vendor is not None:
        return "openslide"
    return "flat" if path.suffix.lower() in FLAT_SUFFIXES else "none"


def _is_ours(path: Path, vendor: str | None) -> bool:
    """Return whether a TIFF is read here: OME-TIFF, what is no scanner's and not one flat image, odd compressions."""
    plain = vendor in (None, "generic-tiff")
    try:
        images = stored_images(path)
    except ValueError:  # damaged, which our reader says; a file of one flat image is left to the reader of those
        first = first_image(path)
        return vendor == "generic-tiff" or (first is not None and (is_ome(first.said) or (plain and first.tiled)))
    if is_ome(images[0].said):
        return True
    if not plain:
        return vendor == "aperio" and any(i.tiled and i.compression in _BEYOND_OPENSLIDE for i in images)
    several = any(image.tiled for image in images) or sum(not image.reduced for image in images) > 1
    return several or images[0].compression not in _BY_PILLOW
