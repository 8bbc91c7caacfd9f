"""Counts the colours of masks, and compares them with a legend."""

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hviskd.annotations.code_counts import CodeCounts
from hviskd.annotations.colours import TRANSPARENT
from hviskd.annotations.decoders import DEFAULT_TOLERANCE, ColourDecoder, decoder_of
from hviskd.annotations.legend import Legend
from hviskd.annotations.pixels import MaskPixels
from hviskd.arrays import NO_CLASS_BYTE, Bools, Ints
from hviskd.errors import DataError
from hviskd.file_names import FLAT_SUFFIXES, Paths, list_paths
from hviskd.storage import atomic_file


@dataclass(frozen=True, eq=False)
class Census:
    """The colours of some masks, by decreasing area.

    Attributes:
        legend: The legend they were compared with.
        tolerance: The greatest RGB distance at which a colour has a class; see `ColourDecoder`.
        codes: (K,) int64, colours as 0xRRGGBB, or class numbers where the legend lists such.
        area_px: (K,) int64, mask px of each colour.
        class_px: (K,) int64, those of them that are assigned to a class.
        nearest: (K,) uint8, index in `legend.names` of the class with the nearest colour; 255 if that stands for none.
        distance: (K,) float64, Euclidean RGB distance to that colour; infinity for numbers that the legend lacks.
        transparent_px: Transparent mask px.
        failed: Why a mask could not be read, by path.
    """

    legend: Legend
    tolerance: float
    codes: np.ndarray
    area_px: np.ndarray
    class_px: np.ndarray
    nearest: np.ndarray
    distance: np.ndarray
    transparent_px: int
    failed: dict[Path, str]

    @property
    def total_px(self) -> int:
        """All mask px counted, including transparent ones."""
        return int(self.area_px.sum()) + self.transparent_px

    @cached_property
    def share(self) -> np.ndarray:
        """(K,) float64: each colour's share of all px."""
        return self.area_px / max(1, self.total_px)

    def class_areas(self) -> dict[str, int]:
        """Return the px of each class of the legend, in its order."""
        counted = self.class_px > 0
        areas = np.bincount(self.nearest[counted], weights=self.class_px[counted], minlength=len(self.legend.names))
        return dict(zip(self.legend.names, areas.astype(np.int64).tolist(), strict=True))

    def rows(self, limit: int | None = None) -> Iterator["CensusRow"]:
        """Yield the colours by decreasing area."""
        for place in range(len(self.area_px))[:limit]:
            code, nearest = int(self.codes[place]), int(self.nearest[place])
            yield CensusRow(
                colour=str(code) if self.legend.numbers else f"#{code:06X}",
                area_px=int(self.area_px[place]),
                share=float(self.share[place]),
                nearest_class="none" if nearest == NO_CLASS_BYTE else self.legend.names[nearest],
                distance=float(self.distance[place]),
                class_px=int(self.class_px[place]),
            )

    def write_csv(self, path: Path) -> Path:
        """Write every colour by decreasing area, and whether it is within the tolerance."""
        with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow([*CensusRow._fields[:-1], "within_tolerance", "class_px"])
            for colour, area, share, name, distance, class_px in self.rows():
                near = distance <= self.tolerance
                writer.writerow([colour, area, f"{share:.9f}", name, f"{distance:.3f}", near, class_px])
        return path


class CensusRow(NamedTuple):
    """A colour of a census, as #RRGGBB, or a class number, with its mask px and those that count for the class."""

    colour: str
    area_px: int
    share: float
    nearest_class: str
    distance: float
    class_px: int


def find_masks(path: Path | str, pattern: str = "*") -> list[Path]:
    """Return a mask itself, or the images of a folder whose name matches the pattern, in order.

    Raises:
        DataError: There is none.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    try:
        masks = sorted(p for p in path.glob(pattern) if p.suffix.lower() in FLAT_SUFFIXES and p.is_file())
    except (ValueError, NotImplementedError) as error:
        raise DataError(f"`pattern={pattern!r}`: not a file name pattern such as *_L.png ({error})") from error
    if not masks:
        raise DataError(f"{path}: neither a mask nor a folder with PNG, JPEG or TIFF masks named {pattern}")
    return masks


def take_census(
    masks: Paths,
    legend: Legend,
    *,
    tolerance: float = DEFAULT_TOLERANCE,
    advance: Callable[..., None] | None = None,
) -> Census:
    """Count the colours of masks of any size, in memory bounded by the 2²⁴ possible colours.

    A mask that cannot be read is listed in `failed`, and those before and after it are counted.

    Args:
        masks: One or several PNG, JPEG or TIFF files.
        legend: What to compare the colours with.
        tolerance: See `ColourDecoder`.
        advance: Called once a mask; see `hviskd.progress`.
    """
    counts, class_px = (np.zeros(TRANSPARENT + 1, dtype=np.int64) for _ in range(2))
    failed = {}
    decode = decoder_of(legend, tolerance)
    for mask in list_paths(masks):
        try:
            seen, area_px = _count(mask, numbers=bool(legend.numbers))
            counts[seen] += area_px
            class_px[seen] += np.where(_has_class(decode, seen, area_px), area_px, 0)
        except DataError as error:
            failed[mask] = str(error)
        if advance is not None:
            advance(note=mask.name)
    codes = np.flatnonzero(counts[:TRANSPARENT])
    codes = codes[np.argsort(-counts[codes], kind="stable")]
    nearest, distance = decode.nearest(codes)
    return Census(
        legend=legend,
        tolerance=decode.tolerance,
        codes=codes,
        area_px=counts[codes],
        class_px=class_px[codes],
        nearest=nearest,
        distance=distance,
        transparent_px=int(counts[TRANSPARENT]),
        failed=failed,
    )


def _has_class(decode: ColourDecoder, seen: Ints, area_px: Ints) -> Bools:
    """Return which codes of one mask have a class."""
    has_class = decode(seen) != NO_CLASS_BYTE
    strange = np.flatnonzero(~decode.lists(seen) & (seen != TRANSPARENT))
    has_class[strange[decode.foreign(seen[strange], area_px[strange], int(area_px.sum()))]] = False
    return has_class


def _count(mask: Path, *, numbers: bool) -> tuple[Ints, Ints]:
    """Return the codes of a mask (K,) and the px of each (K,)."""
    pixels = MaskPixels(mask, numbers=numbers)
    counts = CodeCounts(math.prod(pixels.size))
    for *_, codes in pixels.blocks():
        counts.add(codes)
    return counts.found()
