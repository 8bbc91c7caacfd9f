"""Reads an annotation of any format, recognised by its content, not by its name."""

from pathlib import Path

from hviskd.annotations.annotation import Annotation
from hviskd.annotations.decoders import DEFAULT_TOLERANCE
from hviskd.annotations.documents import read_document
from hviskd.annotations.labelme import parse_labelme
from hviskd.annotations.legend import Legend
from hviskd.annotations.masks import read_mask
from hviskd.annotations.pixels import is_picture
from hviskd.annotations.qupath import parse_geojson
from hviskd.errors import DataError
from hviskd.slide_frame import SlideFrame

_FOREIGN = {  # what else people have, by its first bytes, and what to do with it
    b"BM": "a BMP image; save it as PNG",
    b"GIF8": "a GIF image; save it as PNG",
    b"RIFF": "a WebP image; save it as PNG",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 image; save it as PNG",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image; save it as PNG",
    b"\x1f\x8b": "compressed; unpack it",
    b"PK\3\4": "compressed; unpack it",
    **dict.fromkeys((b"\xff\xfe", b"\xfe\xff", b"{\0", b"\0{", b"[\0", b"\0["), "not text in UTF-8; save it as UTF-8"),
}


def read_annotation(
    path: str | Path,
    *,
    legend: Legend | None = None,
    frame: SlideFrame | tuple[int, int] | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
) -> Annotation:
    """Read an annotation: Labelme JSON, QuPath GeoJSON, or a colour mask.

    Args:
        path: The file.
        legend: The classes. Masks need one; for outlines without one, their labels are the classes.
        frame: The slide's frame, `slide.frame()`; or its width and height in level-0 px, if its scanned part begins at
            its corner. The file is checked against it, a mask is scaled to it, and it states where outlines count from.
        tolerance: Largest distance between a mask colour and its legend colour (Euclidean, in RGB).

    Raises:
        DataError: The file is missing, damaged, malicious, of another kind, or does not match the slide or the legend.
    """
    path = Path(path)
    frame = frame if isinstance(frame, SlideFrame) or frame is None else SlideFrame(frame)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with path.open("rb") as stream:
        start = stream.read(8)
    if not start:
        raise DataError(f"{path}: empty; export it again")
    if is_picture(start):
        if legend is None:
            raise DataError(f"{path}: a colour mask needs a legend; give one, for example `legend=ivygap`")
        return read_mask(path, legend, frame=frame, tolerance=tolerance)
    for mark, words in _FOREIGN.items():
        if start.startswith(mark):
            raise DataError(f"{path}: {words}")
    document = read_document(path)
    if isinstance(document, dict) and "shapes" in document:
        return parse_labelme(document, path, legend=legend, frame=frame)
    if isinstance(document, list) or (
        isinstance(document, dict) and document.get("type") in ("FeatureCollection", "Feature")
    ):
        return parse_geojson(document, path, legend=legend, frame=frame)
    raise DataError(f"{path}: neither Labelme, QuPath GeoJSON nor a mask; export it as one of them")
