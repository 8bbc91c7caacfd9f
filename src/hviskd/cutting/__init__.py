"""Cutting: slides and annotations become a TileSet.

`cut_slides` does it. Names load what they need when first used: reading a report opens no slide.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.cutting.cutting import cut_slides
    from hviskd.cutting.report import CutReport, read_report
    from hviskd.cutting.settings import CutSettings

_HOMES = {
    "CutReport": "report",
    "CutSettings": "settings",
    "cut_slides": "cutting",
    "read_report": "report",
}

__all__ = [
    "CutReport",
    "CutSettings",
    "cut_slides",
    "read_report",
]

__getattr__ = load_on_use(__name__, _HOMES)
