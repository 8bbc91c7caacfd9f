"""Reads one level of a TIFF of any compression that imagecodecs or libtiff decodes; see `piece_decoding`."""

from pathlib import Path
from typing import BinaryIO

import numpy as np

from hviskd.arrays import RGB
from hviskd.slides.piece_decoding import decode_piece, to_rgb
from hviskd.slides.piece_level import PieceLevel
from hviskd.slides.tiff_images import StoredImage

MAX_PIECE_PX = 40_000_000  # 120 MB; what is stored in larger pieces would be decoded anew with each rectangle


class TiffLevel(PieceLevel):
    """A level whose colours are interleaved in one image, or lie in three images of one sample each.

    A piece that is missing, as in files that leave out empty glass, is white.

    Args:
        path: The file.
        planes: One image, or three alike for red, green and blue.
    """

    def __init__(self, path: Path, planes: list[StoredImage]) -> None:
        super().__init__(path, planes[0])
        self._planes = planes

    def require_within(self, file_bytes: int) -> None:
        """Check that no piece lies beyond the end of the file.

        Raises:
            ValueError: One does: the file is cut off.
        """
        for plane in self._planes:
            if (plane.offsets > file_bytes - plane.byte_counts).any():
                raise ValueError("truncated")

    def _decoded(self, stream: BinaryIO, number: int) -> RGB:
        image = self._image
        columns, rows = image.tile_size
        if not image.tiled:
            rows = min(rows, image.size[1] - number // image.grid[0] * rows)
        decoded = []
        for plane in self._planes:
            if not plane.byte_counts[number] or not plane.offsets[number]:
                return np.full((rows, columns, 3), 255, np.uint8)
            stream.seek(int(plane.offsets[number]))
            packed = stream.read(int(plane.byte_counts[number]))
            if len(packed) < plane.byte_counts[number]:
                raise ValueError("truncated")
            decoded.append(decode_piece(plane, packed, rows))
        return to_rgb(image, decoded)
