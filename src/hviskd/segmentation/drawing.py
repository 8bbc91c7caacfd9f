"""Common parts of the figures of a map: a panel of the slide's proportions and the caption."""

from hviskd.letters import shorten
from hviskd.segmentation.slide_map import MapCard, SlideMap


def fit_panel(card: MapCard, width_in: float, height_in: float) -> tuple[float, float]:
    """Return the largest width and height in inches, within these, with the slide's aspect ratio."""
    scale = min(width_in / card.slide_width_px, height_in / card.slide_height_px)
    return card.slide_width_px * scale, card.slide_height_px * scale


def described(slide_map: SlideMap) -> str:
    """Describe the Model and its tiles: name, size, and step if they overlap."""
    card = slide_map.card
    step = "" if card.stride_px == card.tile_px else f", every {slide_map.stride_um:.3g} µm"
    stain = "" if card.stain == "none" else f", stain {shorten(card.stain, 30)}"
    return (
        f"model {shorten(card.model, 60)}, tiles of {card.tile_px} px at {card.mpp:.3g} µm/px "
        f"({slide_map.tile_um:.3g} µm){step}{stain}"
    )
