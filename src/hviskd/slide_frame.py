"""Converts between level-0 px and the coordinate systems of other programs, for all readers and writers of them.

A slide's plane may be larger than what was scanned of it: MIRAX, Leica SCN, Ventana BIF and some CZI state where the
scan lies (`openslide.bounds-*`). OpenSlide and hviskd count level-0 px from the plane's corner. QuPath crops the slide
to the scan and counts from there. An image, such as a mask or what was opened in Labelme, shows the plane or the scan;
its size tells which.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hviskd.arrays import Floats
from hviskd.errors import DataError

_ASPECT = 0.01  # relative; an image's sides may differ by so much from the slide's


class Placement(NamedTuple):
    """A program's coordinate system on a slide: its origin, and the size of its px, in level-0 px."""

    x_px: float = 0.0
    y_px: float = 0.0
    x_scale: float = 1.0
    y_scale: float = 1.0

    def to_level0(self, points: ArrayLike) -> Floats:
        """Convert a program's px, (…, 2) x before y, to level-0 px."""
        return np.asarray(points, np.float64) * (self.x_scale, self.y_scale) + (self.x_px, self.y_px)

    def from_level0(self, points: ArrayLike) -> Floats:
        """Convert level-0 px, (…, 2) x before y, to a program's px."""
        return (np.asarray(points, np.float64) - (self.x_px, self.y_px)) / (self.x_scale, self.y_scale)


@dataclass(frozen=True)
class Glass:
    """Converts physical coordinates on the glass, which some programs use, to level-0 px.

    Attributes:
        maker: Whose coordinates they are: `hamamatsu`, nm from the centre of the glass, or `dicom`, mm in the slide's
            coordinate system.
        x: A level-0 x px is the first number times x on the glass, plus the second times y there, plus the third.
        y: The same for y px.
        image: The UID of level 0, in DICOM.
    """

    maker: str
    x: tuple[float, float, float]
    y: tuple[float, float, float]
    image: str = ""

    def to_level0(self, points: ArrayLike) -> Floats:
        """Convert points on the glass, (N, 2) x before y, to level-0 px."""
        turned = np.array([self.x, self.y])
        return np.asarray(points, np.float64).reshape(-1, 2) @ turned[:, :2].T + turned[:, 2]


@dataclass(frozen=True)
class SlideFrame:
    """The pixel plane of a slide, and the part of it that was scanned.

    Attributes:
        size: Width and height of the plane, in level-0 px.
        origin_px: The scan's corner, x and y in level-0 px.
        scan_size: Width and height of the scan in level-0 px; None where it is unknown, or is the whole plane.
        no_crop: Everything counts from the plane's corner, as in QuPath when it was started with --no-crop.
        glass: Where points on the glass lie, for programs that count from there; None where the slide does not say.
        mpp: µm a level-0 px, where known; some files tell at how many they were drawn.
    """

    size: tuple[int, int]
    origin_px: tuple[int, int] = (0, 0)
    scan_size: tuple[int, int] | None = None
    no_crop: bool = False
    glass: Glass | None = None
    mpp: float | None = None

    def __str__(self) -> str:
        """Describe the slide for messages."""
        whole = _told(self.size)
        return whole if self._scan in (None, self.size) else f"{whole}, of which {_told(self._scan)} were scanned"

    def outlines(self) -> Placement:
        """Return the coordinate system of outlines drawn in QuPath."""
        return Placement() if self.no_crop else Placement(*self.origin_px)

    def drawing(self, size: tuple[int, int]) -> Placement | None:
        """Return the coordinate system of an image at full resolution; None if it has the size of neither part."""
        if size == self.size:
            return Placement()
        return Placement(*self.origin_px) if size == self._scan else None

    def image(self, size: tuple[int, int]) -> Placement | None:
        """Return the coordinate system of an image of any resolution; None if it has the shape of neither part.

        If both parts have its shape, it shows the one that it reduces by a whole number.

        Raises:
            DataError: It may show either part.
        """
        if (place := self.drawing(size)) is not None:
            return place
        if self.origin_px != (0, 0) and not self.no_crop and self.scan_size is None:
            raise DataError(
                f"an image of {_told(size)} may show the whole slide or the scanned part, whose size the slide's map "
                "does not state; segment the slide again"
            )
        parts = [Placement(*corner, *_scale(size, part)) for corner, part in self._parts() if _has_shape(size, part)]
        if len(parts) > 1:
            reduced = [
                Placement(*corner, *_scale(size, part)) for corner, part in self._parts() if _reduces(size, part)
            ]
            if len(reduced) != 1:
                raise DataError(
                    f"an image of {_told(size)} may show the whole slide or the scanned part ({self}); export it at "
                    "full resolution, or pass `no_crop=True` if it shows the whole slide"
                )
            parts = reduced
        return parts[0] if parts else None

    @property
    def _scan(self) -> tuple[int, int] | None:
        return None if self.no_crop else self.scan_size

    def _parts(self) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """Return the corner and the size of the plane and of the scan, if that is another."""
        plane = ((0, 0), self.size)
        return [plane] if self._scan in (None, self.size) else [plane, (self.origin_px, self._scan)]


def _scale(size: tuple[int, int], part: tuple[int, int]) -> tuple[float, float]:
    return part[0] / size[0], part[1] / size[1]


def _has_shape(size: tuple[int, int], part: tuple[int, int]) -> bool:
    """Return whether an image has the shape of a part; its sides are whole px, so each may be off by half of one."""
    across, down = _scale(size, part)
    return abs(math.log(across / down)) <= 1 / min(size) + _ASPECT


def _reduces(size: tuple[int, int], part: tuple[int, int]) -> bool:
    """Return whether an image is a part reduced by a whole number, a broken last px kept or dropped."""
    factor = max(1, round(max(_scale(size, part))))
    pairs = zip(size, part, strict=True)
    return all(math.floor(whole / factor) <= side <= math.ceil(whole / factor) for side, whole in pairs)


def _told(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]} px"
