"""Decodes the tiles and strips of a TIFF to samples of 8 bits, and those to RGB, with imagecodecs and libtiff.

Decoders get the expected size, so that a damaged piece takes no more memory than an intact one.
"""

import lzma
from collections.abc import Callable, Sequence

import imagecodecs
import numpy as np
from PIL import Image

from hviskd.arrays import RGB
from hviskd.rgb_images import on_white
from hviskd.slides import compressions as by
from hviskd.slides.stored_jpeg import is_sound
from hviskd.slides.tiff_images import BY_PALETTE, CMYK, YCBCR, StoredImage
from hviskd.tiff_pieces import unpacked_by_libtiff

_ASSOCIATED = 1
_LZMA_BYTES = 128 * 2**20

# Packed bytes, and how many they are to be → bytes, no more than these.
_BYTES: dict[int, Callable[[bytes, int], bytes | bytearray]] = {
    by.NONE: lambda packed, size: packed[:size],
    by.DEFLATE: lambda packed, size: imagecodecs.zlib_decode(packed, out=size),
    by.OLD_DEFLATE: lambda packed, size: imagecodecs.zlib_decode(packed, out=size),
    by.ZSTD: lambda packed, size: imagecodecs.zstd_decode(packed, out=size),
    by.LZMA: lambda packed, size: lzma.LZMADecompressor(memlimit=_LZMA_BYTES).decompress(packed, size),
}
# Packed bytes, and the array for their samples → it.
_PIXELS: dict[int, Callable[..., object]] = {
    by.APERIO_JPEG_2000_RGB: imagecodecs.jpeg2k_decode,
    by.APERIO_JPEG_2000_YCBCR: imagecodecs.jpeg2k_decode,
    by.JPEG_2000: imagecodecs.jpeg2k_decode,
    by.WEBP: imagecodecs.webp_decode,
    by.JPEG_XL: imagecodecs.jpegxl_decode,
    by.JPEG_XL_DNG: imagecodecs.jpegxl_decode,
    by.PNG: imagecodecs.png_decode,
    by.LERC: imagecodecs.lerc_decode,
}
DECODED = frozenset({*_BYTES, *_PIXELS, by.LZW, by.PACKBITS, by.JPEG})
_LERC_WITHIN = {0: by.NONE, 1: by.DEFLATE, 2: by.ZSTD}


def decode_piece(image: StoredImage, packed: bytes, rows: int) -> RGB:
    """Decode a tile or strip of an image whose samples are interleaved, of 8 bits each.

    Args:
        image: What its header says.
        packed: The piece.
        rows: How many it has.

    Returns:
        Samples, uint8 (rows, columns, samples).

    Raises:
        ValueError: The piece is damaged.
    """
    shape = (rows, image.tile_size[0], image.samples)
    try:
        if image.compression == by.JPEG:
            return _jpeg(image, packed, rows).reshape(shape)
        if image.compression in (by.LZW, by.PACKBITS):
            return unpacked_by_libtiff(
                packed, shape, compression=image.compression, predictor=image.predictor, order=image.order
            ).astype(np.uint8, copy=False)
        size = rows * image.tile_size[0] * image.samples
        if image.compression in _PIXELS:
            if image.compression == by.LERC:
                packed = bytes(_BYTES[_LERC_WITHIN[image.lerc]](packed, 2 * size + 2**16))
            samples = np.empty(shape if image.samples > 1 else shape[:2], np.uint8)
            # Opaque tiles of an image with opacity may lack it.
            opacity = {"hasalpha": image.samples == 4} if image.compression == by.WEBP else {}
            _PIXELS[image.compression](packed, out=samples, **opacity)
            return samples.reshape(shape)
        most = image.tile_size[1] * image.tile_size[0] * image.samples  # for some pad the last strip to a whole one
        unpacked = np.frombuffer(_BYTES[image.compression](packed, most), np.uint8)
        if len(unpacked) < size:
            raise ValueError("truncated")
        samples = unpacked[:size].reshape(shape)
        return np.cumsum(samples, axis=1, dtype=np.uint8) if image.predictor == 2 else samples
    except (RuntimeError, LookupError, TypeError, lzma.LZMAError, EOFError) as error:
        raise ValueError(f"damaged {by.compression_name(image.compression)}") from error


def to_rgb(image: StoredImage, planes: Sequence[RGB]) -> RGB:
    """Turn the samples of a piece into colours, white where they are transparent.

    Args:
        image: What its header says.
        planes: uint8 (rows, columns, samples), one array, or three of one sample each for red, green and blue.

    Raises:
        ValueError: A palette lacks a colour.
    """
    samples = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
    if image.photometric == BY_PALETTE:
        if image.palette is None or samples.max() >= len(image.palette):
            raise ValueError("a colour is missing in the palette")
        return image.palette[samples[..., 0]]
    if image.photometric == CMYK:
        return np.asarray(Image.fromarray(np.ascontiguousarray(samples), "CMYK").convert("RGB"))
    if image.photometric == YCBCR and image.compression != by.JPEG:
        return np.asarray(Image.fromarray(np.ascontiguousarray(samples), "YCbCr").convert("RGB"))
    if samples.shape[2] == 4:
        if image.extra[:1] == (_ASSOCIATED,):  # colours are stored as they look on black
            return np.minimum(samples[..., :3].astype(np.uint16) + (255 - samples[..., 3:]), 255).astype(np.uint8)
        return np.asarray(on_white(Image.fromarray(np.ascontiguousarray(samples), "RGBA")))
    return samples


def _jpeg(image: StoredImage, packed: bytes, rows: int) -> RGB:
    columns, most_rows = image.tile_size
    if not any(is_sound(packed, columns, height, image.samples, ordinary=False) for height in (rows, most_rows)):
        raise ValueError("damaged JPEG")
    colours, shown = (image.colours, "RGB") if image.samples == 3 else (None, None)
    decoded: RGB = imagecodecs.jpeg8_decode(
        packed, tables=image.tables or None, colorspace=colours, outcolorspace=shown
    )
    return decoded[:rows]
