"""Reads DICOM bulk annotations (Microscopy Bulk Simple Annotations), by pydicom, which is an extra: `hviskd[dicom]`.

A group is a class, called by its label. Coordinates are px of the image the annotations refer to, which must be the
slide's level 0, or mm on the glass, for which the slide must be given as DICOM too.
"""

import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hviskd.annotations.annotation import UNCLASSIFIED, Region
from hviskd.annotations.drawn import NO_AREA, OBJECT_LIMIT, Outline
from hviskd.annotations.layers import LayeredFile
from hviskd.annotations.words import one_line
from hviskd.arrays import Floats
from hviskd.errors import DataError
from hviskd.slide_frame import SlideFrame
from hviskd.storage import require_smaller

if TYPE_CHECKING:
    from pydicom import Dataset

FILE_LIMIT_BYTES = 256 * 2**20
ITEM_LIMIT = 100_000  # of sequences, at about 2 kB each
_ITEM = b"\xfe\xff\x00\xe0"
_BULK = "1.2.840.10008.5.1.4.1.1.91.1"
_OTHERS = {
    "1.2.840.10008.5.1.4.1.1.77.1.6": "a DICOM slide, no annotations",
    "1.2.840.10008.5.1.4.1.1.66.4": "a DICOM segmentation, which is not read; load it in QuPath and export GeoJSON",
}
_KINDS = ("POINT", "POLYLINE", "POLYGON", "RECTANGLE", "ELLIPSE")
_TAGS = (
    "SOPClassUID",
    "AnnotationCoordinateType",
    "PixelOriginInterpretation",
    "ReferencedImageSequence",
    "AnnotationGroupSequence",
)
_ELLIPSE = np.linspace(0, 2 * np.pi, 128, endpoint=False)


def is_dicom(start: bytes) -> bool:
    """Return whether a file is DICOM, from its first 132 bytes."""
    return start[128:132] == b"DICM"


@dataclass(frozen=True)
class _Group:
    """A group: its label, what it draws, and each drawing's points, (N, 2 or 3)."""

    label: str
    meaning: str
    kind: str
    shapes: list[Floats]


@dataclass(frozen=True)
class _Bulk:
    """The content of a file: groups, whether in mm on the glass, the annotated image, and the origin of its px."""

    groups: list[_Group]
    in_mm: bool
    image: str
    origin: str


def bulk_regions(file: LayeredFile, frame: SlideFrame | None) -> list[Region]:
    """Read a file and return its regions, in level-0 px.

    Raises:
        DataError: pydicom is not installed, or the file is damaged, of another kind, or does not fit the slide.
    """
    bulk = _read(file.path)
    glass = None if frame is None or frame.glass is None or frame.glass.maker != "dicom" else frame.glass
    if bulk.in_mm and glass is None:
        raise DataError(
            f"{file.path}: counts mm on the glass, which only the DICOM slide states; give that slide, or write the "
            "annotations with 2D coordinates"
        )
    if bulk.origin == "FRAME":
        raise DataError(f"{file.path}: counts from the corner of single frames; write it for the total pixel matrix")
    if not bulk.in_mm and glass is not None and bulk.image not in ("", glass.image):
        raise DataError(f"{file.path}: drawn on another image than level 0 of this slide; choose the right slide")
    regions = []
    for number, group in enumerate(bulk.groups, 1):
        label = _label(group, file, f"group {number}")
        for position, points in enumerate(group.shapes, 1):
            place = f"group {number}, annotation {position}"
            placed = glass.to_level0(points[:, :2]) if bulk.in_mm and glass is not None else points[:, :2]
            if (outline := _outline(group.kind, placed, file, place)) is not None:
                regions.append(Region(label, outline))
    return regions


def _label(group: _Group, file: LayeredFile, place: str) -> str:
    """Return a group's label; or the meaning of its code, if only that is in the legend, or it has no label."""
    label, meaning = file.text(group.label, f"{place}, label"), file.text(group.meaning, f"{place}, property type")
    known = file.legend is not None and file.legend.index(label) is None and file.legend.index(meaning) is not None
    return meaning if known else label or meaning or UNCLASSIFIED


def _outline(kind: str, points: Floats, file: LayeredFile, place: str) -> Outline | None:
    if kind not in ("POLYGON", "RECTANGLE", "ELLIPSE"):
        file.remarks[NO_AREA] += 1
        return None
    points = file.within_limits(points, place)
    if kind == "ELLIPSE":  # the ends of its long and of its short axis
        centre, long, short = points.mean(axis=0), points[1] - points[0], points[3] - points[2]
        points = centre + np.outer(np.cos(_ELLIPSE), long / 2) + np.outer(np.sin(_ELLIPSE), short / 2)
    return file.polygon([points], place)


def _read(path: Path) -> _Bulk:
    try:
        import pydicom
    except ImportError as error:
        raise DataError(
            f"{path}: DICOM annotations need pydicom; install it with pip install 'hviskd[dicom]'"
        ) from error
    require_smaller(path, FILE_LIMIT_BYTES, "; write fewer annotations at a time")
    if path.read_bytes().count(_ITEM) > ITEM_LIMIT:
        raise DataError(f"{path}: over {ITEM_LIMIT} items in its sequences; write fewer groups at a time")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID", "").endswith(".1.99"):
                raise DataError(f"{path}: compressed as a whole; write it without")
            content = pydicom.dcmread(path, specific_tags=list(_TAGS))
            kind = str(content.get("SOPClassUID", ""))
            if kind != _BULK:
                named = _OTHERS.get(kind, "DICOM, but no bulk annotations")
                raise DataError(f"{path}: {named}")
            images = content.get("ReferencedImageSequence") or []
            in_mm = content.AnnotationCoordinateType == "3D"
            return _Bulk(
                groups=list(_groups(content, in_mm=in_mm)),
                in_mm=in_mm,
                image=str(images[0].ReferencedSOPInstanceUID) if len(images) == 1 else "",
                origin=str(content.get("PixelOriginInterpretation", "")),
            )
    except (*_DAMAGED, pydicom.errors.BytesLengthException, pydicom.errors.InvalidDicomError) as error:
        said = one_line(f"{type(error).__name__}: {error}"[:200])
        raise DataError(f"{path}: damaged ({said}); write it again") from error


_DAMAGED = (
    *(ValueError, LookupError, AttributeError, TypeError, NotImplementedError, struct.error, EOFError),
    *(OverflowError, RecursionError, OSError, AssertionError),
)


def _groups(content: "Dataset", *, in_mm: bool) -> Iterator[_Group]:
    count = 0
    for group in content.AnnotationGroupSequence:
        dimensions = 2 if not in_mm or "CommonZCoordinateValue" in group else 3
        wide = "DoublePointCoordinatesData" in group
        numbers = np.frombuffer(
            group.DoublePointCoordinatesData if wide else group.PointCoordinatesData, "<f8" if wide else "<f4"
        )
        points = numbers.astype(np.float64).reshape(-1, dimensions)
        kind = str(group.GraphicType)
        if kind not in _KINDS:
            raise ValueError("a graphic type that the standard does not have")
        if kind in ("POLYGON", "POLYLINE"):
            first = np.frombuffer(group.LongPrimitivePointIndexList, "<u4").astype(np.int64) - 1
            if len(first) == 0 or first[0] != 0 or (np.diff(first) <= 0).any() or first[-1] >= numbers.size:
                raise ValueError("the list of first points does not rise from 1")
            if (first % dimensions).any():
                raise ValueError("the list of first points names numbers inside a point")
            cuts = first[1:] // dimensions
        else:
            each = 1 if kind == "POINT" else 4
            if len(points) % each:
                raise ValueError(f"{len(points)} points, not {each} for each {kind.lower()}")
            cuts = np.arange(each, len(points), each)
        count += len(cuts) + 1
        if count > OBJECT_LIMIT:
            raise ValueError(f"more than {OBJECT_LIMIT} annotations")
        codes = group.get("AnnotationPropertyTypeCodeSequence") or []
        meaning = str(codes[0].get("CodeMeaning", "")) if len(codes) else ""
        shapes = np.split(points, cuts) if len(points) else []
        yield _Group(str(group.get("AnnotationGroupLabel") or ""), meaning, kind, shapes)
