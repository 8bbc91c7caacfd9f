"""Settles which pictures of a folder can become tiles of one size, and which square of each; importing uses it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from hviskd.errors import DataError
from hviskd.tiles.identity import Identity

Size = tuple[int, int]


@dataclass(frozen=True)
class Fit:
    """How pictures become tiles.

    Attributes:
        tile_px: Side of the tiles.
        mpp: µm per tile pixel, or None if unknown.
        resize: Resample each picture's largest centred square, instead of cutting `tile_px` pixels out.
        exact: Take only pictures of the very size of a tile.
    """

    tile_px: int
    mpp: float | None
    resize: bool = False
    exact: bool = False

    def misfit(self, size: Size) -> str | None:
        """Say why a picture of this width and height cannot become a tile; None if it can."""
        if self.exact and size != (self.tile_px, self.tile_px):
            return f"not {self.tile_px} × {self.tile_px} px"
        if not self.resize and min(size) < self.tile_px:
            return f"smaller than {self.tile_px} px"
        return None

    def square(self, size: Size) -> tuple[int, int, int]:
        """Give left edge, upper edge and side of the centred square that is taken of a picture of this size."""
        side = min(size) if self.resize else self.tile_px
        return (size[0] - side) // 2, (size[1] - side) // 2, side

    def on_slide(self, size: Size, picture: Identity) -> Identity:
        """Move what is known of a picture's place on the slide to the square that is taken of it.

        The CSV's `side_px` is the picture's shorter side in level-0 px; without it the picture is at level 0.
        """
        if picture.x_px is None or picture.y_px is None:
            return picture
        left, upper, side = self.square(size)
        scale = (picture.side_px or min(size)) / min(size)
        x_px, y_px = picture.x_px + round(left * scale), picture.y_px + round(upper * scale)
        return replace(picture, x_px=x_px, y_px=y_px, side_px=max(1, round(side * scale)))


def settle_fit(folder: Path, sizes: Iterable[Size], *, tile_px: int | None, resize: bool, mpp: float | None) -> Fit:
    """Settle tile size and µm/px from the sizes of all usable pictures; the options are those of `import_folder`.

    Raises:
        DataError: There is no usable picture, none is square and no tile size is given, or pictures of different
            size with one µm/px would be resampled to different µm/px.
    """
    counts = Counter(sizes)
    if not counts:
        raise DataError(f"{folder}: not one picture in it can be read")
    if tile_px is None:
        squares = {width: count for (width, height), count in counts.items() if width == height}
        if not squares:
            raise DataError(f"{folder}: no picture is square; pass `tile_px` to take a square from each one's middle")
        return Fit(max(squares, key=lambda side: (squares[side], side)), mpp, exact=True)
    if not resize or mpp is None:
        return Fit(tile_px, mpp, resize)
    sides = {min(size) for size in counts}
    if len(sides) > 1:
        raise DataError(
            f"{folder}: pictures of {min(sides)} to {max(sides)} px resized to {tile_px} px would differ in µm/px; "
            "leave `mpp` or `resize=True` out, or import pictures of one size"
        )
    return Fit(tile_px, mpp * sides.pop() / tile_px, resize)
