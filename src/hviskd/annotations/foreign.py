"""Recognises annotation formats that are not supported, and says what to do instead; for `read_annotation`."""

from hviskd.annotations.xml_tree import Element

BY_FIRST_BYTES = {
    b"BM": "a BMP image; save it as PNG",
    b"GIF8": "a GIF image; save it as PNG",
    b"RIFF": "a WebP image; save it as PNG",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 image; save it as PNG",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image; save it as PNG",
    b"\x1f\x8b": "compressed; unpack it",
    b"PK\3\4": "compressed; unpack it",
    b"\xac\xed\0\5": "data of a QuPath project; open it in QuPath and export the objects as GeoJSON",
    b"SQLite format 3": "a database; export its annotations as GeoJSON, for example from QuPath",
    **dict.fromkeys((b"\xff\xfe", b"\xfe\xff", b"{\0", b"\0{", b"[\0", b"\0["), "not text in UTF-8; save it as UTF-8"),
}
_EXPORT = "export it there as COCO, or load it in QuPath and export the objects as GeoJSON"


def name_of_xml(root: Element) -> str:
    """Name the format of an unsupported XML file, and say what to do."""
    tag = root.tag.rpartition(":")[2]
    if tag == "annotations" and (root.all("image") or root.all("track") or root.all("meta")):
        return f"annotations of CVAT, which are not read; {_EXPORT}"
    if tag == "annotation" and root.all("object"):
        return f"boxes in PASCAL VOC's form, which are not read; {_EXPORT}"
    if tag in ("OME", "ROI"):
        return "regions of OMERO (OME-XML), which are not read; open the image in QuPath and export them as GeoJSON"
    known = "ImageScope, ASAP, HALO or NDP.view"
    return f"XML, but not from {known}; export it from its program in one of these formats or as GeoJSON"


def name_of_json(document: object) -> str:
    """Name the format of an unsupported JSON file, and say what to do; empty if unknown."""
    first = document[0] if isinstance(document, list) and document else document
    if not isinstance(first, dict):
        return ""
    keys = first.keys()
    if "darwin" in str(first.get("schema_ref")) or {"item", "annotations"} <= keys:
        return f"annotations of Darwin (V7), which are not read; {_EXPORT}"
    if "openmicroscopy.org" in str(first.get("@type")) or {"shapes", "@id"} <= keys:
        return "regions of OMERO, which are not read; open the image in QuPath and export them as GeoJSON"
    if keys & {"_via_img_metadata", "_via_settings"}:
        return f"annotations of VIA, which are not read; {_EXPORT}"
    if {"data", "annotations"} <= keys:
        return f"annotations of Label Studio, which are not read; {_EXPORT}"
    if "elements" in keys or "elements" in (first.get("annotation") or ()):
        return "annotations of HistomicsUI, which are not read; load them in QuPath and export them as GeoJSON"
    if {"image_id", "category_id"} <= keys:
        return "COCO results without the images and categories they are of; export the whole data set as COCO"
    return ""
