"""One number for the colour of a mask pixel, whatever file it comes from; all readers of masks speak of these."""

from collections.abc import Iterator

import numpy as np

TRANSPARENT = 1 << 24  # the code of a pixel that shows nothing; all others are 0xRRGGBB
ROWS_AT_ONCE_PX = 2_000_000

Block = tuple[int, int, np.ndarray]  # first row, first column, (h, w) int32 codes


def pack_codes(pixels: np.ndarray) -> np.ndarray:
    """Turn (…, 1 to 4) uint8 grey, grey + alpha, RGB or RGBA into (…) int32 codes 0xRRGGBB or TRANSPARENT."""
    channels = pixels.shape[-1]
    colour = pixels[..., :3] if channels >= 3 else pixels[..., [0, 0, 0]]
    codes = colour[..., 0].astype(np.int32) << 16
    codes |= colour[..., 1].astype(np.int32) << 8
    codes |= colour[..., 2]
    if channels in (2, 4):
        codes[pixels[..., -1] < 128] = TRANSPARENT
    return codes


def unpack_codes(codes: np.ndarray) -> np.ndarray:
    """Turn (N,) codes 0xRRGGBB into (N, 3) uint8."""
    return np.stack([(codes >> shift).astype(np.uint8) for shift in (16, 8, 0)], axis=1)


def row_blocks(pixels: np.ndarray, table: np.ndarray | None = None) -> Iterator[Block]:
    """Give the codes of a picture (H, W, samples) uint8, possibly on the disk, some million px at a time.

    Args:
        pixels: The samples.
        table: The code of each sample value; None where the samples are the colours.
    """
    rows = max(1, ROWS_AT_ONCE_PX // pixels.shape[1])
    for row in range(0, len(pixels), rows):
        yield row, 0, to_codes(pixels[row : row + rows], table)


def to_codes(samples: np.ndarray, table: np.ndarray | None) -> np.ndarray:
    """Give the codes (h, w) of samples (h, w, n), by a table as in `row_blocks` if there is one."""
    return pack_codes(samples) if table is None else table[samples[..., 0]]
