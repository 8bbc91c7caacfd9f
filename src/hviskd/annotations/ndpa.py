"""Reads the `.ndpa` of Hamamatsu's NDP.view, whose coordinates are nm from the centre of the glass.

Only the slide itself says where that is, so its frame must be given. The title of an annotation is its class. Lines
that were not closed have no area.
"""

import numpy as np

from hviskd.annotations.annotation import UNCLASSIFIED, Region
from hviskd.annotations.drawn import NO_AREA, TEXT_LIMIT, Outline, ellipse
from hviskd.annotations.layers import LayeredFile, is_true, rgb
from hviskd.annotations.xml_tree import Element
from hviskd.csv_table import decimal
from hviskd.errors import DataError
from hviskd.slide_frame import Glass, SlideFrame


def is_ndpa(root: Element) -> bool:
    """Return whether an XML file is NDP.view's."""
    return root.tag == "annotations" and (bool(root.all("ndpviewstate")) or not root.children)


def ndpa_regions(root: Element, file: LayeredFile, frame: SlideFrame | None) -> list[Region]:
    """Return the regions of a parsed file, in level-0 px.

    Raises:
        DataError: The slide is not known or not Hamamatsu's, or a coordinate or a label is damaged.
    """
    if frame is None or frame.glass is None or frame.glass.maker != "hamamatsu":
        raise DataError(
            f"{file.path}: counts nm from the centre of the glass, which only a Hamamatsu slide (.ndpi, .vms) states; "
            "give that slide, or export the annotations as GeoJSON from QuPath"
        )
    regions = []
    for number, state in enumerate(root.all("ndpviewstate"), 1):
        place = f"ndpviewstate {number}"
        label = file.text(state.value("title"), f"{place}, title") or UNCLASSIFIED
        details = file.text(state.value("details")[:TEXT_LIMIT], f"{place}, details")
        if state.value("coordformat") not in ("", "nanometers"):
            raise file.error(f"{place}, coordformat", "is not nanometers")
        outlines = [(drawn, _outline(drawn, file, frame.glass, place)) for drawn in state.all("annotation")]
        regions += [
            Region(label, outline, details, rgb(drawn.attributes.get("color", "")))
            for drawn, outline in outlines
            if outline is not None
        ]
    return regions


def _outline(drawn: Element, file: LayeredFile, glass: Glass, place: str) -> Outline | None:
    kind = drawn.attributes.get("type", "").casefold()
    if kind == "circle":
        centre, radius = [decimal(drawn.value("x")), decimal(drawn.value("y"))], decimal(drawn.value("radius"))
        middle, corner = file.within_limits(glass.to_level0(np.add(centre, [[0.0, 0.0], [radius, radius]])), place)
        return file.outline([ellipse(middle, np.abs(corner - middle))], place)
    closed = drawn.value("closed")
    is_line = drawn.attributes.get("displayname") == "AnnotateFreehandLine" if not closed else not is_true(closed)
    if kind != "freehand" or is_line:
        file.remarks[NO_AREA] += 1
        return None
    return file.polygon([file.within_limits(glass.to_level0(drawn.points), place)], place)
