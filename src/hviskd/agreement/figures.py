"""Figures of an agreement: maps under the expert's outline, and probability by distance from it."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from hviskd.agreement.boundary import MeanProfile, border
from hviskd.figure_text import fit, wrap
from hviskd.pictures import line_style, new_figure
from hviskd.slides.slide_picture import draw_scale_bar, show_slide
from hviskd.version import DISCLAIMER

if TYPE_CHECKING:
    from hviskd.agreement.slide_agreement import Compared

_MOST_CLASSES, _MOST_MODELS = 6, 4
_PANEL_IN = 2.9
_DETAIL_CELLS = 14  # along a side of the enlarged window
_SHOWN_SAMPLES = 600  # along a side; an outline needs no more


def draw_slide(compared: Sequence["Compared"]) -> Figure:
    """Draw the maps of one slide: a row per class, with each model's map and a close-up of the outline.

    Where the slide is at hand, it stands first in each row, under the same outline.

    Shown are the classes with the largest areas and the first models if there are more than fit; the picture says so.

    Args:
        compared: The maps of one slide, at least one.
    """
    models = compared[:_MOST_MODELS]
    first = models[0]
    area = {place: np.count_nonzero(first.samples.expert == place) for place in first.agreement.compared}
    places = sorted(sorted(area, key=lambda place: -area[place])[:_MOST_CLASSES])
    names = [first.agreement.classes[place] for place in places]
    card = first.slide_map.card
    tall = _PANEL_IN * min(2.0, max(0.5, card.slide_height_px / card.slide_width_px))
    lead = 0 if first.thumbnail is None else 1
    across = lead + 2 * len(models)
    figure = new_figure(1.2 + _PANEL_IN * across, 0.9 + (max(tall, _PANEL_IN * 0.9) + 0.3) * len(places))
    axes = figure.subplots(len(places), across, squeeze=False)
    image: AxesImage | None = None
    for row, name in enumerate(names):
        window = _detail(first, name)
        if first.thumbnail is not None:
            show_slide(axes[row, 0], first.thumbnail, card.slide_size)
            _draw_outline(axes[row, 0], first, name, window=None)
            _name_panel(axes[row, 0], name, "slide and expert")
            draw_scale_bar(axes[row, 0], card.slide_width_px, card.slide_mpp)
        for at, one in enumerate(models):
            whole, near = axes[row, lead + 2 * at : lead + 2 * at + 2]
            if name not in one.agreement.classes:  # another model may know other classes
                whole.axis("off")
                near.axis("off")
                continue
            for panel, detail in ((whole, None), (near, window)):
                image = _draw_map(panel, one, name, window=detail)
                title = one.agreement.model if detail is None else "close-up"
                _name_panel(panel, name, title)
            draw_scale_bar(whole, card.slide_width_px, card.slide_mpp)
            if window is not None:
                left, top, side = window
                whole.plot(
                    [left, left + side, left + side, left, left],
                    [top, top, top + side, top + side, top],
                    color="#E69F00",
                    linewidth=1.2,
                )
    if image is not None:
        figure.colorbar(image, ax=axes, label="class probability", shrink=0.8, aspect=30)
    left_out = [f"{len(compared) - len(models)} more models"] * (len(compared) > len(models))
    left_out += [f"{len(area) - len(places)} more classes"] * (len(area) > len(places))
    told = f" Not shown: {', '.join(left_out)}." if left_out else ""
    width_in = figure.get_figwidth() - 0.4
    figure.suptitle(fit(card.slide, width_in, 10), fontsize=10)
    note = f"White on black: the expert's outline. Grey: no tile. Orange: the window.{told} {DISCLAIMER}"
    figure.supxlabel(wrap(note, width_in, 7), fontsize=7)
    return figure


def draw_profiles(profiles: Sequence[MeanProfile]) -> Figure:
    """Plot the probability of each class by distance from its outline, one panel per class and one line per model.

    Args:
        profiles: At least one; a band is drawn where there are two slides or more.
    """
    names = list(dict.fromkeys(one.class_name for one in profiles))
    models = list(dict.fromkeys(one.model for one in profiles))
    across = min(3, len(names))
    down = math.ceil(len(names) / across)
    figure = new_figure(1.0 + 3.6 * across, 1.2 + 2.8 * down)
    axes = figure.subplots(down, across, squeeze=False, sharey=True).reshape(-1)
    for panel, name in zip(axes, names, strict=False):
        for one in (profile for profile in profiles if profile.class_name == name):
            style = line_style(models.index(one.model))
            middle = (one.edges_um[:-1] + one.edges_um[1:]) / 2
            panel.plot(middle, one.mean, marker=".", markersize=4, linewidth=1.4, label=fit(one.model, 2.6, 7), **style)
            panel.fill_between(
                middle, (one.mean - one.sd).clip(0), (one.mean + one.sd).clip(None, 1), color=style["color"], alpha=0.15
            )
        panel.axvline(0, color="0.5", linewidth=0.8)
        panel.set(ylim=(0, 1))
        panel.set_title(fit(name, 3.2, 9), fontsize=9, loc="left")
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in axes[len(names) :]:
        panel.axis("off")
    axes[0].legend(fontsize=7, frameon=False)
    most = max(int(one.slides.max()) for one in profiles)
    band = "Band: standard deviation over slides." if most > 1 else "One slide: no band."
    figure.supylabel("mean class probability", fontsize=9)
    note = (
        "distance from the expert's outline, µm (negative: inside)\n"
        f"{most} slide{'s' * (most > 1)}. {band} {DISCLAIMER}"
    )
    figure.supxlabel(wrap(note, figure.get_figwidth() - 0.4, 8), fontsize=8)
    return figure


def _draw_map(axes: Axes, one: "Compared", name: str, *, window: tuple[float, float, float] | None) -> AxesImage:
    """Draw the probabilities of a class with the expert's outline, in level-0 px, of the slide or a window."""
    slide_map = one.slide_map
    card, step = slide_map.card, slide_map.stride0_px
    grid = slide_map.grid()[..., slide_map.classes.index(name)]
    axes.set_facecolor("0.75")
    image = axes.imshow(
        grid if grid.size else np.full((1, 1), np.nan),
        extent=(0, max(1, grid.shape[1]) * step, max(1, grid.shape[0]) * step, 0),
        vmin=0,
        vmax=1,
        cmap="viridis",
        interpolation="nearest",
    )
    _draw_outline(axes, one, name, window=window)
    if window is None:
        axes.set(xlim=(0, card.slide_width_px), ylim=(card.slide_height_px, 0))
    else:
        left, top, side = window
        axes.set(xlim=(left, left + side), ylim=(top + side, top))
        axes.set_xlabel(f"{side * card.slide_mpp:.0f} µm wide", fontsize=7)
    axes.set(xticks=[], yticks=[], aspect="equal")
    return image


def _draw_outline(axes: Axes, one: "Compared", name: str, *, window: tuple[float, float, float] | None) -> None:
    """Draw the expert's outline of a class, white on black, in level-0 px."""
    samples = one.samples
    inside = samples.expert == one.slide_map.classes.index(name)
    cut = _window_of(inside, window, samples.step_px)
    part = inside[cut]
    thin = max(1, math.ceil(max(part.shape, default=1) / _SHOWN_SAMPLES))
    part = part[::thin, ::thin]
    if part.any() and not part.all() and min(part.shape) > 1:
        y, x = (
            (span.start + np.arange(count) * thin + 0.5) * samples.step_px
            for span, count in zip(cut, part.shape, strict=True)
        )
        for colour, width in (("black", 2.6), ("white", 1.1)):
            axes.contour(x, y, part.astype(float), levels=[0.5], colors=colour, linewidths=width)


def _detail(one: "Compared", name: str) -> tuple[float, float, float] | None:
    """Return a square window, (left, top, side) in level-0 px, around the outline where the map has most tiles."""
    samples, slide_map = one.samples, one.slide_map
    inside = samples.expert == slide_map.classes.index(name)
    edge = border(inside, np.ones_like(inside)) & (samples.mapped >= 0)
    places = np.argwhere(edge)
    if not len(places):
        return None
    side = _DETAIL_CELLS * slide_map.stride0_px
    reach = max(1, round(side / samples.step_px / 2))
    tiles = _summed(samples.mapped >= 0)
    low = (places - reach).clip(0)
    high = (places + reach).clip(None, np.array(inside.shape))
    covered = (
        tiles[high[:, 0], high[:, 1]]
        - tiles[low[:, 0], high[:, 1]]
        - tiles[high[:, 0], low[:, 1]]
        + tiles[low[:, 0], low[:, 1]]
    )
    row, column = places[int(covered.argmax())]
    return float(column * samples.step_px - side / 2), float(row * samples.step_px - side / 2), float(side)


def _summed(there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the summed area table, (H + 1, W + 1) (Crow 1984)."""
    return np.pad(there.astype(np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def _window_of(
    inside: NDArray[np.bool_], window: tuple[float, float, float] | None, step_px: float
) -> tuple[slice, slice]:
    if window is None:
        return slice(0, inside.shape[0]), slice(0, inside.shape[1])
    left, top, side = window
    begins = max(0, math.floor(top / step_px) - 1), max(0, math.floor(left / step_px) - 1)
    ends = math.ceil((top + side) / step_px) + 1, math.ceil((left + side) / step_px) + 1
    return slice(begins[0], ends[0]), slice(begins[1], ends[1])


def _name_panel(axes: Axes, name: str, title: str) -> None:
    """Write the class, and what the panel shows of it, over a panel."""
    axes.set_title(f"{fit(name, 0.45 * _PANEL_IN, 8)}: {fit(title, 0.5 * _PANEL_IN, 8)}", fontsize=8, loc="left")
