"""Masks: their colours or class numbers become classes through a Legend, and any annotation such a mask."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hviskd.annotations.annotation import Annotation, LabelMask
from hviskd.annotations.code_counts import CodeCounts
from hviskd.annotations.colours import OTHER, TRANSPARENT
from hviskd.annotations.decoders import DEFAULT_TOLERANCE, ColourDecoder, decoder_of
from hviskd.annotations.label_blocks import LabelBlocks
from hviskd.annotations.legend import Legend
from hviskd.annotations.pixels import MaskPixels
from hviskd.annotations.png import SIDE_LIMIT_PX, write_palette_png
from hviskd.arrays import NO_CLASS_BYTE, Ints
from hviskd.errors import DataError
from hviskd.slide_frame import SlideFrame
from hviskd.storage import atomic_file

_REMARKED_COLOURS, _REMARKED_SHARE = 5, 0.001
_BAND_CELLS = 8_000_000
_UNLABELLED = (128, 128, 128)


def read_mask(
    path: Path, legend: Legend, *, frame: SlideFrame | None = None, tolerance: float = DEFAULT_TOLERANCE
) -> LabelMask:
    """Read a colour mask of up to two billion px in under 1 GB of memory.

    Args:
        path: A PNG, JPEG or TIFF of 8 bits a sample.
        legend: What its colours mean.
        frame: The slide; the mask is scaled to it, or to the part that was scanned. Without it, one mask px is one
            level-0 px.
        tolerance: See `ColourDecoder`.

    Raises:
        DataError: The file cannot be read, has another shape than the slide, or none of its colours is known.
    """
    pixels = MaskPixels(path, numbers=bool(legend.numbers))
    width, height = pixels.size
    frame = frame or SlideFrame(pixels.size)
    try:
        place = frame.image(pixels.size)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if place is None:
        raise DataError(
            f"{path}: a mask of {width} × {height} px does not have the shape of the slide, {frame}; "
            "choose the mask of this slide"
        )
    decode = decoder_of(legend, tolerance)
    decoded = _decoded(pixels, decode)
    foreign = decode.foreign(decoded.codes, decoded.area_px, width * height)
    if foreign.any():
        decode.refuse(decoded.codes[foreign])
        decoded = _decoded(pixels, decode)
    return LabelMask(
        classes=legend.names,
        size=frame.size,
        remarks=_remarks(decoded, decode, pixels),
        source=path,
        indices=decoded.indices,
        px_per_mask_px=(place.x_scale, place.y_scale),
        origin_px=(place.x_px, place.y_px),
    )


class _Decoded(NamedTuple):
    """The classes of a mask, and its colours or numbers that the legend does not list.

    Attributes:
        indices: The class of every px.
        codes: (K,) colours or numbers, ascending, that the legend does not list, though it may have near ones.
        area_px: (K,) px of each.
        known_px: How many px have a class.
        transparent_px: How many are transparent.
    """

    indices: LabelBlocks
    codes: Ints
    area_px: Ints
    known_px: int
    transparent_px: int


def _decoded(pixels: MaskPixels, decode: ColourDecoder) -> _Decoded:
    indices = LabelBlocks(pixels.size[::-1])
    unlisted = CodeCounts(math.prod(pixels.size))
    known_px = 0
    for row, column, codes in pixels.blocks():
        classes = decode(codes)
        try:
            indices.put(row, column, classes)
        except ValueError as error:
            raise DataError(f"{pixels.path}: cannot be kept as a mask of regions ({error}); save it smaller") from error
        known_px += int(np.count_nonzero(classes != NO_CLASS_BYTE))
        unlisted.add(codes[~decode.lists(codes)])
    seen, area_px = unlisted.found()
    shown = seen != TRANSPARENT
    return _Decoded(indices, seen[shown], area_px[shown], known_px, int(area_px[~shown].sum()))


def _remarks(decoded: _Decoded, decode: ColourDecoder, pixels: MaskPixels) -> dict[str, int]:
    """Return remarks on px that are drawn but have no class: in total, then by the most frequent colours or numbers.

    Raises:
        DataError: It is all that is drawn.
    """
    nearest, distances = decode.nearest(decoded.codes)
    near = distances <= decode.tolerance
    unknown = (decode(decoded.codes) == NO_CLASS_BYTE) & ~(near & (nearest == NO_CLASS_BYTE))  # that stands for none
    codes, area_px = decoded.codes[unknown], decoded.area_px[unknown]
    if len(codes) and not decoded.known_px:
        raise DataError(f"{pixels.path}: {_nothing_known(decode)}")
    remarks, total_px = {}, pixels.size[0] * pixels.size[1]
    if len(codes):
        what = "numbers" if decode.legend.numbers else "colours"
        remarks[f"px ({area_px.sum() / total_px:.2%}) in {len(codes)} {what} without a class"] = int(area_px.sum())
    for place in np.argsort(-area_px, kind="stable")[:_REMARKED_COLOURS]:
        if area_px[place] < _REMARKED_SHARE * total_px:  # a JPEG has thousands of colours that are only noise
            break
        name = f"colour #{codes[place]:06X}"
        if decode.legend.numbers:
            name = "colours, which are no numbers" if codes[place] == OTHER else f"number {codes[place]}"
        elif near[unknown][place]:
            name += f", near to {decode.legend.names[nearest[unknown][place]]}'s but wide and in no legend"
        remarks[f"px of them in {name}"] = int(area_px[place])
    if decoded.transparent_px:
        remarks["px transparent, without a class"] = decoded.transparent_px
    return remarks


def _nothing_known(decode: ColourDecoder) -> str:
    if decode.legend.numbers:
        numbers = ", ".join(map(str, sorted(decode.legend.numbers)))
        return f"no px of it has a number of legend {decode.legend.name} ({numbers}); choose the legend of this mask"
    return (
        f"no colour of it is within {decode.tolerance:.3g} of legend {decode.legend.name}; "
        "look at its colours with `take_census()`"
    )


def write_mask(annotation: Annotation, path: Path | str, legend: Legend, *, px_per_cell: float = 1.0) -> Path:
    """Write an annotation as an indexed PNG in its legend's colours, transparent where nothing is labelled.

    Under a legend of class numbers its indices are those numbers. The picture is made band by band and never held
    whole. Reading it with the same legend gives the same classes.

    Args:
        annotation: What to write; it must know the size of its slide.
        path: Where to; gives it back.
        legend: The colours; it must know every class.
        px_per_cell: Level-0 px that one px of the mask is wide and high.

    Raises:
        DataError: The size is not known, a class is not in the legend, or the mask has over a million px a side.
    """
    path = Path(path)
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
    values = _values(legend, path)
    palette = [_UNLABELLED] * (int(values.max()) + 1)
    for value, colour in zip(values.tolist(), legend.colours, strict=False):
        palette[value] = colour
    of_class = values[np.array([legend.index(name) for name in annotation.classes] + [-1])]
    bands = _bands(annotation, columns, rows, px_per_cell)
    with atomic_file(path) as partial, partial.open("wb") as stream:
        write_palette_png(stream, (columns, rows), palette, (of_class[band] for band in bands), clear=int(values[-1]))
    return path


def _values(legend: Legend, path: Path) -> NDArray[np.uint8]:
    """Return the mask value of each class index of a legend and, last, of no class."""
    if not legend.numbers:
        return np.arange(len(legend.names) + 1, dtype=np.uint8)
    number_of = {place: number for number, place in sorted(legend.number_table().items(), reverse=True)}
    nothing = next(number for number in range(len(legend.numbers) + 1) if number not in legend.numbers)
    values = [*(number_of[place] for place in range(len(legend.names))), nothing]
    if max(values) > 255:
        raise DataError(f"{path}: legend {legend.name} has numbers over 255, which no mask written here holds")
    return np.array(values, dtype=np.uint8)


def _bands(annotation: Annotation, columns: int, rows: int, px_per_cell: float) -> Iterator[np.ndarray]:
    """Give the label image of a whole slide, (rows, columns) int16, in bands from top to bottom."""
    step = max(1, _BAND_CELLS // columns)
    for row in range(0, rows, step):
        height_px = min(step, rows - row) * px_per_cell
        yield annotation.rasterise(0, row * px_per_cell, columns * px_per_cell, height_px, px_per_cell)
