"""The common interface of all slides: any rectangle at any µm/px, as RGB pixels.

A reader subclasses `Slide` and returns pixels of its levels; geometry, resampling and padding are implemented here.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self, TypedDict

import numpy as np
from PIL import Image

from hviskd.arrays import RGB
from hviskd.errors import DataError
from hviskd.slide_frame import Glass, SlideFrame
from hviskd.slides.icc import SrgbConversion, profile_name

MAX_SIDE_PX = 2_000_000  # a whole glass slide, 76 mm, at 0.04 µm/px; a file that claims more is damaged
_MAX_ASPECT = 100  # a glass slide has 3; of a picture one px wide, a thumbnail would be made of white beside it
_BLOCK_PX = 2048  # side of what is decoded at a time, so that a read of any size takes little memory
_NOTEBOOK_PX = 480
_FINER = 1.01  # a level this little too coarse still counts as fine enough


class Level(NamedTuple):
    """One level of the image pyramid: its size, and its downsample factor."""

    width_px: int
    height_px: int
    downsample: float


class SlideFacts(TypedDict):
    """The metadata of a slide that may be shown: sizes in level-0 px, µm/px, and notes for the user."""

    width_px: int
    height_px: int
    mpp: float
    vendor: str
    magnification: float | None
    levels: list[Level]
    icc: str | None
    notes: list[str]


class Slide(ABC):
    """An open slide. Coordinates are level-0 px, x before y; images are RGB uint8 (height, width, 3).

    A slide may be read from several threads at once. It is a context manager.

    Attributes:
        path: The file.
        levels: The pyramid; level 0 first, the finest.
        mpp: µm a level-0 px.
        vendor: Who wrote the file, in OpenSlide's words, or the kind of flat image.
        magnification: Of the objective, where recorded.
        notes: What a user should know about these facts, a sentence each.
        origin_px: Corner of the scanned part, x and y in level-0 px; QuPath counts from there.
        scan_size: Width and height of the scanned part in level-0 px; the slide's, if the file states none.
        icc: The ICC colour profile of the file, by `profile_name`.
        glass: Where points on the glass lie, if the file states it.
    """

    glass: Glass | None = None

    def __init__(  # noqa: PLR0913 - what a file states of itself; readers call it, users open_slide
        self,
        path: Path,
        *,
        levels: Sequence[Level],
        mpp: float,
        vendor: str,
        magnification: float | None = None,
        notes: Sequence[str] = (),
        origin_px: tuple[int, int] = (0, 0),
        scan_size: tuple[int, int] | None = None,
        icc: bytes | None = None,
    ) -> None:
        short_px, long_px = sorted(levels[0][:2])
        if not 0 < short_px <= long_px <= min(MAX_SIDE_PX, _MAX_ASPECT * short_px):
            raise DataError(
                f"{path}: damaged (claims {levels[0].width_px} × {levels[0].height_px} px); copy or download it again"
            )
        self.path = path
        self.levels = tuple(levels)
        self.mpp = mpp
        self.vendor = vendor
        self.magnification = magnification
        self.notes = tuple(notes)
        self.origin_px = origin_px
        self.scan_size = scan_size or self.size
        self.icc = profile_name(icc)
        self._profile = icc
        self._to_srgb: SrgbConversion | None = None
        self._closed = False
        self.when_closed: Callable[[], None] = lambda: None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in level-0 px."""
        return self.levels[0][:2]

    @property
    def in_srgb(self) -> bool:
        """Whether pixels are converted to sRGB by the file's ICC profile; if not, they are given as stored."""
        return self._to_srgb is not None

    def convert_to_srgb(self) -> None:
        """Convert all pixels read from now on to sRGB by the file's ICC profile; a note says if none can be applied."""
        if not self._profile:
            self.notes = (*self.notes, "no ICC colour profile: pixels are read as stored")
            return
        try:
            self._to_srgb = SrgbConversion(self._profile)
        except ValueError:
            self.notes = (
                *self.notes,
                f"its ICC colour profile, {self.icc}, cannot be applied: pixels are read as stored",
            )

    def frame(self, *, no_crop: bool = False) -> SlideFrame:
        """Return where other programs count px from on this slide; `no_crop`: see `SlideFrame`."""
        return SlideFrame(self.size, self.origin_px, self.scan_size, no_crop, self.glass, self.mpp)

    def read(self, x_px: float, y_px: float, width_px: int, height_px: int, mpp: float | None = None) -> RGB:
        """Read a rectangle.

        At the slide's own µm/px the pixels are exactly the file's (x and y are rounded to whole px). At any other
        they are the nearest finer level, resampled once with a filter as wide as the reduction (a Hamming
        window; bicubic where the slide has to be enlarged), whose support reaches beyond the rectangle: rectangles
        side by side meet as if they had been read in one. Outside the slide all is white.

        Args:
            x_px: Left edge in level-0 px; may be negative or fractional.
            y_px: Top edge in level-0 px.
            width_px: Width of the result, in px of `mpp`.
            height_px: Height of the result, in px of `mpp`.
            mpp: µm a px of the result; the slide's own if not given.

        Returns:
            Pixels, uint8 (height_px, width_px, 3).

        Raises:
            DataError: The file is damaged there.
            ValueError: The rectangle is empty, `mpp` is not a positive number, or the slide is closed.
        """
        if self._closed:
            raise ValueError(f"{self.path}: is closed")
        if width_px < 1 or height_px < 1:
            raise ValueError(f"nothing to read in {width_px} × {height_px} px")
        mpp = self.mpp if mpp is None else mpp
        if not (mpp > 0 and math.isfinite(mpp)):
            raise ValueError(f"mpp must be a positive number, not {mpp}")
        reduction = mpp / self.mpp
        if math.isclose(reduction, 1, rel_tol=1e-6):
            reduction, x_px, y_px = 1.0, math.floor(x_px + 0.5), math.floor(y_px + 0.5)
        level = self._level_for(reduction)
        downsample = self.levels[level].downsample
        step = reduction / downsample
        left, top = x_px / downsample, y_px / downsample
        side = max(1, int(_BLOCK_PX / step))
        pixels: RGB = np.empty((height_px, width_px, 3), np.uint8)
        for row in range(0, height_px, side):
            for col in range(0, width_px, side):
                block = pixels[row : row + side, col : col + side]
                size = block.shape[1], block.shape[0]
                block[:] = self._resampled(level, left + col * step, top + row * step, step, size)
        return pixels

    def thumbnail(self, max_px: int) -> RGB:
        """Return the whole slide, reduced so that its longer side is at most `max_px`; never enlarged."""
        reduction = max(1.0, max(self.size) / max_px)
        width_px, height_px = (max(1, round(side / reduction)) for side in self.size)
        return self.read(0, 0, width_px, height_px, self.mpp * reduction)

    def jpeg_tile_px(self, level: int) -> int | None:
        """Return the side of a level's tiles, if they are square JPEGs that show what `read` gives; None otherwise."""
        return None if self.in_srgb else self._stored_px(level)

    def jpeg_tile(self, level: int, column: int, row: int) -> bytes | None:
        """Return a tile of a level as it is stored, a JPEG without notes; None where it is stored in another way.

        Raises:
            DataError: The file cannot be read.
        """
        if self.jpeg_tile_px(level) is None:
            return None
        try:
            return self._stored_jpeg(level, column, row)
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror or error}") from error

    def facts(self) -> SlideFacts:
        """Return the metadata of a slide that may be shown, ready for JSON; no other metadata of the file is passed on.

        Scanners write names, dates, users and barcodes into slides: those stay where they are.
        """
        return SlideFacts(
            width_px=self.size[0],
            height_px=self.size[1],
            mpp=self.mpp,
            vendor=self.vendor,
            magnification=self.magnification,
            levels=list(self.levels),
            icc=self.icc,
            notes=list(self.notes),
        )

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        width_um, height_um = (side * self.mpp for side in self.size)
        told = show.paragraph(
            f"{self.path.name}: {self.size[0]:,} × {self.size[1]:,} px at {self.mpp:.4g} µm/px",
            f"{width_um / 1000:.3g} × {height_um / 1000:.3g} mm",
            self.vendor,
            "" if self.magnification is None else f"{self.magnification:g}×",
            "closed" if self._closed else "",
        )
        notes = "".join(show.paragraph(note) for note in self.notes)
        return told + notes + ("" if self._closed else show.picture(self.thumbnail(_NOTEBOOK_PX), self.path.name))

    @abstractmethod
    def verify(self) -> None:
        """Read what would be missing in a truncated file.

        Raises:
            DataError: The file is damaged.
        """

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._release()
        self.when_closed()

    @abstractmethod
    def _release(self) -> None:
        """Close the file."""

    def _stored_px(self, level: int) -> int | None:
        """Return the side of a level's tiles, if they are square JPEGs; readers that know say so."""
        return None

    def _stored_jpeg(self, level: int, column: int, row: int) -> bytes | None:
        """Return a tile as a JPEG that stands alone."""
        return None

    @abstractmethod
    def _level_region(self, level: int, x: int, y: int, width: int, height: int) -> RGB:
        """Read a rectangle inside a level, in px of that level."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _level_for(self, reduction: float) -> int:
        """Find the coarsest level that is fine enough."""
        fine = [i for i, level in enumerate(self.levels) if level.downsample <= reduction * _FINER]
        return max(fine, key=lambda i: self.levels[i].downsample, default=0)

    def _resampled(self, level: int, left: float, top: float, step: float, size: tuple[int, int]) -> RGB:
        """Make `size` px from the level's px starting at (left, top), `step` of them for each."""
        width, height = size
        if step == 1 and left.is_integer() and top.is_integer():
            return self._padded(level, int(left), int(top), width, height)
        enlarges = step * _FINER < 1
        margin = math.ceil(2 if enlarges else step * _FINER) + 1
        x, y = math.floor(left) - margin, math.floor(top) - margin
        right, bottom = left + width * step, top + height * step
        source = Image.fromarray(
            self._padded(level, x, y, math.ceil(right) + margin - x, math.ceil(bottom) + margin - y)
        )
        method = Image.Resampling.BICUBIC if enlarges else Image.Resampling.HAMMING
        return np.asarray(source.resize(size, method, box=(left - x, top - y, right - x, bottom - y)))

    def _padded(self, level: int, x: int, y: int, width: int, height: int) -> RGB:
        """Read a rectangle of a level that may extend beyond it; the area around a slide is white."""
        x0, y0 = max(x, 0), max(y, 0)
        x1 = min(x + width, self.levels[level].width_px)
        y1 = min(y + height, self.levels[level].height_px)
        if (x0, y0, x1, y1) == (x, y, x + width, y + height):
            return self._coloured(level, x, y, width, height)
        canvas: RGB = np.full((height, width, 3), 255, np.uint8)
        if x0 < x1 and y0 < y1:
            canvas[y0 - y : y1 - y, x0 - x : x1 - x] = self._coloured(level, x0, y0, x1 - x0, y1 - y0)
        return canvas

    def _coloured(self, level: int, x: int, y: int, width: int, height: int) -> RGB:
        pixels = self._level_region(level, x, y, width, height)
        return pixels if self._to_srgb is None else self._to_srgb(pixels)
