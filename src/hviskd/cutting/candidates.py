"""Finds the possible tiles of each class on a slide, before any tile is read."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hviskd.annotations import Annotation, Legend
from hviskd.annotations.legend import LegendClass
from hviskd.cutting.settings import CutSettings
from hviskd.slides import Slide, TileGrid, TissueMask

CELLS_PER_TILE = 30  # along a side: 2.5 µm in tiles of 75 µm
_BAND_CELLS = 4_000_000
# What is cut where nothing is annotated: counted and drawn like a class, and left out of the TileSet.
ANY_TISSUE = Legend(name="tissue", classes=(LegendClass(name="tissue", colours=((120, 120, 120),)),))


@dataclass(frozen=True, eq=False)
class Candidates:
    """The possible tiles of one slide, row by row, and the numbers of squares left out.

    Attributes:
        x_px: (N,) int64, left edges in level-0 px.
        y_px: (N,) int64, upper edges in level-0 px.
        label: (N,) int16, class index.
        impure: (K,) int64, squares left out by class, since too much of them is of another class or of none.
        thin: (K,) int64, squares left out by class, since they hold too little tissue.
        unlabelled: Squares in which nothing is annotated.
        grid: The grid they are squares of.
        tissue: The tissue of the slide.
        mpp: µm per level-0 px.
        icc: The slide's ICC colour profile.
        notes: What a user should know about the slide and its annotation.
    """

    x_px: NDArray[np.int64]
    y_px: NDArray[np.int64]
    label: NDArray[np.int16]
    impure: NDArray[np.int64]
    thin: NDArray[np.int64]
    unlabelled: int
    grid: TileGrid
    tissue: TissueMask
    mpp: float
    icc: str | None
    notes: tuple[str, ...]

    def available(self, classes: int) -> NDArray[np.int64]:
        """Count the possible tiles by class: (classes,) int64."""
        return np.bincount(self.label, minlength=classes).astype(np.int64)


def find_candidates(slide: Slide, annotation: Annotation, tissue: TissueMask, settings: CutSettings) -> Candidates:
    """Find the squares of a slide's grid that lie within one class.

    A tile has the class of most of its cells. The annotation is rasterised in bands, 30 cells a tile side. At a purity
    of 1 a tile holds no px of another class either; a px of no class between the cells, as the noise of a JPEG mask
    makes them, does no harm.

    Args:
        slide: An open slide.
        annotation: What an expert drew on it.
        tissue: Where its tissue is.
        settings: What makes a tile; classes that need no tissue are named as the annotation has them.

    Raises:
        DataError: The slide is much coarser than the tiles, or smaller than one.
    """
    grid = TileGrid.on(slide, tile_px=settings.tile_px, mpp=settings.mpp)
    count = len(annotation.classes)
    labels, shares = _majorities(annotation, grid)
    x_px, y_px = (places.ravel() for places in np.meshgrid(*grid.places_px()))
    is_labelled = shares > 0
    is_pure = is_labelled & (shares >= settings.purity - 1e-9)
    if settings.purity == 1:  # what stands between the points counts too
        sides = (x_px[is_pure], y_px[is_pure], grid.side_px)
        is_pure[is_pure] = ~annotation.hold_others(*sides, labels[is_pure])
    glass = [annotation.classes.index(name) for name in settings.glass or ()]
    has_tissue = np.isin(labels, glass) | (tissue.share(x_px, y_px, grid.tile0_px) >= settings.min_tissue)
    kept = is_pure & has_tissue
    return Candidates(
        x_px=x_px[kept],
        y_px=y_px[kept],
        label=labels[kept],
        impure=np.bincount(labels[is_labelled & ~is_pure], minlength=count),
        thin=np.bincount(labels[is_pure & ~has_tissue], minlength=count),
        unlabelled=int((~is_labelled).sum()),
        grid=grid,
        tissue=tissue,
        mpp=slide.mpp,
        icc=slide.icc,
        notes=(
            *slide.notes,
            *tissue.notes,
            *(f"annotation: {times} {remark}" for remark, times in annotation.remarks.items()),
        ),
    )


def find_tissue(slide: Slide, tissue: TissueMask, settings: CutSettings) -> Candidates:
    """Find the squares of a slide's grid that hold enough tissue, whatever it is; all are of class 0, `ANY_TISSUE`.

    Raises:
        DataError: The slide is much coarser than the tiles, or smaller than one.
    """
    grid = TileGrid.on(slide, tile_px=settings.tile_px, mpp=settings.mpp)
    x_px, y_px = (places.ravel() for places in np.meshgrid(*grid.places_px()))
    kept = tissue.share(x_px, y_px, grid.tile0_px) >= settings.min_tissue
    return Candidates(
        x_px=x_px[kept],
        y_px=y_px[kept],
        label=np.zeros(int(kept.sum()), np.int16),
        impure=np.zeros(1, np.int64),
        thin=np.array([(~kept).sum()]),
        unlabelled=0,
        grid=grid,
        tissue=tissue,
        mpp=slide.mpp,
        icc=slide.icc,
        notes=(*slide.notes, *tissue.notes),
    )


def _majorities(annotation: Annotation, grid: TileGrid) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Return, for each square of the grid, row by row, its most frequent class and that class's share of its cells."""
    count, cells = len(annotation.classes), CELLS_PER_TILE
    labels = np.empty((grid.rows, grid.columns), np.int16)
    shares = np.empty((grid.rows, grid.columns))
    step = max(1, _BAND_CELLS // (grid.columns * cells**2))
    for first in range(0, grid.rows, step):
        rows = min(step, grid.rows - first)
        side = grid.tile0_px
        band = annotation.rasterise(0, first * side, grid.columns * side, rows * side, side / cells)
        square = np.arange(rows).repeat(cells)[:, None] * grid.columns + np.arange(grid.columns).repeat(cells)
        entries = square * (count + 1) + band + 1
        tally = np.bincount(entries.ravel(), minlength=rows * grid.columns * (count + 1))
        tally = tally.reshape(rows, grid.columns, count + 1)[..., 1:]
        labels[first : first + rows] = tally.argmax(axis=-1)
        shares[first : first + rows] = tally.max(axis=-1) / cells**2
    return labels.ravel(), shares.ravel()
