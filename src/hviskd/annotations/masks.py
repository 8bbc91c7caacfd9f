"""Colour-coded masks: their colours become classes through a Legend, and any annotation such a mask.

Masks are often JPEG, whose colours waver, so a pixel has the class of the nearest legend colour, if that is within a
tolerance. Transparent pixels have no class.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hviskd.annotations.annotation import NO_CLASS, Annotation, LabelMask
from hviskd.annotations.colours import TRANSPARENT, unpack_codes
from hviskd.annotations.label_blocks import LabelBlocks
from hviskd.annotations.legend import Legend
from hviskd.annotations.pixels import MaskPixels
from hviskd.annotations.png import SIDE_LIMIT_PX, write_palette_png
from hviskd.errors import DataError
from hviskd.storage import atomic_file

# Half the distance between the two nearest colours of the ivyGAP legend is 25.5.
DEFAULT_TOLERANCE = 20.0
ASPECT_TOLERANCE = 0.01
_UNSEEN = 254
_REMARKED_COLOURS, _REMARKED_SHARE = 5, 0.001
_BAND_CELLS = 8_000_000


class ColourDecoder:
    """Gives the class of every colour, and remembers it, so that each colour is looked up once.

    Args:
        legend: The classes and their colours.
        tolerance: The greatest Euclidean distance, in RGB of 0 to 255, at which a colour still has a class.
    """

    def __init__(self, legend: Legend, tolerance: float = DEFAULT_TOLERANCE) -> None:
        self.legend = legend
        self.tolerance = tolerance
        self._colours, self._classes = legend.palette()
        self._known = np.full(TRANSPARENT + 1, _UNSEEN, dtype=np.uint8)
        self._known[TRANSPARENT] = NO_CLASS

    def nearest(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the class index (N,) uint8 of the nearest legend colour, and its distance (N,) float64.

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
        """Give the class index of each pixel, uint8 of the same shape; 255 where no legend colour is near enough."""
        classes = self._known[codes]
        new = np.unique(codes[classes == _UNSEEN])
        if len(new):
            nearest, distance = self.nearest(new)
            self._known[new] = np.where(distance <= self.tolerance, nearest, NO_CLASS)
            classes = self._known[codes]
        return classes


def read_mask(
    path: Path, legend: Legend, *, size: tuple[int, int] | None = None, tolerance: float = DEFAULT_TOLERANCE
) -> LabelMask:
    """Read a colour mask of up to two billion px in under 1 GB of memory.

    Args:
        path: A PNG, JPEG or TIFF of 8 bits a sample.
        legend: What its colours mean.
        size: Width and height of the slide in level-0 px; the mask is stretched over it. Without it one mask px is
            one level-0 px.
        tolerance: See `ColourDecoder`.

    Raises:
        DataError: The file cannot be read, has another shape than the slide, or none of its colours is known.
    """
    pixels = MaskPixels(path)
    width, height = pixels.size
    slide_width, slide_height = size or pixels.size
    scale = (slide_width / width, slide_height / height)
    # A mask is a whole number of px, so each side may be off by half of one.
    slack = 1 / min(width, height) + ASPECT_TOLERANCE
    if abs(math.log(scale[0] / scale[1])) > slack:
        raise DataError(
            f"{path}: a mask of {width} × {height} px does not have the shape of a slide of "
            f"{slide_width} × {slide_height} px; choose the mask of this slide"
        )
    decode = ColourDecoder(legend, tolerance)
    indices = LabelBlocks((height, width))
    known_px = transparent_px = 0
    unknown = np.zeros(TRANSPARENT, dtype=np.int64)  # pages never touched take no memory
    for row, column, codes in pixels.blocks():
        classes = decode(codes)
        try:
            indices.put(row, column, classes)
        except ValueError as error:
            raise DataError(f"{path}: cannot be kept as a mask of regions ({error}); save it smaller") from error
        strange = codes[classes == NO_CLASS]
        shown = strange[strange != TRANSPARENT]
        known_px += codes.size - strange.size
        transparent_px += strange.size - shown.size
        np.add.at(unknown, shown, 1)
    unknown_px = width * height - known_px - transparent_px
    if unknown_px and not known_px:
        raise DataError(
            f"{path}: no colour of it is within {tolerance:g} of legend {legend.name}; "
            "look at its colours with `hviskd annotations census`"
        )
    remarks = _unknown_colours(unknown, width * height) if unknown_px else {}
    if transparent_px:
        remarks["px transparent, without a class"] = transparent_px
    return LabelMask(
        classes=legend.names,
        size=(slide_width, slide_height),
        remarks=remarks,
        source=path,
        indices=indices,
        px_per_mask_px=scale,
    )


def _unknown_colours(counts: np.ndarray, total_px: int) -> dict[str, int]:
    """Put the unknown colours of a mask in words: all together, then the widest of them."""
    codes = np.flatnonzero(counts)
    unknown_px = int(counts[codes].sum())
    remarks = {f"px ({unknown_px / total_px:.2%}) in {len(codes)} colours of no class": unknown_px}
    wide = codes[counts[codes] >= _REMARKED_SHARE * total_px]  # a JPEG has thousands that are only noise
    for code in wide[np.argsort(-counts[wide], kind="stable")[:_REMARKED_COLOURS]].tolist():
        remarks[f"px of them in colour #{code:06X}"] = int(counts[code])
    return remarks


def write_mask(annotation: Annotation, path: Path, legend: Legend, *, px_per_cell: float = 1.0) -> Path:
    """Write an annotation as an indexed PNG in its legend's colours, transparent where nothing is labelled.

    The picture is made band by band and never held whole. Reading it with the same legend gives the same classes.

    Args:
        annotation: What to write; it must know the size of its slide.
        path: Where to; gives it back.
        legend: The colours; it must know every class.
        px_per_cell: Level-0 px that one px of the mask is wide and high.

    Raises:
        DataError: The size is not known, a class is not in the legend, or the mask has over a million px a side.
    """
    if annotation.size is None:
        raise DataError(
            f"{annotation.source}: a mask needs the size of the slide in px; give it, such as `size=20000x15000`"
        )
    strangers = [name for name in annotation.classes if legend.index(name) is None]
    if strangers:
        raise DataError(f"{path}: legend {legend.name} has no class '{strangers[0]}'; choose another legend")
    columns, rows = (max(1, math.ceil(side / px_per_cell - 1e-6)) for side in annotation.size)
    if max(columns, rows) > SIDE_LIMIT_PX:
        raise DataError(f"{path}: a mask of {columns} × {rows} px is too large; choose more px per cell")
    indices = np.array([legend.index(name) for name in annotation.classes] + [len(legend.names)], dtype=np.uint8)
    bands = _bands(annotation, columns, rows, px_per_cell)
    unlabelled = (128, 128, 128)
    with atomic_file(path) as partial, partial.open("wb") as stream:
        palette = [*legend.colours, unlabelled]
        write_palette_png(stream, (columns, rows), palette, (indices[band] for band in bands))
    return path


def _bands(annotation: Annotation, columns: int, rows: int, px_per_cell: float) -> Iterator[np.ndarray]:
    """Give the label image of a whole slide, (rows, columns) int16, in bands from top to bottom."""
    step = max(1, _BAND_CELLS // columns)
    for row in range(0, rows, step):
        height_px = min(step, rows - row) * px_per_cell
        yield annotation.rasterise(0, row * px_per_cell, columns * px_per_cell, height_px, px_per_cell)
