"""A slide in a figure, in level-0 px, with a scale bar below; figures of tissue, maps and agreement use it."""

import math
from typing import TYPE_CHECKING

import numpy as np

from hviskd.arrays import RGB, Bools

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.contour import QuadContourSet

_FADE = 0.35  # of the slide's contrast that is left under a map
_BAR_SHARE = 0.25  # of the picture's width that the scale bar takes at most


def faded_slide(pixels: RGB) -> RGB:
    """Return px of a slide, uint8 (…, 3), in pale grey, so that colours on top keep their meaning."""
    grey = pixels.mean(axis=-1, keepdims=True, dtype=np.float32)
    return np.repeat(255 - _FADE * (255 - grey), 3, axis=-1).astype(np.uint8)


def show_slide(axes: "Axes", thumbnail: RGB, size_px: tuple[int, int], *, faded: bool = False) -> None:
    """Draw a slide of this size; faded, it is pale grey, so that colours on top keep their meaning."""
    thumbnail = faded_slide(thumbnail) if faded else thumbnail
    width_px, height_px = size_px
    axes.imshow(thumbnail, extent=(0, width_px, height_px, 0), interpolation="antialiased")
    axes.set(xlim=(0, width_px), ylim=(height_px, 0), xticks=[], yticks=[])
    axes.spines[:].set(color="0.7", linewidth=0.5)


def scale_bar(width_px: int, mpp: float) -> tuple[float, str]:
    """Return the length in px of a scale bar for a slide of this width, and the length in words, a round one."""
    length_um = round_length(_BAR_SHARE * width_px * mpp)
    return length_um / mpp, f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"


def draw_scale_bar(axes: "Axes", width_px: int, mpp: float) -> None:
    """Draw a scale bar of a round length below a slide of this width; the axes must show the whole slide."""
    from matplotlib.transforms import blended_transform_factory, offset_copy

    length_px, text = scale_bar(width_px, mpp)
    figure, shown = axes.get_figure(root=True), axes.axis()
    below = offset_copy(blended_transform_factory(axes.transData, axes.transAxes), figure, 0, -7, "points")
    axes.plot(
        [0, length_px], [0, 0], color="black", linewidth=2.5, solid_capstyle="butt", transform=below, clip_on=False
    )
    beside = offset_copy(below, figure, 4, 0, "points")
    axes.text(length_px, 0, text, fontsize=8, va="center", transform=beside)
    axes.axis(shown)


def draw_outline(axes: "Axes", mask: Bools, cell: float, *, colour: str, dash: str, width: float) -> "QuadContourSet":
    """Draw the border of a mask, not empty, whose cells are so wide on the axes.

    It is padded with False, so that regions at the slide's edge are closed too.
    """
    framed = np.pad(mask, 1)
    x, y = ((np.arange(count) - 0.5) * cell for count in framed.shape[::-1])
    return axes.contour(x, y, framed, levels=[0.5], colors=colour, linestyles=dash, linewidths=width)


def round_length(length_um: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20, … µm that is no longer than this."""
    power = 10.0 ** math.floor(math.log10(length_um))
    return power * max(digit for digit in (1, 2, 5) if digit * power <= length_um * (1 + 1e-9))
