"""Reads the XML of Aperio ImageScope: layers of regions, in level-0 px from the corner of the slide.

A layer is a class, called by its name or, failing that, its description; of a layer without either, each region's own
text is its class, or else `Layer 1` and so on, as ImageScope shows it. A negative region is cut out of the regions of
its layer. Many other programs write this format.
"""

from hviskd.annotations.annotation import Region
from hviskd.annotations.layers import LayeredFile
from hviskd.annotations.xml_tree import Element
from hviskd.csv_table import decimal
from hviskd.slide_frame import SlideFrame

_KINDS = {"0": "polygon", "1": "rectangle", "2": "ellipse"}  # others are arrows, rulers and pins


def imagescope_regions(root: Element, file: LayeredFile, frame: SlideFrame | None) -> list[Region]:
    """Return the regions of a parsed file.

    A file that was drawn at another µm/px than the slide's, such as on the slide it was reduced from, is remarked on;
    it is not refused, for programs that write this format put numbers there that mean nothing.

    Raises:
        DataError: A coordinate or a label is damaged.
    """
    regions = []
    for number, layer in enumerate(root.all("Annotation"), 1):
        place = f"layer {number}"
        label = file.text(layer.attributes.get("Name"), place) or _description(layer, file, place)
        drawn = file.layer(layer, label, _KINDS, place)
        unnamed = f"Layer {file.text(layer.attributes.get('Id'), place) or number}"
        regions += [
            region if region.label else Region(unnamed, region.geometry, colour=region.colour)
            for region in file.cut(drawn)
        ]
    theirs = decimal(root.attributes.get("MicronsPerPixel", ""))
    if frame is not None and frame.mpp and theirs > 0 and not 0.9 < theirs / frame.mpp < 1.1:
        told = (
            f"regions drawn at {theirs:.4g} µm/px, where the slide has {frame.mpp:.4g}; is it the file of this slide?"
        )
        file.remarks[told] += len(regions)
    return regions


def _description(layer: Element, file: LayeredFile, place: str) -> str:
    for attribute in layer.within("Attributes", "Attribute"):
        if attribute.attributes.get("Name", "").casefold() == "description":
            return file.text(attribute.attributes.get("Value"), place)
    return ""
