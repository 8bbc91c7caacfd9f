"""Detects the tissue of a slide."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hviskd.arrays import Bools
from hviskd.mask_shapes import drop_small, holes
from hviskd.slides.slide import Slide
from hviskd.slides.tissue_colour import Thresholds, find_ink, find_tissue, optical_density, smoothed
from hviskd.slides.tissue_rule import TissueRule

_NOTEBOOK_PX = 480
_TISSUE, _INK = (150, 90, 150), (0, 158, 115)


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Tissue on a low-power grid over a whole slide; cell (row, column) begins at level-0 px `cell_px` × (column, row).

    Attributes:
        tissue: bool (rows, columns).
        ink: Where marker ink was left out, bool (rows, columns).
        cell_px: Side of a cell in level-0 px.
        mpp: Side of a cell in µm.
        thresholds: Above which optical density and saturation there is tissue.
    """

    tissue: Bools
    ink: Bools
    cell_px: float
    mpp: float
    thresholds: Thresholds

    @property
    def area_um2(self) -> float:
        """Area of the tissue in µm²."""
        return float(self.tissue.sum()) * self.mpp**2

    @property
    def ink_area_um2(self) -> float:
        """Area in µm² that was excluded as marker ink."""
        return float(self.ink.sum()) * self.mpp**2

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user; none if all is well."""
        notes = []
        if not self.tissue.any():
            advice = "check its image; lower `tissue.density` and `tissue.saturation` find paler or greyer tissue"
            notes.append(f"no tissue was found ({advice})")
        if self.ink.any():
            area = f"{self.ink_area_um2 / 1e6:.3g} mm²"
            notes.append(f"{area} excluded as marker ink; if that is tissue, `tissue.keep_ink=True` keeps it")
        return tuple(notes)

    def share(self, x_px: ArrayLike, y_px: ArrayLike, side_px: float) -> NDArray[np.float64]:
        """Return the share of tissue in level-0 squares; the area beyond the slide counts as glass.

        Args:
            x_px: Left edges in level-0 px, any shape.
            y_px: Top edges in level-0 px, of that shape or one that broadcasts with it.
            side_px: Side of the squares in level-0 px.

        Returns:
            Shares from 0 to 1, float64, of the broadcast shape; exact to the cell's fraction.
        """
        left, top = np.broadcast_arrays(
            np.asarray(x_px, np.float64) / self.cell_px, np.asarray(y_px, np.float64) / self.cell_px
        )
        side = side_px / self.cell_px
        area = (
            self._integral(top + side, left + side)
            - self._integral(top, left + side)
            - self._integral(top + side, left)
            + self._integral(top, left)
        )
        return np.clip(area / side**2, 0, 1)

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        thin = max(1, math.ceil(max(self.tissue.shape) / _NOTEBOOK_PX))
        shown = np.full((*self.tissue[::thin, ::thin].shape, 3), 255, np.uint8)
        shown[self.tissue[::thin, ::thin]] = _TISSUE
        shown[self.ink[::thin, ::thin]] = _INK
        ink_mm2 = self.ink_area_um2 / 1e6
        density, saturation = self.thresholds
        told = show.paragraph(
            f"tissue {self.area_um2 / 1e6:.3g} mm² (purple)",
            f"ink {ink_mm2:.3g} mm² (green), left out" if ink_mm2 else "",
            f"at {self.mpp:g} µm/px, optical density above {density:.3g} and saturation above {saturation:.3g}",
        )
        return told + show.picture(shown, "tissue", lossless=True)

    @cached_property
    def _sums(self) -> NDArray[np.int32]:
        """Cells of tissue above and to the left of each grid corner, int32 (rows + 1, columns + 1)."""
        rows, columns = self.tissue.shape
        sums = np.zeros((rows + 1, columns + 1), np.int32)
        inner = sums[1:, 1:]
        np.cumsum(self.tissue, axis=0, out=inner)
        np.cumsum(inner, axis=1, out=inner)
        return sums

    def _integral(self, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Tissue area above and to the left of any point, by bilinear interpolation between corners, which is exact."""
        rows, columns = self.tissue.shape
        y, x = np.clip(y, 0, rows), np.clip(x, 0, columns)
        row, column = np.minimum(y.astype(np.intp), rows - 1), np.minimum(x.astype(np.intp), columns - 1)
        down, right = y - row, x - column
        sums = self._sums
        upper = sums[row, column] * (1 - right) + sums[row, column + 1] * right
        lower = sums[row + 1, column] * (1 - right) + sums[row + 1, column + 1] * right
        return upper * (1 - down) + lower * down


def tissue_mask(slide: Slide, rule: TissueRule | None = None) -> TissueMask:
    """Detect the tissue of a slide by its colour at low power, without marker ink.

    Args:
        slide: An open slide.
        rule: Settings of tissue detection; by default those of `TissueRule`.

    Raises:
        DataError: The slide is damaged.
    """
    rule = rule or TissueRule()
    mpp = max(rule.mpp, slide.mpp)
    cell_px = mpp / slide.mpp
    columns, rows = (math.ceil(side / cell_px) for side in slide.size)
    smooth = smoothed(optical_density(slide.read(0, 0, columns, rows, mpp)), mpp)
    ink = np.zeros((rows, columns), np.bool_) if rule.keep_ink else find_ink(smooth, mpp)
    tissue, thresholds = find_tissue(smooth, density=rule.density, saturation=rule.saturation)
    tissue = drop_small(tissue & ~ink, rule.min_area_um2 / mpp**2)
    tissue |= _small_holes(tissue, rule.min_hole_um2 / mpp**2) & ~ink
    return TissueMask(tissue=tissue, ink=ink, cell_px=cell_px, mpp=mpp, thresholds=thresholds)


def _small_holes(tissue: Bools, max_px: float) -> Bools:
    """Find the holes in tissue that are smaller than `max_px` pixels."""
    found = holes(tissue)
    return found & ~drop_small(found, max_px)
