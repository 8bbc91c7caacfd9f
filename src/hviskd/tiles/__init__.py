"""TileSets: folders of labelled tiles, made from class folders, divided into splits, and checked for leaks.

Augmentation stands in modules that this one does not import, since it alone needs torch; cutting loads its own when
first used, since it alone needs slides and annotations.
"""

from typing import TYPE_CHECKING, Any

from hviskd.tiles.card import Origin, TileSetCard
from hviskd.tiles.importing import import_folder
from hviskd.tiles.leaks import Crossing, LeakReport, check_leak, require_no_leak
from hviskd.tiles.overview import draw_contact_sheet, summary_table
from hviskd.tiles.splitting import split_tiles
from hviskd.tiles.tileset import TileSet
from hviskd.tiles.writing import TileSetWriter

if TYPE_CHECKING:
    from hviskd.tiles.cutting import cut_slides
    from hviskd.tiles.cutting_report import qc_folder, read_report

__all__ = [
    "Crossing",
    "LeakReport",
    "Origin",
    "TileSet",
    "TileSetCard",
    "TileSetWriter",
    "check_leak",
    "cut_slides",
    "draw_contact_sheet",
    "import_folder",
    "qc_folder",
    "read_report",
    "require_no_leak",
    "split_tiles",
    "summary_table",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    homes = {"cut_slides": "cutting", "qc_folder": "cutting_report", "read_report": "cutting_report"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{homes[name]}"), name)
