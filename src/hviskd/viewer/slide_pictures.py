"""JPEG pictures of slides for the page: deep-zoom tiles and thumbnails, the last ones kept within a set memory."""

import io
import threading
from collections.abc import Callable

from cachetools import LRUCache
from PIL import Image

from hviskd.arrays import RGB
from hviskd.viewer.deep_zoom import DeepZoom
from hviskd.viewer.shelf import OpenSlides, ShelfSlide

CACHE_BYTES = 64 * 2**20
THUMBNAIL_PX = 256
_QUALITY = 88

Key = tuple[str, int, int, int]


class SlidePictures:
    """Makes and keeps pictures; for any number of threads."""

    def __init__(self, slides: OpenSlides, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._slides = slides
        self._kept: LRUCache[Key, bytes] = LRUCache(cache_bytes, getsizeof=len)
        self._lock = threading.Lock()

    def kept(self, which: ShelfSlide, level: int, column: int, row: int) -> bytes | None:
        """Return a tile that was made before, if it is still there."""
        with self._lock:
            return self._kept.get((which.key, level, column, row))

    def tile(self, which: ShelfSlide, level: int, column: int, row: int) -> bytes | None:
        """Return a deep-zoom tile as JPEG; None where there is no such tile.

        Raises:
            DataError: The slide is damaged.
        """

        def read() -> RGB | None:
            with self._slides.reading(which) as slide:
                place = DeepZoom(*slide.size).tile(level, column, row)
                if place is None:
                    return None
                return slide.read(*place[:4], slide.mpp * place.reduction)

        return self._made((which.key, level, column, row), read)

    def thumbnail(self, which: ShelfSlide) -> bytes | None:
        """Return the whole slide, at most 256 px a side, as JPEG.

        Raises:
            DataError: The slide is damaged.
        """

        def read() -> RGB:
            with self._slides.reading(which) as slide:
                return slide.thumbnail(THUMBNAIL_PX)

        return self._made((which.key, -1, 0, 0), read)

    def _made(self, key: Key, read: Callable[[], RGB | None]) -> bytes | None:
        with self._lock:
            if (found := self._kept.get(key)) is not None:
                return found
        pixels = read()
        if pixels is None:
            return None
        picture = as_jpeg(pixels)
        with self._lock:
            if len(picture) <= self._kept.maxsize:
                self._kept[key] = picture
        return picture


def as_jpeg(pixels: RGB) -> bytes:
    """Compress uint8 (H, W, 3) at a quality whose loss a slide's own JPEG hides."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
