"""Codes of the colours or class numbers of mask pixels, the same for all file formats."""

from collections.abc import Callable, Iterator

import numpy as np

TRANSPARENT = 1 << 24  # the code of a pixel that shows nothing; all others are 0xRRGGBB
ROWS_AT_ONCE_PX = 2_000_000

OTHER = TRANSPARENT - 1  # the code of a pixel that holds no number, in a mask of numbers

IF_NUMBERS = ", or give a legend with class numbers if it contains these"
LOSSY_NUMBERS = "class numbers in a JPEG, which is lossy; save it as PNG or lossless TIFF"

Block = tuple[int, int, np.ndarray]  # first row, first column, (h, w) int32 codes
Packing = Callable[[np.ndarray], np.ndarray]  # (…, n) samples → (…) int32 codes


def pack_codes(pixels: np.ndarray) -> np.ndarray:
    """Convert (…, 1 to 4) uint8 grey, grey + alpha, RGB or RGBA to (…) int32 codes 0xRRGGBB or TRANSPARENT."""
    channels = pixels.shape[-1]
    colour = pixels[..., :3] if channels >= 3 else pixels[..., [0, 0, 0]]
    codes = colour[..., 0].astype(np.int32) << 16
    codes |= colour[..., 1].astype(np.int32) << 8
    codes |= colour[..., 2]
    if channels in (2, 4):
        codes[pixels[..., -1] < 128] = TRANSPARENT
    return codes


def unpack_codes(codes: np.ndarray) -> np.ndarray:
    """Convert (N,) codes 0xRRGGBB to (N, 3) uint8."""
    return np.stack([(codes >> shift).astype(np.uint8) for shift in (16, 8, 0)], axis=1)


def pack_numbers(samples: np.ndarray) -> np.ndarray:
    """Convert (…, 1 to 4) unsigned samples of a mask of class numbers to (…) int32 numbers, OTHER or TRANSPARENT.

    In a picture of three channels the number is the red one, where the others repeat it or are 0.
    """
    channels = samples.shape[-1]
    numbers = samples[..., 0].astype(np.int32)
    if channels >= 3:
        green, blue = samples[..., 1], samples[..., 2]
        numbers[(green != blue) | ((green != 0) & (green != samples[..., 0]))] = OTHER
    if channels in (2, 4):
        numbers[samples[..., -1] < 128] = TRANSPARENT
    return numbers


def row_blocks(samples: np.ndarray, pack: Packing) -> Iterator[Block]:
    """Yield the codes of an image (H, W, samples), possibly on disk, some million px at a time."""
    rows = max(1, ROWS_AT_ONCE_PX // samples.shape[1])
    for row in range(0, len(samples), rows):
        yield row, 0, pack(samples[row : row + rows])


def by_table(table: np.ndarray) -> Packing:
    """Return how to pack samples into an index of a table of codes."""
    return lambda samples: table[samples[..., 0]]
