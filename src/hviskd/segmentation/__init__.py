"""Segmentation: Model × Slide → SlideMap, for one slide or a cohort, and the files of a SlideMap.

`segment` gives the map of one slide, `segment_cohort` a folder of maps. Names load what they need when first used:
the network itself is loaded only while a slide is already being read.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.segmentation.cohort import collect_parts, segment_cohort
    from hviskd.segmentation.geojson import write_geojson
    from hviskd.segmentation.heat_maps import draw_heat_map, heat_map
    from hviskd.segmentation.outcomes import CohortMaps, SlideOutcome
    from hviskd.segmentation.outputs import Summary, load_slide_map, read_summary, save_slide_map
    from hviskd.segmentation.overview import draw_overview
    from hviskd.segmentation.plan import CohortPlan
    from hviskd.segmentation.planning import plan_cohort
    from hviskd.segmentation.segmenting import segment
    from hviskd.segmentation.settings import MapSettings
    from hviskd.segmentation.slide_map import MapCard, SlideMap

_HOMES = {
    "CohortMaps": "outcomes",
    "CohortPlan": "plan",
    "MapCard": "slide_map",
    "MapSettings": "settings",
    "SlideMap": "slide_map",
    "SlideOutcome": "outcomes",
    "Summary": "outputs",
    "collect_parts": "cohort",
    "draw_heat_map": "heat_maps",
    "draw_overview": "overview",
    "heat_map": "heat_maps",
    "load_slide_map": "outputs",
    "plan_cohort": "planning",
    "read_summary": "outputs",
    "save_slide_map": "outputs",
    "segment": "segmenting",
    "segment_cohort": "cohort",
    "write_geojson": "geojson",
}

__all__ = [
    "CohortMaps",
    "CohortPlan",
    "MapCard",
    "MapSettings",
    "SlideMap",
    "SlideOutcome",
    "Summary",
    "collect_parts",
    "draw_heat_map",
    "draw_overview",
    "heat_map",
    "load_slide_map",
    "plan_cohort",
    "read_summary",
    "save_slide_map",
    "segment",
    "segment_cohort",
    "write_geojson",
]

__getattr__ = load_on_use(__name__, _HOMES)
