"""TileSets: folders of labelled tiles, made from class folders, divided into splits, and checked for leaks.

Augmentation stands in modules that this one does not import, since it alone needs torch.
"""

from hviskd.tiles.card import Origin, TileSetCard
from hviskd.tiles.importing import import_folder
from hviskd.tiles.leaks import Crossing, LeakReport, check_leak, require_no_leak
from hviskd.tiles.overview import draw_contact_sheet, summary_table
from hviskd.tiles.splitting import split_tiles
from hviskd.tiles.tileset import TileSet
from hviskd.tiles.writing import TileSetWriter

__all__ = [
    "Crossing",
    "LeakReport",
    "Origin",
    "TileSet",
    "TileSetCard",
    "TileSetWriter",
    "check_leak",
    "draw_contact_sheet",
    "import_folder",
    "require_no_leak",
    "split_tiles",
    "summary_table",
]
