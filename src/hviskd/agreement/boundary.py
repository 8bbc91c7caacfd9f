"""Border distances between a map and an expert's annotation, and the map's probabilities near the border.

All of it is measured on samples: the centres of squares of one size laid over the whole slide, at most a cell wide
unless the slide has more cells than two million. Distances are Euclidean and in µm.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from hviskd.annotations import Annotation
from hviskd.arrays import NO_CLASS, NO_CLASS_BYTE, Bools, ClassGrid, Floats
from hviskd.segmentation import SlideMap

SAMPLE_LIMIT = 2_000_000  # of one slide; a distance transform of so many takes about a second and 100 MB
_FINEST = 8  # samples along a cell


@dataclass(frozen=True, eq=False)
class Samples:
    """The classes of map and expert at the same places of a slide.

    Attributes:
        step_px: From sample to sample in level-0 px; the first lies half a step from the slide's corner.
        step_um: The same in µm.
        mapped: int16 (H, W), class of the map; −1 where there is no tile.
        expert: int16 (H, W), class of the expert by the map's numbers; K where it is another; −1 where none is drawn.
    """

    step_px: float
    step_um: float
    mapped: ClassGrid
    expert: ClassGrid

    @property
    def compared(self) -> Bools:
        """Where both have a class, (H, W)."""
        return (self.mapped >= 0) & (self.expert >= 0)


def sample(slide_map: SlideMap, annotation: Annotation, lookup: ClassGrid, *, limit: int = SAMPLE_LIMIT) -> Samples:
    """Sample a map and an annotation at the same places.

    Args:
        slide_map: The map.
        annotation: What the expert drew on the same slide.
        lookup: int16 (classes of the annotation + 1,), the map's number of each; the last is for what is not drawn.
        limit: The most samples.
    """
    card, cell_px = slide_map.card, slide_map.stride0_px
    sides = card.slide_size
    least = max(1.0, math.sqrt(sides[0] * sides[1] / limit))
    # A whole number of samples a cell keeps the map's steps exact.
    step = cell_px / min(_FINEST, math.floor(cell_px / least)) if least <= cell_px else least
    expert = lookup[annotation.rasterise(0, 0, *sides, step)]
    cells = np.pad(slide_map.class_grid(), (0, 1), constant_values=NO_CLASS_BYTE).astype(np.int16)
    cells[cells == NO_CLASS_BYTE] = NO_CLASS
    row, column = (
        np.minimum(np.floor((np.arange(count) + 0.5) * step / cell_px).astype(np.int64), last - 1)
        for count, last in zip(expert.shape, cells.shape, strict=True)
    )
    return Samples(step, step * card.slide_mpp, cells[np.ix_(row, column)], expert)


def border(inside: Bools, compared: Bools) -> Bools:
    """Return the samples of a class next to (4-connected) a sample of another; places not compared do not count."""
    other = compared & ~inside
    beside = np.zeros_like(other)
    beside[1:] |= other[:-1]
    beside[:-1] |= other[1:]
    beside[:, 1:] |= other[:, :-1]
    beside[:, :-1] |= other[:, 1:]
    return inside & compared & beside


def hausdorff95_um(mapped: Bools, expert: Bools, compared: Bools, step_um: float) -> float:
    """Return the 95 % Hausdorff distance of two areas: the distance of their borders, ignoring the worst 5 %.

    For each border sample of one area the distance to the nearest border sample of the other is taken, and of these
    the 95th percentile; the distance is the larger of the two percentiles, one for each direction (the ranked
    distance of Huttenlocher, Klanderman and Rucklidge 1993, at 95 %).

    Args:
        mapped: bool (H, W), one area.
        expert: bool (H, W), the other.
        compared: bool (H, W); what lies outside takes no part, nor does a border with it.
        step_um: From sample to sample.

    Returns:
        µm; NaN where either area has no border.
    """
    borders = border(mapped, compared), border(expert, compared)
    if not (borders[0].any() and borders[1].any()):
        return math.nan
    rows, columns = (np.flatnonzero((borders[0] | borders[1]).any(axis=axis)) for axis in (1, 0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    first, second = borders[0][window], borders[1][window]
    directed = (
        np.percentile(scipy.ndimage.distance_transform_edt(~target)[source], 95)
        for source, target in ((first, second), (second, first))
    )
    return float(max(directed)) * step_um


def signed_distance_um(inside: Bools, step_um: float) -> Floats:
    """Return the distance of each sample from an area's outline, negative inside, float64 (H, W).

    The outline runs half a step beyond the outermost samples of the area; the picture's edge is no outline.

    Raises:
        ValueError: The area is empty or everything: it has no outline.
    """
    if inside.all() or not inside.any():
        raise ValueError("an area that is empty or covers everything has no outline")
    outwards = scipy.ndimage.distance_transform_edt(~inside)
    inwards = scipy.ndimage.distance_transform_edt(inside)
    distance: Floats = np.where(inside, 0.5 - inwards, outwards - 0.5) * step_um
    return distance


@dataclass(frozen=True, eq=False)
class Profile:
    """Mean probability of a class by distance from the expert's outline of it, on one slide.

    Attributes:
        slide: Name of the slide.
        model: Name of what made the map.
        class_name: The class.
        edges_um: float64 (B + 1,), ends of the steps; negative is inside. A step holds its lower end.
        cells: int64 (B,), how many cells lie in each step.
        mean: float64 (B,), their mean probability; NaN where there is none.
    """

    slide: str
    model: str
    class_name: str
    edges_um: Floats
    cells: NDArray[np.int64]
    mean: Floats


@dataclass(frozen=True, eq=False)
class MeanProfile:
    """Profiles of one model and class over slides; each slide counts once.

    Attributes:
        model: Name of what made the maps.
        class_name: The class.
        edges_um: float64 (B + 1,).
        slides: int64 (B,), how many slides have cells in each step.
        mean: float64 (B,), mean of the slides' means; NaN where there is none.
        sd: float64 (B,), standard deviation over slides (n − 1); NaN for fewer than two.
    """

    model: str
    class_name: str
    edges_um: Floats
    slides: NDArray[np.int64]
    mean: Floats
    sd: Floats


def distance_edges_um(bin_um: float, reach_um: float) -> Floats:
    """Return the edges of bins of `bin_um` on both sides of zero, up to `reach_um` in whole bins.

    Raises:
        ValueError: A length is not positive and finite, or there are over 10,000 steps.
    """
    if not (0 < bin_um < math.inf and 0 < reach_um < math.inf and reach_um / bin_um <= 5000):
        raise ValueError(f"bins of {bin_um} µm up to {reach_um} µm: must be positive, at most 5,000 per side")
    count = max(1, math.ceil(reach_um / bin_um - 1e-9))
    edges: Floats = np.arange(-count, count + 1, dtype=np.float64) * bin_um
    return edges


def boundary_profile(
    slide_map: SlideMap, samples: Samples, place: int, edges_um: Floats, *, slide: str, model: str
) -> Profile | None:
    """Return the map's mean probability of a class at each distance from its outline.

    Every cell with a tile takes part, whether the expert drew there or not, by the distance of its centre.

    Args:
        slide_map: The map.
        samples: Of it and its annotation.
        place: Number of the class in the map.
        edges_um: As `distance_edges_um` gives them.
        slide: What the slide is called.
        model: What the map's maker is called.

    Returns:
        None where the expert's area has no outline.
    """
    inside = samples.expert == place
    if inside.all() or not inside.any():
        return None
    grid = slide_map.grid()[..., place]
    there = ~np.isnan(grid)
    centres = (np.argwhere(there).T + 0.5) * slide_map.stride0_px / samples.step_px - 0.5
    from_border_um = signed_distance_um(inside, samples.step_um)
    distance = scipy.ndimage.map_coordinates(from_border_um, centres, order=1, mode="nearest")
    # Distances are sums of roots; the rounding puts one that should be an end of a step there.
    step = np.searchsorted(edges_um, np.round(distance, 6), side="right") - 1
    kept = (step >= 0) & (step < len(edges_um) - 1)
    cells = np.bincount(step[kept], minlength=len(edges_um) - 1).astype(np.int64)
    total = np.bincount(step[kept], weights=grid[there][kept].astype(np.float64), minlength=len(cells))
    mean = np.divide(total, cells, out=np.full(len(cells), np.nan), where=cells > 0)
    return Profile(slide, model, slide_map.classes[place], edges_um, cells, mean)


def mean_profile(profiles: Sequence[Profile]) -> MeanProfile:
    """Average profiles of one model and class over slides.

    Raises:
        ValueError: There is none, or they differ in model, class or steps.
    """
    if len({(one.model, one.class_name, one.edges_um.tobytes()) for one in profiles}) != 1:
        raise ValueError("profiles to average must have the same model, class and bins")
    values = np.stack([one.mean for one in profiles])
    there = ~np.isnan(values)
    slides = there.sum(axis=0)
    mean = np.divide(np.where(there, values, 0).sum(axis=0), slides, out=np.full(len(slides), np.nan), where=slides > 0)
    squares = np.where(there, values - np.where(slides > 0, mean, 0), 0) ** 2
    variance = np.divide(squares.sum(axis=0), slides - 1, out=np.full(len(slides), np.nan), where=slides > 1)
    first = profiles[0]
    return MeanProfile(first.model, first.class_name, first.edges_um, slides, mean, np.sqrt(variance))
