"""Reads the `.annotations` of HALO (Indica Labs): layers of regions, in level-0 px from the corner of the slide.

A layer is a class. A negative region is cut out of the regions of its layer. The format descends from ImageScope's; it
calls the types of its regions by words.
"""

from hviskd.annotations.annotation import UNCLASSIFIED, Region
from hviskd.annotations.layers import LayeredFile
from hviskd.annotations.xml_tree import Element

_KINDS = {kind: kind for kind in ("polygon", "rectangle", "ellipse")}  # others are rulers and pins


def is_halo(root: Element) -> bool:
    """Return whether a file of ImageScope's kind is HALO's."""
    types = (region.attributes.get("Type", "") for region in root.within("Annotation", "Regions", "Region"))
    return next((kind.isalpha() for kind in types if kind), False)


def halo_regions(root: Element, file: LayeredFile) -> list[Region]:
    """Return the regions of a parsed file.

    Raises:
        DataError: A coordinate or a label is damaged.
    """
    regions = []
    for number, layer in enumerate(root.all("Annotation"), 1):
        place = f"layer {number}"
        label = file.text(layer.attributes.get("Name"), place) or UNCLASSIFIED
        regions += file.cut(file.layer(layer, label, _KINDS, place))
    return regions
