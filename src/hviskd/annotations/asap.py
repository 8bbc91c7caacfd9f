"""Reads the XML of ASAP (Radboudumc): annotations in groups, in level-0 px from the corner of the slide.

A group is a class. What lies in a group called `Exclusion`, `Hole` or, as in CAMELYON16, `_2` is cut out of the others,
unless the legend has a class of that name.
"""

from hviskd.annotations.annotation import UNCLASSIFIED, Region
from hviskd.annotations.layers import Drawn, LayeredFile, rgb
from hviskd.annotations.xml_tree import Element

_HOLES = ("exclusion", "exclusions", "exclude", "excluded", "hole", "holes", "_2")
_KINDS = {"polygon": "polygon", "spline": "polygon", "rectangle": "rectangle"}  # others are dots and measurements


def asap_regions(root: Element, file: LayeredFile) -> list[Region]:
    """Return the regions of a parsed file.

    Raises:
        DataError: A coordinate or a label is damaged.
    """
    groups = {group.attributes.get("Name", ""): group for group in root.within("AnnotationGroups", "Group")}
    drawn = []
    for number, element in enumerate(root.within("Annotations", "Annotation"), 1):
        place, written = f"annotation {number}", element.attributes
        outline = file.shape(_KINDS.get(written.get("Type", "polygon").casefold(), ""), element.points, place)
        if outline is None:
            continue
        group = file.text(written.get("PartOfGroup"), f"{place}, group")
        colour = rgb(groups.get(group, element).attributes.get("Color", ""))
        label = "" if group.casefold() == "none" else group
        region = Region(label or UNCLASSIFIED, outline, file.text(written.get("Name"), f"{place}, name"), colour)
        drawn.append(Drawn(region, _is_hole(label, file)))
    for each in drawn:
        if each.cut_out:
            file.remarks[f"regions of the group '{each.region.label}' cut out of the surrounding regions"] += 1
    return file.cut(drawn)


def _is_hole(group: str, file: LayeredFile) -> bool:
    return group.casefold() in _HOLES and (file.legend is None or file.legend.index(group) is None)
