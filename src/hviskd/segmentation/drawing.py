"""Common parts of the figures of a map: the slide below it, the scale bar, the caption."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory, offset_copy

from hviskd.arrays import RGB
from hviskd.figure_text import shorten
from hviskd.segmentation.slide_map import MapCard, SlideMap

DISCLAIMER = "Research software, not a medical device."
_FADE = 0.35  # of the slide's contrast that is left under a map
_BAR_SHARE = 0.25  # of the picture's width that the scale bar takes at most


def fit_panel(card: MapCard, width_in: float, height_in: float) -> tuple[float, float]:
    """Return the largest width and height in inches, within these, with the slide's aspect ratio."""
    scale = min(width_in / card.slide_width_px, height_in / card.slide_height_px)
    return card.slide_width_px * scale, card.slide_height_px * scale


def show_slide(axes: Axes, thumbnail: RGB, card: MapCard, *, faded: bool = False) -> None:
    """Draw a slide in level-0 px; faded, it is pale grey, so that colours on top keep their meaning."""
    if faded:
        grey = thumbnail.mean(axis=-1, keepdims=True)
        thumbnail = np.repeat(255 - _FADE * (255 - grey), 3, axis=-1).astype(np.uint8)
    axes.imshow(thumbnail, extent=(0, card.slide_width_px, card.slide_height_px, 0), interpolation="antialiased")
    axes.set(xlim=(0, card.slide_width_px), ylim=(card.slide_height_px, 0), xticks=[], yticks=[])
    axes.spines[:].set(color="0.7", linewidth=0.5)


def draw_scale_bar(figure: Figure, axes: Axes, card: MapCard) -> None:
    """Draw a scale bar of a round length below the image; the axes must show the whole slide."""
    length_um = round_length(_BAR_SHARE * card.slide_width_px * card.slide_mpp)
    length_px = length_um / card.slide_mpp
    text = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    below = offset_copy(blended_transform_factory(axes.transData, axes.transAxes), figure, 0, -7, "points")
    axes.plot(
        [0, length_px], [0, 0], color="black", linewidth=2.5, solid_capstyle="butt", transform=below, clip_on=False
    )
    beside = offset_copy(below, figure, 4, 0, "points")
    axes.text(length_px, 0, text, fontsize=8, va="center", transform=beside)
    axes.set(xlim=(0, card.slide_width_px), ylim=(card.slide_height_px, 0))


def round_length(length_um: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20, … µm that is no longer than this."""
    power = 10.0 ** math.floor(math.log10(length_um))
    return power * max(digit for digit in (1, 2, 5) if digit * power <= length_um * (1 + 1e-9))


def described(slide_map: SlideMap) -> str:
    """Describe the Model and its tiles: name, size, and step if they overlap."""
    card = slide_map.card
    step = "" if card.stride_px == card.tile_px else f", every {slide_map.stride_um:.3g} µm"
    stain = "" if card.stain == "none" else f", stain {shorten(card.stain, 30)}"
    return (
        f"model {shorten(card.model, 60)}, tiles of {card.tile_px} px at {card.mpp:.3g} µm/px "
        f"({slide_map.tile_um:.3g} µm){step}{stain}"
    )
