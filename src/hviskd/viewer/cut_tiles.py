"""The tiles of a TileSet where they were cut from the slides of a viewer."""

from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from hviskd.colours import class_colours
from hviskd.tiles import TileSet
from hviskd.viewer.shelf import ShelfSlide

_PLACES = ["x_px", "y_px", "side_px"]


class CutTiles:
    """Looks up a slide's tiles by its name, with or without the file's ending.

    Args:
        tileset: The TileSet; None: there are no tiles.
    """

    def __init__(self, tileset: TileSet | None = None) -> None:
        self._tileset = tileset

    def there(self, which: ShelfSlide) -> bool:
        """Return whether a slide has tiles whose places are known."""
        return len(self._of(which)) > 0

    def folder(self) -> set[Path]:
        """Return the folder that the TileSet's folder is in."""
        return set() if self._tileset is None else {self._tileset.folder.parent}

    def told(self, which: ShelfSlide) -> dict[str, Any] | None:
        """Return a slide's tiles for the page: places in level-0 px, classes (−1 without a label) and splits; or None.

        Column by column, for there may be a hundred thousand.
        """
        rows = self._of(which)
        if self._tileset is None or not len(rows):
            return None
        classes = self._tileset.classes
        colours = self._tileset.card.colours or class_colours(len(classes))
        labels = pd.Index(classes).get_indexer(pd.Index(rows["class"])) if classes else [-1] * len(rows)
        return {
            "name": self._tileset.folder.name,
            "classes": [{"name": name, "colour": list(each)} for name, each in zip(classes, colours, strict=True)],
            **{name.removesuffix("_px"): rows[name].astype(int).tolist() for name in _PLACES},
            "class": [int(label) for label in labels],
            "split": rows["split"].fillna("").tolist(),
        }

    def _of(self, which: ShelfSlide) -> pd.DataFrame:
        found = [self._by_slide[name] for name in (which.path.name, which.path.stem) if name in self._by_slide]
        return found[0] if found else pd.DataFrame()

    @cached_property
    def _by_slide(self) -> dict[str, pd.DataFrame]:
        if self._tileset is None:
            return {}
        table = self._tileset.table[["slide", "class", "split", *_PLACES]].dropna(subset=["slide", *_PLACES])
        return {str(name): rows for name, rows in table.groupby("slide")}
