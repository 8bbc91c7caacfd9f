"""Reads an annotation of any format, recognised by its content, not by its name."""

from pathlib import Path

from hviskd.annotations.annotation import Annotation, Outlines, Region
from hviskd.annotations.asap import asap_regions
from hviskd.annotations.bulk import bulk_regions, is_dicom
from hviskd.annotations.coco import CocoFile, is_coco
from hviskd.annotations.decoders import DEFAULT_TOLERANCE
from hviskd.annotations.documents import read_document
from hviskd.annotations.foreign import BY_FIRST_BYTES, name_of_json, name_of_xml
from hviskd.annotations.halo import halo_regions, is_halo
from hviskd.annotations.imagescope import imagescope_regions
from hviskd.annotations.labelme import parse_labelme
from hviskd.annotations.layers import LayeredFile
from hviskd.annotations.legend import Legend
from hviskd.annotations.masks import read_mask
from hviskd.annotations.ndpa import is_ndpa, ndpa_regions
from hviskd.annotations.pixels import is_picture
from hviskd.annotations.qupath import parse_geojson
from hviskd.annotations.xml_tree import is_xml, read_xml
from hviskd.errors import DataError
from hviskd.file_names import slide_names
from hviskd.slide_frame import SlideFrame


def read_annotation(
    path: str | Path,
    *,
    legend: Legend | None = None,
    size: tuple[int, int] | None = None,
    frame: SlideFrame | None = None,
    slide: str | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
) -> Annotation:
    """Read an annotation: outlines of QuPath, Labelme, ImageScope and other programs, or a colour mask.

    Args:
        path: The file.
        legend: The classes. Masks need one; for outlines without one, their labels are the classes.
        size: The slide's width and height in level-0 px, if its scanned part begins at its corner. The file is checked
            against it, and a mask is scaled to it.
        frame: The slide's frame, `slide.frame()`, which also states where outlines count from; goes before `size`.
        slide: The slide's file name, by which a COCO file of several images names the slide's.
        tolerance: Largest distance between a mask colour and its legend colour (Euclidean, in RGB).

    Raises:
        DataError: The file is missing, damaged, malicious, of another kind, or does not match the slide or the legend.
    """
    path = Path(path)
    if frame is None and size is not None:
        frame = SlideFrame(size)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with path.open("rb") as stream:
        start = stream.read(132)
    if not start:
        raise DataError(f"{path}: empty; export it again")
    if is_picture(start):
        if legend is None:
            raise DataError(f"{path}: a colour mask needs a legend; give one, for example `legend='ivygap'`")
        return read_mask(path, legend, frame=frame, tolerance=tolerance)
    if is_xml(start) or is_dicom(start):
        file = LayeredFile(path, legend)
        regions = bulk_regions(file, frame) if is_dicom(start) else _regions_of_xml(file, frame)
        size = None if frame is None else frame.size
        return Outlines.of(regions, source=path, legend=legend, size=size, remarks=file.remarks)
    for mark, words in BY_FIRST_BYTES.items():
        if start.startswith(mark):
            raise DataError(f"{path}: {words}")
    return _read_json(path, legend=legend, frame=frame, slide=slide)


def _regions_of_xml(file: LayeredFile, frame: SlideFrame | None) -> list[Region]:
    """Read an XML file, which counts level-0 px from the corner of the slide, unless it is NDP.view's."""
    root = read_xml(file.path)
    if root.tag == "ASAP_Annotations":
        return asap_regions(root, file)
    if root.tag == "Annotations":
        return halo_regions(root, file) if is_halo(root) else imagescope_regions(root, file, frame)
    if is_ndpa(root):
        return ndpa_regions(root, file, frame)
    raise DataError(f"{file.path}: {name_of_xml(root)}")


def _read_json(path: Path, *, legend: Legend | None, frame: SlideFrame | None, slide: str | None) -> Outlines:
    document = read_document(path)
    if is_coco(document):
        names = () if slide is None else slide_names(Path(slide))
        return CocoFile(path, document).outlines(names, legend=legend, frame=frame)
    if foreign := name_of_json(document):
        raise DataError(f"{path}: {foreign}")
    if isinstance(document, dict) and "shapes" in document:
        return parse_labelme(document, path, legend=legend, frame=frame)
    if isinstance(document, list) or (
        isinstance(document, dict) and document.get("type") in ("FeatureCollection", "Feature")
    ):
        return parse_geojson(document, path, legend=legend, frame=frame)
    raise DataError(f"{path}: no annotation that is read; export it as QuPath GeoJSON")
