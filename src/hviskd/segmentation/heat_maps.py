"""Smooth heat maps of one class, computed at display size.

A map's cells are as large as its tiles, so drawn as they are they look like steps. Here the map is taken for what it
is, a surface of flat squares, and convolved with a Gaussian exactly: the value of a px does not depend on how large
the picture is, and nothing is ever enlarged to the size of the slide. Cells without a tile take no part (normalised
convolution; Knutsson and Westin 1993), so glass beside tissue does not pale it, and stay without a value.
"""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import ndtr

from hviskd.arrays import RGB, Floats
from hviskd.figure_text import fit, wrap
from hviskd.pictures import new_figure
from hviskd.segmentation.drawing import described, fit_panel
from hviskd.segmentation.heat_colours import SCALE, paint_heat_map
from hviskd.segmentation.slide_map import SlideMap
from hviskd.slides.slide_picture import draw_scale_bar, show_slide
from hviskd.version import DISCLAIMER

_REACH = 4.0  # standard deviations
DEFAULT_SIGMA_STEPS = 0.75  # rounds the squares and still shows one that differs from its neighbours


def heat_map(
    slide_map: SlideMap,
    class_name: str,
    size: tuple[int, int],
    *,
    window_px: tuple[float, float, float, float] | None = None,
    sigma_um: float | None = None,
) -> NDArray[np.float32]:
    """Return the smoothed probability of a class at every px of an image.

    Args:
        slide_map: A map.
        class_name: One of its classes.
        size: Width and height of the picture in px.
        window_px: Left, top, width and height of what it shows, in level-0 px; the whole slide if not given.
        sigma_um: Standard deviation of the Gaussian in µm; three quarters of the grid's step if not given, and 0
            smooths nothing.

    Returns:
        float32 (height, width), 0 to 1; NaN where there is no tile.

    Raises:
        ValueError: The map has no such class, or `size`, `window_px` or `sigma_um` makes no sense.
    """
    if class_name not in slide_map.classes:
        raise ValueError(f"the map has no class {class_name!r}; its classes are {', '.join(slide_map.classes)}")
    sigma_um = DEFAULT_SIGMA_STEPS * slide_map.stride_um if sigma_um is None else sigma_um
    left, top, width_px, height_px = window_px or (0, 0, slide_map.card.slide_width_px, slide_map.card.slide_height_px)
    if min(size) < 1 or not (min(width_px, height_px) > 0 and sigma_um >= 0):
        raise ValueError(f"size {size} px, window {window_px} and sigma {sigma_um} µm must be positive")
    grid = slide_map.grid()[..., slide_map.classes.index(class_name)].astype(np.float64)
    if not grid.size:
        return np.full(size[::-1], np.nan, np.float32)
    step = slide_map.stride0_px
    x = (left + (np.arange(size[0]) + 0.5) * width_px / size[0]) / step  # centres of px, in cells
    y = (top + (np.arange(size[1]) + 0.5) * height_px / size[1]) / step
    known = ~np.isnan(grid)
    across = _weights(x, grid.shape[1], sigma_um / slide_map.stride_um)
    down = _weights(y, grid.shape[0], sigma_um / slide_map.stride_um)
    share, total = (down @ (across @ part.T).T for part in (np.where(known, grid, 0.0), known.astype(np.float64)))
    inside = _at(known, y, x)
    return np.divide(share, total, out=np.full(share.shape, np.nan), where=inside).astype(np.float32)


def draw_heat_map(slide_map: SlideMap, class_name: str, thumbnail: RGB, *, sigma_um: float | None = None) -> Figure:
    """Draw the smoothed probability of a class over the slide, with a colour scale and a scale bar.

    Args:
        slide_map: A map.
        class_name: One of its classes.
        thumbnail: The whole slide at low power, uint8 (H, W, 3).
        sigma_um: As in `heat_map`.
    """
    card = slide_map.card
    width_in, height_in = fit_panel(card, 6.0, 6.0)
    figure = new_figure(max(width_in, 1.6) + 2.0, max(height_in, 1.6) + 1.2)
    axes = figure.subplots()
    size = max(1, round(width_in * figure.dpi)), max(1, round(height_in * figure.dpi))
    show_slide(axes, thumbnail, card.slide_size, faded=True)
    painted = paint_heat_map(heat_map(slide_map, class_name, size, sigma_um=sigma_um))
    axes.imshow(painted, extent=(0, card.slide_width_px, card.slide_height_px, 0), interpolation="none")
    draw_scale_bar(axes, card.slide_width_px, card.slide_mpp)
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), SCALE), ax=axes, shrink=0.8, alpha=0.7)
    height_in = 0.7 * figure.get_figheight()
    bar.set_label(fit(f"probability of {class_name}", height_in, 8, lines=2), fontsize=8)
    bar.ax.tick_params(labelsize=7)
    sigma = DEFAULT_SIGMA_STEPS * slide_map.stride_um if sigma_um is None else sigma_um
    inside_in = figure.get_figwidth() - 0.2
    note = f"smoothed, σ {sigma:.3g} µm; {described(slide_map)}\n{DISCLAIMER}"
    figure.suptitle(fit(card.slide, inside_in, 9), fontsize=9)
    figure.supxlabel(wrap(note, inside_in, 7), fontsize=7)
    return figure


def _weights(centres: Floats, cells: int, sigma: float) -> sparse.csr_array:
    """Return the weight of each cell at each place: the Gaussian's integral over it.

    Args:
        centres: (P,) places, in cells.
        cells: How many there are.
        sigma: In cells; at 0 the cell that holds the place has all the weight.

    Returns:
        (P, cells), sparse.
    """
    reach = min(int(np.ceil(_REACH * sigma)), cells)
    own = np.floor(centres).astype(np.int64)
    near = own[:, None] + np.arange(-reach, reach + 1)
    if sigma > 0:
        weights = ndtr((near + 1 - centres[:, None]) / sigma) - ndtr((near - centres[:, None]) / sigma)
    else:
        weights = np.ones(near.shape)
    place, offset = np.nonzero((near >= 0) & (near < cells))
    return sparse.csr_array((weights[place, offset], (place, near[place, offset])), shape=(len(centres), cells))


def _at(known: NDArray[np.bool_], y: Floats, x: Floats) -> NDArray[np.bool_]:
    """Return at which places there is a tile; y and x in cells."""
    framed = np.pad(known, 1)
    row, column = (
        np.clip(np.floor(place), -1, side).astype(np.int64) + 1 for place, side in zip((y, x), known.shape, strict=True)
    )
    return framed[np.ix_(row, column)]
