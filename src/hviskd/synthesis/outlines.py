"""Outlines synthetic tissue as an expert would: the regions of a section, its vessels, and those of single tiles.

`synthetic_cohort` writes them beside its slides. Nothing is looked for in pixels: the outlines come from the map of
classes and from the layout that the tissue was drawn by.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from shapely import Polygon

from hviskd.annotations import LabelMask, Legend, Outlines, Region, to_outlines, write_labelme
from hviskd.annotations.tracing import trace
from hviskd.slides.slide import Slide
from hviskd.storage import atomic_file
from hviskd.synthesis import TISSUE_CLASSES
from hviskd.synthesis.layout import VASCULAR, Layout

# Side of the triangle up to which a corner is cut off (Visvalingam and Whyatt, 1993): stairs go, shapes stay.
_SMOOTHING_PX = 2.0
_MIN_PURITY = 0.8  # of a vessel tile's area, of the class CTmvp
_MIN_LUMEN = 0.02  # of a vessel tile's area
_MIN_AREA_UM2 = 12.0  # of a lumen or vessel: 4 µm across
_VESSEL, _LUMEN = ("vessel", (220, 30, 30)), ("lumen", (255, 200, 60))


def section_mask(class_map: NDArray[np.uint8], legend: Legend) -> LabelMask:
    """Return a map of tissue classes as an annotation with a legend that has them by name."""
    names = [legend.names.index(tissue.name) for tissue in TISSUE_CLASSES]
    indices = np.array(names, np.uint8)[class_map]
    height, width = class_map.shape
    return LabelMask(classes=legend.names, size=(width, height), source="section", indices=indices)


def section_outlines(mask: LabelMask, legend: Legend) -> Outlines:
    """Outline every region of a mask by smooth lines; neighbours share their border, so that there are no gaps."""
    traced = to_outlines(mask, legend)
    stairs = np.array([region.geometry for region in traced.regions], dtype=object)
    # Only with a point at every px do neighbours have all points of their common line in common.
    dotted = shapely.transform(shapely.segmentize(stairs, 1.0), np.rint)
    smooth = shapely.coverage_simplify(dotted, _SMOOTHING_PX).tolist()
    regions = [
        Region(region.label, line, colour=region.colour) for region, line in zip(traced.regions, smooth, strict=True)
    ]
    return Outlines(classes=traced.classes, size=traced.size, source="section", regions=tuple(regions))


def vascular_windows(class_map: NDArray[np.uint8], tile_px: int) -> Iterator[tuple[int, int]]:
    """Return x_px, y_px of non-overlapping tiles in proliferating vessels, the purest first."""
    stride = max(1, tile_px // 10)
    if min(class_map.shape) < tile_px:
        return
    total = np.pad(np.cumsum(np.cumsum(class_map == VASCULAR, 0, np.int64), 1), ((1, 0), (1, 0)))
    top, left = (np.arange(0, side - tile_px + 1, stride) for side in class_map.shape)
    y_px, x_px = (places.ravel() for places in np.meshgrid(top, left, indexing="ij"))
    bottom, right = y_px + tile_px, x_px + tile_px
    area = total[bottom, right] - total[y_px, right] - total[bottom, x_px] + total[y_px, x_px]
    pure = area >= _MIN_PURITY * tile_px**2
    y_px, x_px, area = y_px[pure], x_px[pure], area[pure]
    order = np.argsort(-area, kind="stable")
    y_px, x_px = y_px[order], x_px[order]
    while len(y_px):
        x, y = int(x_px[0]), int(y_px[0])
        yield x, y
        apart = (abs(x_px - x) >= tile_px) | (abs(y_px - y) >= tile_px)
        y_px, x_px = y_px[apart], x_px[apart]


def vessel_outlines(layout: Layout, x_px: int, y_px: int, size: tuple[int, int], mpp: float) -> Outlines:
    """Outline the vessels of a window of this width and height, and the lumen of each, in px of the window."""
    x_um, y_um = (
        ((first + np.arange(side) + 0.5) * mpp).astype(np.float32)
        for first, side in zip((x_px, y_px), size, strict=True)
    )
    regions = [
        Region(label, line, colour=colour)
        for label, colour in (_VESSEL, _LUMEN)
        for line in _contours(layout.enlarge(layout.maps[label], y_um, x_um) > 0.5, _MIN_AREA_UM2 / mpp**2)
    ]
    return Outlines.of(regions, source="vessels", size=size)


def _contours(inside: NDArray[np.bool_], min_area_px: float) -> list[Polygon]:
    """Outline a mask by smooth lines, without specks; each piece is traced by itself, since a slide has thousands."""
    numbers, _ = ndimage.label(inside)
    found = []
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        (piece,) = trace(numbers[box] == number)
        if piece.area >= min_area_px:
            corner = np.array([box[1].start, box[0].start])
            found.append(shapely.transform(piece, corner.__add__))
    pieces = np.array(found, dtype=object)
    return [piece for piece in shapely.coverage_simplify(pieces, _SMOOTHING_PX).tolist() if not piece.is_empty]


def write_vessel_tiles(
    slide: Slide, layout: Layout, class_map: NDArray[np.uint8], folder: Path, *, tile_px: int, most: int
) -> list[Path]:
    """Write tiles with lumina, as PNG read from the slide, and their vessels as Labelme JSON; return the latter."""
    written: list[Path] = []
    for x_px, y_px in vascular_windows(class_map, tile_px):
        if len(written) == most:
            break
        vessels = vessel_outlines(layout, x_px, y_px, (tile_px, tile_px), slide.mpp)
        lumen_px = sum(region.geometry.area for region in vessels.regions if region.label == _LUMEN[0])
        if lumen_px < _MIN_LUMEN * tile_px**2:
            continue
        tile = folder / f"{slide.path.stem}_x{x_px}_y{y_px}.png"
        with atomic_file(tile) as partial:
            Image.fromarray(slide.read(x_px, y_px, tile_px, tile_px)).save(partial)
        written.append(write_labelme(vessels, tile.with_suffix(".json"), image_path=tile.name))
    return written
