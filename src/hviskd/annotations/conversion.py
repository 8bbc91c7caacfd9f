"""Converts annotations between formats."""

from pathlib import Path

import numpy as np
import shapely

from hviskd.annotations.annotation import Annotation, Outlines, Region
from hviskd.annotations.labelme import write_labelme
from hviskd.annotations.legend import Legend
from hviskd.annotations.masks import write_mask
from hviskd.annotations.qupath import write_geojson
from hviskd.annotations.tracing import trace
from hviskd.errors import DataError
from hviskd.slide_frame import SlideFrame

TRACED_LIMIT_PX = 100_000_000


def to_outlines(annotation: Annotation, legend: Legend | None = None, *, px_per_cell: float = 1.0) -> Outlines:
    """Return an annotation as polygons: outlines unchanged, a mask traced along its cells.

    Each connected piece of a class becomes one region, in the class's colour if a legend is given.

    Args:
        annotation: Outlines, or a mask whose slide's size is known.
        legend: Colours for the classes.
        px_per_cell: Level-0 px that a cell of the traced grid is wide and high.

    Raises:
        DataError: The mask has over a hundred million cells, or borders too ragged to trace.
    """
    if isinstance(annotation, Outlines):
        return annotation
    if annotation.size is None:
        raise DataError(f"{annotation.source}: tracing needs the size of its slide; give it")
    width, height = annotation.size
    if width * height / px_per_cell**2 > TRACED_LIMIT_PX:
        limit = TRACED_LIMIT_PX // 10**6
        raise DataError(f"{annotation.source}: more than {limit} million cells cannot be traced; choose larger cells")
    labels = annotation.rasterise(0, 0, width, height, px_per_cell)
    regions = []
    for index, name in enumerate(annotation.classes):
        position = legend.index(name) if legend else None
        colour = legend.colours[position] if legend and position is not None else None
        try:
            pieces = trace(labels == index)
        except ValueError as error:
            raise DataError(f"{annotation.source}: class {name}: {error}; choose larger cells") from error
        scaled = shapely.transform(np.array(pieces, dtype=object), lambda points: points * px_per_cell)
        regions += [Region(name, piece, colour=colour) for piece in scaled.tolist()]
    return Outlines(
        classes=annotation.classes,
        size=annotation.size,
        remarks=annotation.remarks,
        source=annotation.source,
        regions=tuple(regions),
    )


def convert(
    annotation: Annotation,
    path: Path | str,
    *,
    legend: Legend | None = None,
    px_per_cell: float = 1.0,
    image_path: str | None = None,
    frame: SlideFrame | None = None,
) -> Path:
    """Write an annotation in the format of the suffix of `path`, and return the path.

    Args:
        annotation: What to write; a mask needs the size of its slide.
        path: `.geojson` for QuPath, `.json` for Labelme, `.png` for a colour mask.
        legend: Colours for the classes; a mask needs it.
        px_per_cell: Level-0 px of a mask px, written or traced.
        frame: As the annotation was read with; QuPath counts from the corner of the scanned part.
        image_path: The image Labelme shall open, as seen from `path`; by default a PNG of the same name.

    Raises:
        DataError: The suffix is another, or something needed is missing.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind == ".geojson":
        return write_geojson(to_outlines(annotation, legend, px_per_cell=px_per_cell), path, frame=frame)
    if kind == ".json":
        outlines = to_outlines(annotation, legend, px_per_cell=px_per_cell)
        return write_labelme(outlines, path, image_path=image_path or f"{path.stem}.png")
    if kind != ".png":
        raise DataError(f"{path}: unknown format; choose .geojson (QuPath), .json (Labelme) or .png (mask)")
    if legend is None:
        raise DataError(f"{path}: a colour mask needs a legend; give one, for example `legend='ivygap'`")
    return write_mask(annotation, path, legend, px_per_cell=px_per_cell)
