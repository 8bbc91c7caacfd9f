"""The geometry of image pyramids: which images are levels of another, and by what factor they are smaller."""

from collections.abc import Sequence

from hviskd.slides.slide import Level


def is_level_of(whole: tuple[int, int], size: tuple[int, int]) -> bool:
    """Return whether an image may be another one, reduced alike in width and height but for rounding to whole px."""
    if not all(0 < side < whole_side for side, whole_side in zip(size, whole, strict=True)):
        return False
    sides = list(zip(whole, size, strict=True))
    least = max(full / (side + 1) for full, side in sides)
    most = min(full / max(side - 1, 0.5) for full, side in sides)
    return least < most


def pyramid_levels(sizes: Sequence[tuple[int, int]]) -> list[Level]:
    """List levels with the downsample factor they were made with.

    The sizes of levels are rounded (46000 / 11500 and 32914 / 8228 give 4.0001 in the mean); where both sides fit a
    whole number but for that rounding, it is the whole number.

    Args:
        sizes: Width and height of each level, the finest first.
    """
    width_px, height_px = sizes[0]
    levels = []
    for size in sizes:
        downsample = (width_px / size[0] + height_px / size[1]) / 2
        whole = round(downsample)
        fits = abs(width_px - whole * size[0]) < whole and abs(height_px - whole * size[1]) < whole
        levels.append(Level(*size, float(whole) if fits else downsample))
    return levels
