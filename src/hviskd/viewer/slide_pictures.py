"""JPEG pictures of slides for the page: deep-zoom tiles and thumbnails, the last ones kept within a set memory.

Where a level of the file is as large as a level of the zoom, and in JPEG tiles, the file's own tiles are handed out. A
tile between the file's levels is put together from the four tiles below it, which are often asked for next.
"""

import io
import math
from collections.abc import Callable

from PIL import Image

from hviskd.slides import Slide
from hviskd.viewer.deep_zoom import TILE_PX, DeepZoom, TilePlace
from hviskd.viewer.kept import Kept
from hviskd.viewer.shelf import OpenSlides, ShelfSlide

CACHE_BYTES = 64 * 2**20
THUMBNAIL_PX = 256
_QUALITY = 90
_TILE_PX_RANGE = range(192, 513)  # of a file; of smaller ones there would be many, larger ones take long
_MOST_HALVINGS = 4  # from a level of the file; a tile further from one is read at once

Key = tuple[str, int, int, int]


def zoom_of(slide: Slide) -> DeepZoom:
    """Return the deep zoom of a slide, in tiles as large as the file's own if those can be handed out."""
    stored = slide.jpeg_tile_px(0) or TILE_PX
    return DeepZoom(*slide.size, stored if stored in _TILE_PX_RANGE else TILE_PX)


class SlidePictures:
    """Makes and keeps pictures; for any number of threads."""

    def __init__(self, slides: OpenSlides, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._slides = slides
        self._kept: Kept[Key, bytes] = Kept(cache_bytes, len)

    def kept(self, which: ShelfSlide, level: int, column: int, row: int) -> bytes | None:
        """Return a tile that was made before, if it is still there."""
        return self._kept.get((which.key, level, column, row))

    def tile(self, which: ShelfSlide, level: int, column: int, row: int) -> bytes | None:
        """Return a deep-zoom tile as JPEG; None where there is no such tile.

        Raises:
            DataError: The slide is damaged.
        """
        with self._slides.reading(which) as slide:
            zoom = zoom_of(slide)

            def tile(level: int, column: int, row: int) -> bytes | None:
                place = zoom.tile(level, column, row)
                if place is None:
                    return None
                key = which.key, level, column, row
                return self._kept.made(key, lambda: _made(slide, place, lambda at: below(level, column, row, at)))

            def below(level: int, column: int, row: int, at: tuple[int, int]) -> bytes | None:
                return tile(level + 1, 2 * column + at[0], 2 * row + at[1])

            return tile(level, column, row)

    def thumbnail(self, which: ShelfSlide) -> bytes | None:
        """Return the whole slide, at most 256 px a side, as JPEG.

        Raises:
            DataError: The slide is damaged.
        """

        def read() -> bytes:
            with self._slides.reading(which) as slide:
                return as_jpeg(Image.fromarray(slide.thumbnail(THUMBNAIL_PX)))

        return self._kept.made((which.key, -1, 0, 0), read)


def _made(slide: Slide, place: TilePlace, below: Callable[[tuple[int, int]], bytes | None]) -> bytes:
    """Make a tile; `below` gives the four of the next level that lie under it, by column and row."""
    steps = [place.reduction / level.downsample for level in slide.levels]
    nearest = min((step for step in steps if step >= 1 and math.log2(step).is_integer()), default=math.inf)
    if 2 <= nearest <= 2**_MOST_HALVINGS:
        return as_jpeg(_halved(place, below))
    stored = _stored(slide, steps.index(1), place) if nearest == 1 else None
    if stored is not None:
        return stored
    return as_jpeg(Image.fromarray(slide.read(*place[:4], slide.mpp * place.reduction)))


def _stored(slide: Slide, level: int, place: TilePlace) -> bytes | None:
    """Return the file's own tile at a place, if it shows just that."""
    side = slide.jpeg_tile_px(level)
    if side is None or (place.width_px, place.height_px) != (side, side):
        return None
    left, top = place.x_px // place.reduction, place.y_px // place.reduction
    width, height, _ = slide.levels[level]
    if left % side or top % side or left + side > width or top + side > height:
        return None
    return slide.jpeg_tile(level, left // side, top // side)


def _halved(place: TilePlace, below: Callable[[tuple[int, int]], bytes | None]) -> Image.Image:
    """Put a tile together from those below it, each halved as it is decoded."""
    picture, left = Image.new("RGB", (place.width_px, place.height_px), "white"), 0
    for column in (0, 1):
        top = width = 0
        for row in (0, 1):
            jpeg = below((column, row))
            if jpeg is None:
                continue
            part = Image.open(io.BytesIO(jpeg))
            half = -(-part.width // 2), -(-part.height // 2)
            part.draft("RGB", (max(1, part.width // 2), max(1, part.height // 2)))
            picture.paste(part if part.size == half else part.resize(half, Image.Resampling.BOX), (left, top))
            top, width = top + half[1], half[0]
        left += width
    return picture


def as_jpeg(picture: Image.Image) -> bytes:
    """Compress a picture, with all of its colour, at a quality whose loss a slide's own JPEG hides."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY, subsampling="4:4:4")
    return stream.getvalue()
