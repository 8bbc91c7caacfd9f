"""Slides read by OpenSlide: Aperio, Hamamatsu, MIRAX, Leica, Ventana, Philips, Zeiss, DICOM, and more.

`open_slide` makes them.
"""

import contextlib
import re
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import openslide
from PIL import Image, ImageCms

from hviskd.arrays import RGB
from hviskd.errors import DataError
from hviskd.rgb_images import on_white
from hviskd.slides.compressions import compression_name
from hviskd.slides.glass import glass_of
from hviskd.slides.ordinary_tiles import OrdinaryLevel
from hviskd.slides.pyramid import pyramid_levels
from hviskd.slides.resolution import settle_mpp
from hviskd.slides.slide import Level, Slide
from hviskd.slides.tiff_tiles import find_ordinary_tiles, has_growing_grid, longest_tile

CACHE_BYTES = 128 * 2**20  # four times OpenSlide's own: two rows of 256 px tiles across a slide of 60,000 px
_GRID_PX = 512
_PLAIN_VENDORS = ("aperio",)  # of whose levels each is one picture in the file, tile by tile
_UNREAD_COMPRESSION = re.compile(r"Unsupported TIFF compression: (\d+)")
_MAX_TILE_PX = 2**28  # 1 GB; for a tile that a damaged header makes larger, OpenSlide ends the whole process


class OpenSlideFile(Slide):
    """A slide read by OpenSlide; label and macro images, which may show names, are never read."""

    def __init__(self, path: Path, *, slide_mpp: float | None = None) -> None:
        """Open a slide.

        Raises:
            DataError: The file is damaged, of a kind that OpenSlide does not know, or its µm/px is missing or absurd
                and `slide_mpp` does not give it.
        """
        # Either would have OpenSlide end the whole process: for lack of memory, or dividing by the tiles' quotient.
        if longest_tile(path) > path.stat().st_size:
            raise _damaged(path, "a tile longer than the file")
        if openslide.OpenSlide.detect_format(path) == "aperio" and has_growing_grid(path):
            raise _damaged(path, "a level with more tiles than the previous one")
        self._handle = _open_handle(path)
        self._renewal = threading.Lock()
        try:
            vendor = self._handle.properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown")
            magnification = _property_number(self._handle, openslide.PROPERTY_NAME_OBJECTIVE_POWER)
            recorded_x = _property_number(self._handle, openslide.PROPERTY_NAME_MPP_X)
            recorded_y = _property_number(self._handle, openslide.PROPERTY_NAME_MPP_Y)
            self._downsamples = self._handle.level_downsamples
            levels = pyramid_levels(self._handle.level_dimensions)
            origin_px, scan_size = _bounds(self._handle)
            icc = _icc(self._handle)
            self.glass = glass_of(self._handle.properties, self._handle.dimensions)
            tile_px = max(_tile_px(self._handle, number) for number in range(len(levels)))
        except openslide.OpenSlideError as error:
            raise _damaged(path, error) from error
        if tile_px > _MAX_TILE_PX:
            raise _damaged(path, f"a tile of {tile_px:.2g} px")
        recorded = None if recorded_x is None or recorded_y is None else (recorded_x, recorded_y)
        try:
            mpp, notes = settle_mpp(path, recorded, slide_mpp)
        except DataError:
            _probe(path, levels)  # of a truncated file, say that it is damaged, not what it lacks
            raise
        self._ordinary_levels = (
            _ordinary_levels(path, self._handle) if vendor in _PLAIN_VENDORS else [None] * len(levels)
        )
        super().__init__(
            path,
            levels=levels,
            mpp=mpp,
            vendor=vendor,
            magnification=magnification,
            notes=notes,
            origin_px=origin_px,
            scan_size=scan_size,
            icc=icc,
        )

    def verify(self) -> None:
        """Read the end of every level, which is missing in a truncated file.

        Raises:
            DataError: The file is damaged.
        """
        _probe(self.path, self.levels)

    def _release(self) -> None:
        self._handle.close()
        for level in self._ordinary_levels:
            if level is not None:
                level.forget()

    def _stored_px(self, level: int) -> int | None:
        stored = self._ordinary_levels[level]
        return None if stored is None else stored.jpeg_px

    def _stored_jpeg(self, level: int, column: int, row: int) -> bytes | None:
        stored = self._ordinary_levels[level]
        return None if stored is None else stored.jpeg(column, row)

    def _level_region(self, level: int, x: int, y: int, width: int, height: int) -> RGB:
        decoded = self._ordinary_levels[level]
        pixels = None if decoded is None else decoded.region(x, y, width, height)
        return np.asarray(self._drawn(level, x, y, width, height)) if pixels is None else pixels

    def _drawn(self, level: int, x: int, y: int, width: int, height: int) -> Image.Image:
        """Read a rectangle inside a level with OpenSlide, in px of that level."""
        downsample = self._downsamples[level]
        if downsample.is_integer():
            return self._read(level, x * int(downsample), y * int(downsample), width, height)
        # OpenSlide takes its place in level-0 px. Where its downsample is no whole number (4.0001, since a level's
        # size is rounded), no place hits a level's px exactly, and it interpolates with another blur at each place.
        # Reading the squares of one fixed grid gives a px the same value, whatever rectangle it is read with.
        region = Image.new("RGB", (width, height))
        for top in range(y - y % _GRID_PX, y + height, _GRID_PX):
            for left in range(x - x % _GRID_PX, x + width, _GRID_PX):
                square_width = min(_GRID_PX, self.levels[level].width_px - left)
                square_height = min(_GRID_PX, self.levels[level].height_px - top)
                corner = round(left * downsample), round(top * downsample)
                region.paste(self._read(level, *corner, square_width, square_height), (left - x, top - y))
        return region

    def _read(self, level: int, x_px: int, y_px: int, width: int, height: int) -> Image.Image:
        """Read from `x_px`, `y_px` in level-0 px; a handle that fails is replaced, since it would fail from then on."""
        handle = self._handle
        try:
            return on_white(handle.read_region((x_px, y_px), level, (width, height)))
        except openslide.OpenSlideError:
            pass  # perhaps another thread's fault: try once more, with a handle that no other thread can spoil
        try:
            self._renew(handle)
            with contextlib.closing(_open_handle(self.path)) as own:
                return on_white(own.read_region((x_px, y_px), level, (width, height)))
        except openslide.OpenSlideError as error:
            where = f"at x {x_px}, y {y_px} px, level {level}"
            raise DataError(f"{self.path}: damaged {where} ({error}); copy or download it again") from error

    def _renew(self, failed: openslide.OpenSlide) -> None:
        with self._renewal:
            if self._handle is failed:  # left to the garbage collector: other threads may still be in it
                self._handle = _open_handle(self.path)


@cache
def _tile_cache() -> openslide.OpenSlideCache:
    """One cache of decoded tiles for all open slides, so that memory does not grow with the number of slides."""
    return openslide.OpenSlideCache(CACHE_BYTES)


def _open_handle(path: Path, *, cached: bool = True) -> openslide.OpenSlide:
    try:
        handle = openslide.OpenSlide(path)
    except openslide.OpenSlideError as error:
        raise _damaged(path, error) from error
    if cached:
        handle.set_cache(_tile_cache())
    return handle


def _probe(path: Path, levels: Sequence[Level]) -> None:
    """Read the last px of every level, with a separate handle, since one that fails is of no further use.

    Its tiles are not kept: those of one slide after the other would fill the common cache.
    """
    try:
        with contextlib.closing(_open_handle(path, cached=False)) as handle:
            for number, level in enumerate(levels):
                corner = int((level.width_px - 1) * level.downsample), int((level.height_px - 1) * level.downsample)
                handle.read_region(corner, number, (1, 1))
    except openslide.OpenSlideError as error:
        raise _damaged(path, error) from error


def _ordinary_levels(path: Path, handle: openslide.OpenSlide) -> list[OrdinaryLevel | None]:
    """Find the levels that can be decoded without OpenSlide: those with exactly one image of their size and tiles."""
    found = find_ordinary_tiles(path)
    levels: list[OrdinaryLevel | None] = []
    for number, size in enumerate(handle.level_dimensions):
        tile_size = _tile_size(handle, number)
        same = [picture for picture in found if (picture.size, picture.tile_size) == (size, tile_size)]
        levels.append(OrdinaryLevel(path, same[0]) if len(same) == 1 else None)
    return levels


def _property_number(handle: openslide.OpenSlide, name: str) -> float | None:
    try:
        return float(handle.properties[name])
    except (KeyError, ValueError):
        return None


def _tile_size(handle: openslide.OpenSlide, level: int) -> tuple[float, float]:
    """Return width and height of a level's tiles; 0 if unknown."""
    width, height = (_property_number(handle, f"openslide.level[{level}].tile-{side}") for side in ("width", "height"))
    return width or 0, height or 0


def _bounds(handle: openslide.OpenSlide) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """Return the corner and size of the scanned part, to which QuPath crops the slide; (0, 0), None: all of it."""
    x_px, y_px, width_px, height_px = (
        _property_number(handle, name)
        for name in (
            openslide.PROPERTY_NAME_BOUNDS_X,
            openslide.PROPERTY_NAME_BOUNDS_Y,
            openslide.PROPERTY_NAME_BOUNDS_WIDTH,
            openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
        )
    )
    if x_px is None or y_px is None or not width_px or not height_px:
        return (0, 0), None
    return (int(x_px), int(y_px)), (int(width_px), int(height_px))


def _icc(handle: openslide.OpenSlide) -> bytes | None:
    try:
        profile = handle.color_profile
    except (ImageCms.PyCMSError, OSError):
        return b"unreadable"  # as the profile is, whose bytes OpenSlide does not hand on
    return None if profile is None else profile.tobytes()


def _tile_px(handle: openslide.OpenSlide, level: int) -> float:
    width, height = _tile_size(handle, level)
    return width * height


def _damaged(path: Path, error: openslide.OpenSlideError | str) -> DataError:
    said = " ".join(str(error).split())  # libtiff and libjpeg speak in lines
    unread = _UNREAD_COMPRESSION.search(said)
    if unread is not None:
        name = compression_name(int(unread[1]))
        return DataError(
            f"{path}: compressed with {name}, which is not read here; convert it to a pyramidal TIFF in JPEG"
        )
    return DataError(f"{path}: damaged ({said}); copy or download it again")
