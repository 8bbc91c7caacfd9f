"""Agreement of one slide's map with an expert's annotation of it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hviskd.agreement.boundary import (
    Profile,
    Samples,
    boundary_profile,
    distance_edges_um,
    hausdorff95_um,
    sample,
)
from hviskd.annotations import UNCLASSIFIED, Annotation
from hviskd.arrays import NO_CLASS_BYTE, RGB, ClassGrid, Ints
from hviskd.errors import DataError
from hviskd.segmentation import SlideMap

OVERALL = "(overall)"
DEFAULT_REACH_UM = 1000.0
_STRIP_PX = 4_000_000  # level-0 px held at once, however large the slide


class Scores(NamedTuple):
    """Overlap of one class, or of all; NaN if undefined."""

    dice: float
    precision: float
    recall: float


class LeftOut(NamedTuple):
    """The area left out: places where only map or expert has a class.

    Attributes:
        cells_without_tile: Cells of the grid where the map has no tile.
        cells_unlabelled: Cells with a tile most of which the expert left unlabelled.
        labelled_px_without_tile: Level-0 px that the expert labelled and the map has no tile for.
        tile_px_unlabelled: Level-0 px of tiles that the expert left unlabelled.
    """

    cells_without_tile: int
    cells_unlabelled: int
    labelled_px_without_tile: int
    tile_px_unlabelled: int


@dataclass(frozen=True, eq=False)
class SlideAgreement:
    """The comparison of one map with one annotation.

    Attributes:
        slide: File name of the slide.
        model: What made the map.
        classes: The K classes of the map.
        compared: Those that the annotation knows too, by their number.
        cells: int64 (K, K + 1), cells by the map's class (row) and the expert's; the last column is another class.
        px: The same of level-0 px.
        px_mm2: Area of a level-0 px.
        cell_mm2: Area of a cell.
        hausdorff_um: 95 % Hausdorff distance of each compared class.
        step_um: The resolution of the distances.
        left_out: What took no part.
        profiles: Of each compared class with an outline.
        notes: What a reader should know.
    """

    slide: str
    model: str
    classes: tuple[str, ...]
    compared: tuple[int, ...]
    cells: Ints
    px: Ints
    px_mm2: float
    cell_mm2: float
    hausdorff_um: tuple[float, ...]
    step_um: float
    left_out: LeftOut
    profiles: tuple[Profile, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Compared:
    """A map, the annotation of its slide, and both at the same places, for figures.

    Attributes:
        slide_map: The map.
        samples: What map and expert say, place by place.
        agreement: How far they agree.
        thumbnail: The slide at low power, uint8 (H, W, 3), where it is at hand.
    """

    slide_map: SlideMap
    samples: Samples
    agreement: SlideAgreement
    thumbnail: RGB | None = None

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        found = self.agreement
        rows = [
            (found.classes[place], *(None if math.isnan(value) else value for value in (*scores, distance_um)))
            for place, distance_um in zip(found.compared, found.hausdorff_um, strict=True)
            for scores in (class_scores(found.px, (place,)),)
        ]
        header = ("class", "Dice", "precision", "recall", "95 % Hausdorff distance, µm")
        return show.paragraph(f"{found.slide}: {found.model}", *found.notes) + show.table(header, rows)


def class_scores(counts: Ints, places: Sequence[int]) -> Scores:
    """Return Dice, precision and recall of some classes together, or of one class.

    With TP what map and expert call the same, FP what only the map calls so and FN what only the expert does, each
    summed over the classes: Dice = 2 TP / (2 TP + FP + FN) (Dice 1945), precision = TP / (TP + FP), recall =
    TP / (TP + FN).

    Args:
        counts: int64 (K, K + 1), map by expert.
        places: Numbers of the classes.
    """
    chosen = list(places)
    hits = int(counts[chosen, chosen].sum())
    mapped, expert = int(counts[chosen].sum()), int(counts[:, chosen].sum())
    dice, precision, recall = (
        part / whole if whole else math.nan
        for part, whole in ((2 * hits, mapped + expert), (hits, mapped), (hits, expert))
    )
    return Scores(dice, precision, recall)


def agree_on_slide(
    slide_map: SlideMap,
    annotation: Annotation,
    *,
    edges_um: NDArray[np.float64] | None = None,
    unlabelled_is_other: bool = False,
    model: str | None = None,
) -> Compared:
    """Compare a map with an expert's annotation of the same slide.

    Classes are matched by name, regardless of case. Where the expert drew a class that the map does not have, every
    prediction counts as wrong. Places without annotation, or annotated without a class, are not compared, unless
    `unlabelled_is_other`.

    Args:
        slide_map: The map.
        annotation: Of the same slide, in its level-0 px.
        edges_um: Steps of the boundary profiles; as wide as a cell up to 1,000 µm if not given.
        unlabelled_is_other: Count places without annotation as none of the classes, for slides whose classes of
            interest were outlined completely.
        model: Name for the map's Model; the card's by default.

    Raises:
        DataError: Map and annotation have no class in common, or nothing is left to compare.
    """
    card = slide_map.card
    lookup, compared = _translation(slide_map.classes, annotation, unlabelled_is_other=unlabelled_is_other)
    if edges_um is None:
        edges_um = distance_edges_um(slide_map.stride_um, max(DEFAULT_REACH_UM, slide_map.stride_um))
    cells, px, left_out = _count(slide_map, annotation, lookup)
    if not px.any():
        raise DataError(f"{annotation.source}: labels no place with a tile of {card.slide}; choose its annotation")
    samples = sample(slide_map, annotation, lookup)
    distances = tuple(
        hausdorff95_um(samples.mapped == place, samples.expert == place, samples.compared, samples.step_um)
        for place in compared
    )
    name = model or card.model
    found = (boundary_profile(slide_map, samples, place, edges_um, slide=card.slide, model=name) for place in compared)
    agreement = SlideAgreement(
        slide=card.slide,
        model=name,
        classes=slide_map.classes,
        compared=compared,
        cells=cells,
        px=px,
        px_mm2=card.slide_mpp**2 / 1e6,
        cell_mm2=slide_map.stride_um**2 / 1e6,
        hausdorff_um=distances,
        step_um=samples.step_um,
        left_out=left_out,
        profiles=tuple(profile for profile in found if profile is not None),
        notes=_notes(slide_map, annotation, compared, strange=bool(px[:, -1].any())),
    )
    return Compared(slide_map, samples, agreement)


def compared_again(
    slide_map: SlideMap,
    annotation: Annotation,
    agreement: SlideAgreement,
    *,
    unlabelled_is_other: bool = False,
    thumbnail: RGB | None = None,
) -> Compared:
    """Pair a map and an annotation again that have been compared, to draw them.

    Raises:
        DataError: Map and annotation have no class in common.
    """
    samples = sample_both(slide_map, annotation, unlabelled_is_other=unlabelled_is_other)
    return Compared(slide_map, samples, agreement, thumbnail)


def sample_both(slide_map: SlideMap, annotation: Annotation, *, unlabelled_is_other: bool = False) -> Samples:
    """Return what map and expert say of the same places, without measuring it.

    Raises:
        DataError: Map and annotation have no class in common.
    """
    lookup, _ = _translation(slide_map.classes, annotation, unlabelled_is_other=unlabelled_is_other)
    return sample(slide_map, annotation, lookup)


def _translation(
    classes: tuple[str, ...], annotation: Annotation, *, unlabelled_is_other: bool
) -> tuple[ClassGrid, tuple[int, ...]]:
    """Return the map's index of each class of the annotation, then that of no class, and the common indices."""
    known = {name.strip().casefold(): place for place, name in enumerate(classes)}
    other, nothing = len(classes), len(classes) if unlabelled_is_other else -1
    numbers = [
        nothing if name == UNCLASSIFIED else known.get(name.strip().casefold(), other) for name in annotation.classes
    ]
    compared = tuple(sorted({number for number in numbers if 0 <= number < other}))
    if not compared:
        raise DataError(
            f"{annotation.source}: its classes ({', '.join(annotation.classes[:5])}) match none of the map's "
            f"({', '.join(classes[:5])}); give a `legend` with the map's class names"
        )
    return np.array([*numbers, nothing], np.int16), compared


def _count(slide_map: SlideMap, annotation: Annotation, lookup: ClassGrid) -> tuple[Ints, Ints, LeftOut]:
    """Count cells and level-0 px by the map's class and the expert's, and those that only one of them labels."""
    classes = len(slide_map.classes)
    grid = np.pad(slide_map.class_grid(), (0, 1), constant_values=NO_CLASS_BYTE).astype(np.int64)
    grid[grid == NO_CLASS_BYTE] = classes
    cells, px = (np.zeros((classes + 1, classes + 2), np.int64) for _ in range(2))  # with "no tile" and "no label"
    for mapped, areas in zip(grid, _areas(slide_map, annotation, lookup), strict=True):
        np.add.at(px, mapped, areas)
        np.add.at(cells, (mapped, areas.argmax(axis=1)), 1)  # the most area; of equals the first
    without_tile = int((grid[:-1, :-1] == classes).sum())
    left_out = LeftOut(without_tile, int(cells[:-1, -1].sum()), int(px[-1, :-1].sum()), int(px[:-1, -1].sum()))
    return cells[:-1, :-1], px[:-1, :-1], left_out


def _areas(slide_map: SlideMap, annotation: Annotation, lookup: ClassGrid) -> Iterator[Ints]:
    """Return, for each row of cells and finally for the rest below, the px of each class in each cell.

    Each is int64 (columns + 1, K + 2): the last column of cells is the rest on the right, the last two classes are
    "another" and "none". Only a strip of the slide is held at a time.
    """
    width, height = slide_map.card.slide_width_px, slide_map.card.slide_height_px
    rows, columns = slide_map.grid_shape
    tops = np.append(slide_map.tile_grid.starts_px(np.arange(rows + 1)).clip(max=height), height)
    lefts = np.append(slide_map.tile_grid.starts_px(np.arange(columns + 1)).clip(max=width), width)
    cell_of_px = np.repeat(np.arange(columns + 1), np.diff(lefts))
    numbers = len(slide_map.classes) + 2
    for top, bottom in zip(tops[:-1].tolist(), tops[1:].tolist(), strict=True):
        areas = np.zeros((columns + 1) * numbers, np.int64)
        lines = max(1, _STRIP_PX // width)
        for start in range(top, bottom, lines):
            labels = annotation.rasterise(0, start, width, min(lines, bottom - start), 1)
            begins = np.empty(labels.shape, bool)  # runs of px of one class in one cell and line
            begins[:, 1:] = labels[:, 1:] != labels[:, :-1]
            begins[:, lefts[:-1][np.diff(lefts) > 0]] = True
            first = np.flatnonzero(begins)
            length = np.diff(first, append=labels.size)
            kind = lookup[labels.reshape(-1)[first]] % numbers  # −1 is the last
            key = cell_of_px[first % width] * numbers + kind
            areas += np.bincount(key, weights=length, minlength=len(areas)).astype(np.int64)
        yield areas.reshape(columns + 1, numbers)


def _notes(slide_map: SlideMap, annotation: Annotation, compared: tuple[int, ...], *, strange: bool) -> tuple[str, ...]:
    """Return notes for the user; `strange`: the expert drew a class somewhere that the map does not have."""
    known = {slide_map.classes[place].strip().casefold() for place in compared}
    unknown = [name for name in annotation.classes if name.strip().casefold() not in known and name != UNCLASSIFIED]
    unasked = [name for place, name in enumerate(slide_map.classes) if place not in compared]
    notes = [f"{remark} ({count})" for remark, count in annotation.remarks.items()]
    if unknown and strange:
        notes.append(f"classes of the annotation that the map lacks count as wrong: {', '.join(unknown)}")
    if unasked:
        notes.append(f"classes of the map that the annotation lacks are not listed: {', '.join(unasked)}")
    return tuple(notes)
