"""TileSets: folders of labelled tiles, cut or imported, split, and checked for data leakage.

Names load what they need when first used: only augmentation needs torch.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.tiles.card import Origin, TileSetCard
    from hviskd.tiles.cifar import import_cifar
    from hviskd.tiles.fitting import ImportSettings
    from hviskd.tiles.importing import import_folder
    from hviskd.tiles.joining import UnlabelledTiles, join_unlabelled
    from hviskd.tiles.leaks import Crossing, LeakReport, check_leak, require_no_leak
    from hviskd.tiles.overview import draw_contact_sheet, summary_table
    from hviskd.tiles.rows import TileSource
    from hviskd.tiles.source_csv import CsvColumns
    from hviskd.tiles.splitting import split_tiles
    from hviskd.tiles.tileset import TileSet
    from hviskd.tiles.writing import TileSetWriter, new_card

_HOMES = {
    "Crossing": "leaks",
    "CsvColumns": "source_csv",
    "ImportSettings": "fitting",
    "LeakReport": "leaks",
    "Origin": "card",
    "TileSet": "tileset",
    "TileSetCard": "card",
    "TileSetWriter": "writing",
    "TileSource": "rows",
    "UnlabelledTiles": "joining",
    "check_leak": "leaks",
    "draw_contact_sheet": "overview",
    "import_cifar": "cifar",
    "import_folder": "importing",
    "join_unlabelled": "joining",
    "new_card": "writing",
    "require_no_leak": "leaks",
    "split_tiles": "splitting",
    "summary_table": "overview",
}

__all__ = [
    "Crossing",
    "CsvColumns",
    "ImportSettings",
    "LeakReport",
    "Origin",
    "TileSet",
    "TileSetCard",
    "TileSetWriter",
    "TileSource",
    "UnlabelledTiles",
    "check_leak",
    "draw_contact_sheet",
    "import_cifar",
    "import_folder",
    "join_unlabelled",
    "new_card",
    "require_no_leak",
    "split_tiles",
    "summary_table",
]

__getattr__ = load_on_use(__name__, _HOMES)
