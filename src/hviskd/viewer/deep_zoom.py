"""The geometry of deep zoom: which rectangle of a slide a tile of a level shows. Pure arithmetic.

The last level is the slide itself, each one before it half as large, and level 0 a single px, as in Microsoft's Deep
Zoom, which OpenSeadragon counts by. Tiles do not overlap.
"""

from dataclasses import dataclass
from typing import NamedTuple

TILE_PX = 256


class TilePlace(NamedTuple):
    """What a tile shows: its corner in level-0 px, its size in its own px, and how many level-0 px one of them is."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int
    reduction: int


@dataclass(frozen=True)
class DeepZoom:
    """The levels of a picture.

    Attributes:
        width_px: Of the picture.
        height_px: Of the picture.
        tile_px: Side of the tiles.
    """

    width_px: int
    height_px: int
    tile_px: int = TILE_PX

    @property
    def last_level(self) -> int:
        """The number of the level that is the picture itself."""
        return (max(self.width_px, self.height_px) - 1).bit_length()

    def size(self, level: int) -> tuple[int, int]:
        """Return width and height of a level in its px; what is left of a px at the edge is one."""
        reduction = 2 ** (self.last_level - level)
        return -(-self.width_px // reduction), -(-self.height_px // reduction)

    def tile(self, level: int, column: int, row: int) -> TilePlace | None:
        """Return what a tile shows; None where there is no such tile. At the right and lower edge tiles are cut off."""
        if not 0 <= level <= self.last_level or min(column, row) < 0:
            return None
        width_px, height_px = self.size(level)
        left, top = column * self.tile_px, row * self.tile_px
        if left >= width_px or top >= height_px:
            return None
        reduction = 2 ** (self.last_level - level)
        return TilePlace(
            left * reduction,
            top * reduction,
            min(self.tile_px, width_px - left),
            min(self.tile_px, height_px - top),
            reduction,
        )
