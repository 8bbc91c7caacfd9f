"""Looks up the class of each colour or number of a mask.

Masks are often JPEG, whose colours waver, so a px has the class of the nearest legend colour within a tolerance. Two
things keep it from taking one class for another: it never reaches half-way to the next class's colour, and not to a
colour that covers much of the mask but is in no legend, for that was drawn as something else. In a JPEG, a drawn colour
comes out up to 5 from itself; a mask of few colours never was one, and its colours are what they are.
"""

import numpy as np

from hviskd.annotations.colours import TRANSPARENT, unpack_codes
from hviskd.annotations.legend import Legend
from hviskd.arrays import NO_CLASS_BYTE, Bools

DEFAULT_TOLERANCE = 20.0  # half the distance between the two nearest colours of the ivyGAP legend is 25.5
WIDE_PX, WIDE_SHARE = 100, 0.001  # a colour that covers both is no noise
EXACT_COLOURS, JPEG_WAVER = 1000, 6.0
_UNSEEN = 254


class ColourDecoder:
    """Looks up the class of every colour, each only once.

    Args:
        legend: The classes and their colours.
        tolerance: The greatest Euclidean distance, in RGB of 0 to 255, at which a colour still has a class. It is
            narrowed to less than half the distance of the two nearest colours of different classes.

    Attributes:
        tolerance: As it is narrowed.
    """

    def __init__(self, legend: Legend, tolerance: float = DEFAULT_TOLERANCE) -> None:
        self.legend = legend
        self._colours, self._classes = legend.palette()
        self.tolerance = min(tolerance, float(np.nextafter(_least_gap(self._colours, self._classes) / 2, 0)))
        self._known = np.full(TRANSPARENT + 1, _UNSEEN, dtype=np.uint8)
        self._known[TRANSPARENT] = NO_CLASS_BYTE
        self._listed = np.zeros(TRANSPARENT + 1, dtype=np.bool_)
        self._listed[self._colours @ (1 << 16, 1 << 8, 1)] = True

    def nearest(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the class index (N,) uint8 of the nearest legend colour, and its distance (N,) float64.

        Args:
            codes: (N,) colours as 0xRRGGBB.
        """
        classes = np.empty(len(codes), dtype=np.uint8)
        distances = np.empty(len(codes))
        for start in range(0, len(codes), 100_000):
            colours = unpack_codes(codes[start : start + 100_000]).astype(np.int64)
            squares = ((colours[:, None, :] - self._colours) ** 2).sum(axis=2)
            best = squares.argmin(axis=1)
            classes[start : start + len(best)] = self._classes[best]
            distances[start : start + len(best)] = np.sqrt(squares[np.arange(len(best)), best])
        return classes, distances

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Return the class index of each pixel, uint8 of the same shape; 255 if no legend colour is near enough."""
        classes = self._known[codes]
        new = np.unique(codes[classes == _UNSEEN])
        if len(new):
            nearest, distance = self.nearest(new)
            self._known[new] = np.where(distance <= self.tolerance, nearest, NO_CLASS_BYTE)
            classes = self._known[codes]
        return classes

    def lists(self, codes: np.ndarray) -> Bools:
        """Return which pixels have exactly a colour of the legend."""
        return self._listed[codes]

    def foreign(self, codes: np.ndarray, area_px: np.ndarray, total_px: int) -> Bools:
        """Return the colours of a mask that are close to a class colour but frequent and in no legend.

        Args:
            codes: (N,) all colours of the mask that the legend does not list.
            area_px: (N,) px of each.
            total_px: Px of the mask.
        """
        waver = JPEG_WAVER if len(codes) > EXACT_COLOURS else 0
        wide = area_px >= max(WIDE_PX, WIDE_SHARE * total_px)
        classes, distances = self.nearest(codes[wide])
        found = np.zeros(len(codes), np.bool_)
        found[wide] = (classes != NO_CLASS_BYTE) & (distances <= self.tolerance) & (distances > waver)
        return found

    def refuse(self, codes: np.ndarray) -> None:
        """Treat these colours as without a class from now on."""
        self._known[codes] = NO_CLASS_BYTE


class NumberDecoder(ColourDecoder):
    """Looks up the class of every class number of a mask."""

    def __init__(self, legend: Legend) -> None:
        super().__init__(legend, 0)
        table = legend.number_table()
        self._known[:] = NO_CLASS_BYTE
        self._known[list(table)] = list(table.values())
        self._listed[:] = False
        self._listed[list(table)] = True

    def nearest(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the class (N,) of numbers and distance 0 (N,), infinity for those without a class; 0 alone is none."""
        classes = self._known[codes]
        return classes, np.where((classes != NO_CLASS_BYTE) | (codes == 0), 0, np.inf)


def decoder_of(legend: Legend, tolerance: float) -> ColourDecoder:
    """Return the decoder of a legend: by numbers if it lists any, else by colour."""
    return NumberDecoder(legend) if legend.numbers else ColourDecoder(legend, tolerance)


def _least_gap(colours: np.ndarray, classes: np.ndarray) -> float:
    """Return the distance between the closest colours (K, 3) of different classes (K,); infinity if there are none."""
    least = np.inf
    for colour, own in zip(colours, classes, strict=True):
        others = colours[classes != own]
        least = min(least, ((others - colour) ** 2).sum(axis=1).min(initial=2**31))
    return float(np.sqrt(least)) if least < 2**31 else np.inf
