"""Model × Slide → SlideMap, one slide or a cohort, and the files that a SlideMap is written to.

`segment` gives the map of one slide, `segment_cohort` a folder of maps. Names load what they need when first used:
the network itself is loaded only while a slide is already being read.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.segmentation.cohort import SlideOutcome, segment_cohort
    from hviskd.segmentation.geojson import write_geojson
    from hviskd.segmentation.heat_maps import draw_heat_map, heat_map
    from hviskd.segmentation.loading import find_model
    from hviskd.segmentation.outputs import Summary, load_slide_map, read_summary, save_slide_map
    from hviskd.segmentation.overview import draw_overview
    from hviskd.segmentation.segmenting import segment
    from hviskd.segmentation.slide_map import MapCard, SlideMap

_HOMES = {
    "MapCard": "slide_map",
    "SlideMap": "slide_map",
    "SlideOutcome": "cohort",
    "Summary": "outputs",
    "draw_heat_map": "heat_maps",
    "draw_overview": "overview",
    "find_model": "loading",
    "heat_map": "heat_maps",
    "load_slide_map": "outputs",
    "read_summary": "outputs",
    "save_slide_map": "outputs",
    "segment": "segmenting",
    "segment_cohort": "cohort",
    "write_geojson": "geojson",
}

__all__ = [
    "MapCard",
    "SlideMap",
    "SlideOutcome",
    "Summary",
    "draw_heat_map",
    "draw_overview",
    "find_model",
    "heat_map",
    "load_slide_map",
    "read_summary",
    "save_slide_map",
    "segment",
    "segment_cohort",
    "write_geojson",
]

__getattr__ = load_on_use(__name__, _HOMES)
