"""Slides and annotations become a TileSet.

`cut_slides` does it. Names load what they need when first used: reading a report opens no slide.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.cutting.candidates import TileRule
    from hviskd.cutting.cutting import cut_slides
    from hviskd.cutting.report import qc_folder, read_report

_HOMES = {
    "TileRule": "candidates",
    "cut_slides": "cutting",
    "qc_folder": "report",
    "read_report": "report",
}

__all__ = [
    "TileRule",
    "cut_slides",
    "qc_folder",
    "read_report",
]

__getattr__ = load_on_use(__name__, _HOMES)
