"""Annotations of experts: outlines of QuPath, Labelme and other programs, and colour masks, become labelled regions.

`read_annotation` reads any of them; `Annotation.rasterise` says which class each cell of a window has. The room knows
nothing of slides or tiles; of a slide it needs only the `SlideFrame`.
"""

from hviskd.annotations.annotation import UNCLASSIFIED, Annotation, LabelMask, Outlines, Region
from hviskd.annotations.census import Census, find_masks, take_census
from hviskd.annotations.conversion import convert, to_outlines
from hviskd.annotations.decoders import DEFAULT_TOLERANCE
from hviskd.annotations.labelme import write_labelme
from hviskd.annotations.legend import Legend, LegendClass, built_in_legends, load_legend
from hviskd.annotations.masks import write_mask
from hviskd.annotations.qupath import write_geojson
from hviskd.annotations.reading import read_annotation

__all__ = [
    "DEFAULT_TOLERANCE",
    "UNCLASSIFIED",
    "Annotation",
    "Census",
    "LabelMask",
    "Legend",
    "LegendClass",
    "Outlines",
    "Region",
    "built_in_legends",
    "convert",
    "find_masks",
    "load_legend",
    "read_annotation",
    "take_census",
    "to_outlines",
    "write_geojson",
    "write_labelme",
    "write_mask",
]
