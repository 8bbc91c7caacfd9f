"""Counts the colours of masks before anything is cut from them, and says what a legend makes of each."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hviskd.annotations.colours import TRANSPARENT, unpack_codes
from hviskd.annotations.legend import Legend
from hviskd.annotations.masks import DEFAULT_TOLERANCE, ColourDecoder
from hviskd.annotations.pixels import MaskPixels
from hviskd.errors import DataError
from hviskd.storage import atomic_file

MASK_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
SMALL_PX = 1_000_000  # below this, sorting the pixels is faster than walking through all colours there are


@dataclass(frozen=True, eq=False)
class Census:
    """The colours of some masks, the widest first.

    Attributes:
        legend: The legend they were compared with.
        tolerance: The greatest RGB distance at which a colour has a class.
        colours: (K, 3) uint8 RGB.
        area_px: (K,) int64, mask px of each colour.
        nearest: (K,) uint8, index in `legend.names` of the class with the nearest colour.
        distance: (K,) float64, Euclidean RGB distance to that colour.
        transparent_px: Mask px that show nothing.
        failed: Why a mask could not be read, by path.
    """

    legend: Legend
    tolerance: float
    colours: np.ndarray
    area_px: np.ndarray
    nearest: np.ndarray
    distance: np.ndarray
    transparent_px: int
    failed: dict[Path, str]

    @property
    def total_px(self) -> int:
        """All mask px counted, transparent ones included."""
        return int(self.area_px.sum()) + self.transparent_px

    @cached_property
    def share(self) -> np.ndarray:
        """(K,) float64: each colour's share of all px."""
        return self.area_px / max(1, self.total_px)

    def class_areas(self) -> dict[str, int]:
        """Give the px of each class of the legend, in its order, within the tolerance."""
        known = self.distance <= self.tolerance
        areas = np.bincount(self.nearest[known], weights=self.area_px[known], minlength=len(self.legend.names))
        return dict(zip(self.legend.names, areas.astype(np.int64).tolist(), strict=True))

    def rows(self, limit: int | None = None) -> Iterator[tuple[str, int, float, str, float]]:
        """Go through the colours, the widest first: #RRGGBB, px, share, nearest class, distance."""
        for place in range(len(self.area_px))[:limit]:
            red, green, blue = self.colours[place].tolist()
            name = self.legend.names[self.nearest[place]]
            area, share, distance = self.area_px[place], self.share[place], self.distance[place]
            yield f"#{red:02X}{green:02X}{blue:02X}", int(area), float(share), name, float(distance)

    def write_csv(self, path: Path) -> Path:
        """Write every colour with its area, share, nearest class, distance and whether that is near enough."""
        with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["colour", "area_px", "share", "nearest_class", "distance", "within_tolerance"])
            for colour, area, share, name, distance in self.rows():
                near = distance <= self.tolerance
                writer.writerow([colour, area, f"{share:.9f}", name, f"{distance:.3f}", near])
        return path


def find_masks(path: Path, pattern: str = "*") -> list[Path]:
    """Give a mask itself, or the pictures of a folder whose name fits the pattern, in order.

    Raises:
        DataError: There is none.
    """
    if path.is_file():
        return [path]
    try:
        masks = sorted(p for p in path.glob(pattern) if p.suffix.lower() in MASK_SUFFIXES and p.is_file())
    except (ValueError, NotImplementedError) as error:
        raise DataError(f"`pattern={pattern!r}`: no pattern of names in a folder, such as *_L.png ({error})") from error
    if not masks:
        raise DataError(f"{path}: no mask file and no folder of PNG, JPEG or TIFF masks named {pattern}")
    return masks


def take_census(
    masks: Sequence[Path],
    legend: Legend,
    *,
    tolerance: float = DEFAULT_TOLERANCE,
    advance: Callable[..., None] | None = None,
) -> Census:
    """Count the colours of masks of any size, in the memory that the 2²⁴ colours there are can take.

    A mask that cannot be read is listed in `failed`, and those before and after it are counted.

    Args:
        masks: PNG, JPEG or TIFF files.
        legend: What to compare the colours with.
        tolerance: See `ColourDecoder`.
        advance: Called once a mask; see `hviskd.progress`.
    """
    counts = np.zeros(TRANSPARENT + 1, dtype=np.int64)
    failed = {}
    for mask in masks:
        try:
            seen, area_px = _count(mask)
            counts[seen] += area_px
        except DataError as error:
            failed[mask] = str(error)
        if advance is not None:
            advance(note=mask.name)
    codes = np.flatnonzero(counts[:TRANSPARENT])
    codes = codes[np.argsort(-counts[codes], kind="stable")]
    nearest, distance = ColourDecoder(legend, tolerance).nearest(codes)
    return Census(
        legend=legend,
        tolerance=tolerance,
        colours=unpack_codes(codes),
        area_px=counts[codes],
        nearest=nearest,
        distance=distance,
        transparent_px=int(counts[TRANSPARENT]),
        failed=failed,
    )


def _count(mask: Path) -> tuple[np.ndarray, np.ndarray]:
    """Give the colour codes of a mask (K,) and the px of each (K,)."""
    pixels = MaskPixels(mask)
    if pixels.size[0] * pixels.size[1] <= SMALL_PX:
        return np.unique(np.concatenate([codes.ravel() for *_, codes in pixels.blocks()]), return_counts=True)
    counts = np.zeros(TRANSPARENT + 1, dtype=np.int64)  # pages never touched take no memory
    for *_, codes in pixels.blocks():
        np.add.at(counts, codes, 1)
    seen = np.flatnonzero(counts)
    return seen, counts[seen]
