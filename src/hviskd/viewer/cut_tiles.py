"""The tiles of a TileSet where they were cut from the slides of a viewer; pandas is loaded only where there is one."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hviskd.colours import class_colours
from hviskd.viewer.shelf import ShelfSlide

if TYPE_CHECKING:
    import pandas as pd

    from hviskd.tiles import TileSet

_PLACES = ["x_px", "y_px", "side_px"]


class CutTiles:
    """Looks up a slide's tiles by its name, with or without the file's ending.

    Args:
        tileset: A TileSet or its folder; None: there are no tiles.

    Raises:
        DataError: It is no TileSet, or damaged.
    """

    def __init__(self, tileset: "TileSet | Path | str | None" = None) -> None:
        self._tileset = None if tileset is None else _opened(tileset)

    def there(self, which: ShelfSlide) -> bool:
        """Return whether a slide has tiles whose places are known."""
        return self._of(which) is not None

    def folder(self) -> set[Path]:
        """Return the folder that the TileSet's folder is in."""
        return set() if self._tileset is None else {self._tileset.folder.parent}

    def told(self, which: ShelfSlide) -> dict[str, Any] | None:
        """Return a slide's tiles for the page: places in level-0 px, classes (−1 without a label) and splits; or None.

        Column by column, for there may be a hundred thousand.
        """
        rows = self._of(which)
        if self._tileset is None or rows is None:
            return None
        classes = self._tileset.classes
        colours = self._tileset.card.colours or class_colours(len(classes))
        labels = self._tileset.labels[rows.index] if classes else np.full(len(rows), -1)
        return {
            "name": self._tileset.folder.name,
            "classes": [{"name": name, "colour": list(each)} for name, each in zip(classes, colours, strict=True)],
            **{name.removesuffix("_px"): rows[name].astype(int).tolist() for name in _PLACES},
            "class": labels.tolist(),
            "split": rows["split"].fillna("").tolist(),
        }

    def _of(self, which: ShelfSlide) -> "pd.DataFrame | None":
        found = [self._by_slide[name] for name in (which.path.name, which.path.stem) if name in self._by_slide]
        return found[0] if found else None

    @cached_property
    def _by_slide(self) -> "dict[str, pd.DataFrame]":
        if self._tileset is None:
            return {}
        table = self._tileset.table[["slide", "class", "split", *_PLACES]].dropna(subset=["slide", *_PLACES])
        return {str(name): rows for name, rows in table.groupby("slide")}


def _opened(tileset: "TileSet | Path | str") -> "TileSet":
    from hviskd.tiles import TileSet

    return TileSet.open(tileset)
