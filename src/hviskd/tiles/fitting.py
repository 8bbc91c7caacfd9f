"""Decides which images of a folder become tiles of one size, and which square of each."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hviskd.checks import require_at_least, require_list, require_mpp
from hviskd.errors import DataError
from hviskd.tiles.rows import TileSource

Size = tuple[int, int]


@dataclass(frozen=True)
class ImportSettings:
    """Which images become tiles, and the names of their classes.

    Attributes:
        classes: Names and order of the classes; by default the folders' names in alphabetical order.
        layout: Meaning of the folder levels, for example `patient/class` or `split/class/*/slide`, if they are not
            classes, optionally below train, val and test; see `hviskd.tiles.layouts.Layout`.
        tile_px: Side of the tiles, cropped from the centre of each image; smaller images are skipped. By default the
            most common size of square images; images of another size are skipped.
        resize: Resample the largest centred square of every image to `tile_px` instead (Lanczos, antialiased).
        mpp: µm/px of the files, before `resize`, which changes that of the tiles accordingly.
        licence: Licence of the images, recorded in the TileSet and in everything made from it.

    Raises:
        DataError: A number is invalid, `classes` is not a list, or `resize` is set without `tile_px`.
    """

    classes: Sequence[str] | None = None
    layout: str | None = None
    tile_px: int | None = None
    resize: bool = False
    mpp: float | None = None
    licence: str | None = None

    def __post_init__(self) -> None:
        """Reject invalid values."""
        require_list("classes", self.classes)
        require_at_least(1, tile_px=self.tile_px)
        if self.resize and self.tile_px is None:
            raise DataError("`resize=True`: needs the size `tile_px`")
        require_mpp(self.mpp)


@dataclass(frozen=True)
class Fit:
    """How the images of one folder become tiles.

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
        """Return why an image of this width and height cannot become a tile; None if it can."""
        if self.exact and size != (self.tile_px, self.tile_px):
            return f"not {self.tile_px} × {self.tile_px} px"
        if not self.resize and min(size) < self.tile_px:
            return f"smaller than {self.tile_px} px"
        return None

    def square(self, size: Size) -> tuple[int, int, int]:
        """Return left edge, upper edge and side of the centred square of an image of this size."""
        side = min(size) if self.resize else self.tile_px
        return (size[0] - side) // 2, (size[1] - side) // 2, side

    def on_slide(self, size: Size, picture: TileSource) -> TileSource:
        """Convert an image's position on the slide to that of its square.

        The CSV's `side_px` is the picture's shorter side in level-0 px; without it the picture is at level 0.
        """
        if picture.x_px is None or picture.y_px is None:
            return picture
        left, upper, side = self.square(size)
        scale = (picture.side_px or min(size)) / min(size)
        x_px, y_px = picture.x_px + round(left * scale), picture.y_px + round(upper * scale)
        return picture._replace(x_px=x_px, y_px=y_px, side_px=max(1, round(side * scale)))


def settle_fit(folder: Path, sizes: Iterable[Size], settings: ImportSettings) -> Fit:
    """Determine tile size and µm/px from the sizes of all usable images.

    Raises:
        DataError: There is no usable picture, none is square and no tile size is given, or pictures of different
            size with one µm/px would be resampled to different µm/px.
    """
    tile_px, resize, mpp = settings.tile_px, settings.resize, settings.mpp
    counts = Counter(sizes)
    if not counts:
        raise DataError(f"{folder}: none of its images can be read")
    if tile_px is None:
        squares = {width: count for (width, height), count in counts.items() if width == height}
        if not squares:
            raise DataError(f"{folder}: no image is square; pass `tile_px` to crop a square from the centre of each")
        return Fit(max(squares, key=lambda side: (squares[side], side)), mpp, exact=True)
    if not resize or mpp is None:
        return Fit(tile_px, mpp, resize)
    sides = {min(size) for size in counts}
    if len(sides) > 1:
        raise DataError(
            f"{folder}: images of {min(sides)} to {max(sides)} px resized to {tile_px} px would differ in µm/px; "
            "omit `mpp` or `resize=True`, or import images of one size"
        )
    return Fit(tile_px, mpp * sides.pop() / tile_px, resize)
