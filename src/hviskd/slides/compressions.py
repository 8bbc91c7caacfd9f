"""The names of TIFF compressions, for messages: those of TIFF 6.0, its supplements, and vendors."""

NONE, LZW, JPEG, DEFLATE, PACKBITS, OLD_DEFLATE = 1, 5, 7, 8, 32773, 32946
APERIO_JPEG_2000_YCBCR, APERIO_JPEG_2000_RGB, JPEG_2000 = 33003, 33005, 34712
LERC, LZMA, ZSTD, WEBP, JPEG_XL, JPEG_XL_DNG, PNG = 34887, 34925, 50000, 50001, 50002, 52546, 34933

_NAMES = {
    NONE: "no compression",
    LZW: "LZW",
    JPEG: "JPEG",
    DEFLATE: "deflate",
    PACKBITS: "PackBits",
    2: "CCITT fax",
    3: "CCITT fax",
    4: "CCITT fax",
    6: "old-style JPEG",
    OLD_DEFLATE: "deflate",
    9: "JBIG",
    APERIO_JPEG_2000_YCBCR: "JPEG 2000",
    33004: "JPEG 2000",
    APERIO_JPEG_2000_RGB: "JPEG 2000",
    JPEG_2000: "JPEG 2000",
    34713: "NEF",
    34715: "JBIG 2",
    LERC: "LERC",
    LZMA: "LZMA",
    ZSTD: "Zstandard",
    33007: "JPEG",
    34892: "lossy JPEG of DNG",
    34926: "Zstandard",
    34927: "WebP",
    WEBP: "WebP",
    JPEG_XL: "JPEG XL",
    JPEG_XL_DNG: "JPEG XL",
    PNG: "PNG",
    34934: "JPEG XR",
    22610: "JPEG XR",
    34661: "JBIG",
    34676: "SGI Log",
    34677: "SGI Log",
    48124: "Jetraw",
    32909: "Pixar",
    50013: "Pixar",
}


def compression_name(number: int) -> str:
    """Return the name of a TIFF's compression, with its number where one name has several."""
    return f"{_NAMES[number]} ({number})" if number in _NAMES else f"compression {number}"
