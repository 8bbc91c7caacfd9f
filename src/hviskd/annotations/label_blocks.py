"""Stores the class indices of a large mask compactly.

Experts draw regions: most squares of a mask are of one class, and one number says all of such a square. The others are
kept compressed.
"""

import imagecodecs
import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
Ints = NDArray[np.int64]

BLOCK_PX = 256
UNFINISHED_LIMIT_BYTES = 256 * 2**20
PACKED_LIMIT_BYTES = 512 * 2**20


class LabelBlocks:
    """An image of class indices (H, W) uint8 that is stored piece by piece, each px once, and then looked up.

    Attributes:
        shape: H and W.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        blocks = tuple(-(-side // BLOCK_PX) for side in shape)
        self._label = np.zeros(blocks, np.uint8)  # of blocks of one class
        self._packed: dict[tuple[int, int], bytes] = {}  # the others
        self._packed_bytes = 0
        self._bands: dict[int, Labels] = {}  # rows of blocks that still lack pixels,
        self._lacking: dict[int, int] = {}  # and how many

    def put(self, row: int, column: int, labels: Labels) -> None:
        """Store a piece (h, w) with its upper left px at (row, column).

        Raises:
            ValueError: The pieces come in an order in which too much would have to be held, or the classes change from
                pixel to pixel.
        """
        height, width = self.shape
        for band in range(row // BLOCK_PX, (row + len(labels) - 1) // BLOCK_PX + 1):
            top = band * BLOCK_PX
            first, last = max(row, top), min(row + len(labels), top + BLOCK_PX)
            if band not in self._bands:
                rows = min(BLOCK_PX, height - top)
                self._bands[band] = np.empty((rows, width), np.uint8)
                self._lacking[band] = rows * width
                if sum(held.nbytes for held in self._bands.values()) > UNFINISHED_LIMIT_BYTES:
                    raise ValueError("its tiles are too tall")
            piece = labels[first - row : last - row]
            self._bands[band][first - top : last - top, column : column + piece.shape[1]] = piece
            self._lacking[band] -= piece.size
            if not self._lacking[band]:
                self._store(band)

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return self._label.nbytes + self._packed_bytes

    def at(self, rows: Ints, columns: Ints) -> Labels:
        """Look up a rectangle (R, C) of px.

        Args:
            rows: (R,) positions, rising or equal.
            columns: (C,) likewise.
        """
        labels = np.empty((len(rows), len(columns)), np.uint8)
        for band, lines in _runs(rows // BLOCK_PX):
            for place, across in _runs(columns // BLOCK_PX):
                if (band, place) in self._packed:
                    block = self._unpacked(band, place)
                    inside = np.ix_(rows[lines] - band * BLOCK_PX, columns[across] - place * BLOCK_PX)
                    labels[lines, across] = block[inside]
                else:
                    labels[lines, across] = self._label[band, place]
        return labels

    def _store(self, band: int) -> None:
        rows = self._bands.pop(band)
        for place in range(self._label.shape[1]):
            block = rows[:, place * BLOCK_PX : (place + 1) * BLOCK_PX]
            if block.min() == block.max():
                self._label[band, place] = block[0, 0]
                continue
            packed = bytes(imagecodecs.lz4_encode(block.tobytes()))
            self._packed[band, place] = packed
            self._packed_bytes += len(packed)
            if self._packed_bytes > PACKED_LIMIT_BYTES:
                raise ValueError("its classes change from pixel to pixel, and it is too large for that")

    def _unpacked(self, band: int, place: int) -> Labels:
        height, width = (
            min(BLOCK_PX, side - BLOCK_PX * at) for side, at in zip(self.shape, (band, place), strict=True)
        )
        content = imagecodecs.lz4_decode(self._packed[band, place], out=height * width)
        return np.frombuffer(content, np.uint8).reshape(height, width)


def _runs(numbers: Ints) -> list[tuple[int, slice]]:
    """Return each number of a sorted row, and its position."""
    begins = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    ends = [*begins, len(numbers)][1:]
    return [(int(numbers[first]), slice(first, last)) for first, last in zip(begins, ends, strict=True)]
