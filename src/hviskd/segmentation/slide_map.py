"""The SlideMap: a Model's predictions for every tile of a slide, with their positions.

`segment` makes it; everything that writes, draws, reports or compares maps reads it.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hviskd.arrays import NO_CLASS_BYTE, RGB, Bools, Colour
from hviskd.segmentation.coarse_to_fine import FirstPass
from hviskd.slide_frame import Glass, SlideFrame
from hviskd.slides import TileGrid, TissueRule

if TYPE_CHECKING:
    import pandas as pd

MAX_CLASSES = NO_CLASS_BYTE

_SUM_TOLERANCE = 1e-3
_NOTEBOOK_PX = 480


class MapCard(BaseModel):
    """The card of a map: its slide, Model and geometry, without paths and personal data.

    Attributes:
        slide: File name of the slide, without its folder.
        slide_fingerprint: Digest that tells the same slide file, wherever it lies.
        slide_width_px: Width in level-0 px.
        slide_height_px: Height in level-0 px.
        slide_mpp: µm a level-0 px.
        slide_origin_px: Where what was scanned begins, x and y in level-0 px; QuPath counts from there.
        slide_scan_size: Width and height of what was scanned, in level-0 px, if known.
        slide_glass: Where points on the glass lie, for annotations that count from there, if known.
        model: Name of the Model.
        model_fingerprint: SHA-256 of its weights.
        classes: Their names.
        colours: One RGB colour a class.
        tile_px: Side of a tile that the Model reads.
        mpp: µm a px of it.
        stride_px: Step of the grid in px of `mpp`; `tile_px` where tiles do not overlap.
        min_tissue: Least share of tissue of a tile that was classified.
        tissue_rule: What counted as tissue.
        unsure_below: Tiles whose most probable class is less probable are drawn as unsure; None draws every class.
        icc: Whether pixels were converted to sRGB by the slide's ICC profile.
        stain: What was done to the slide's stain, such as `macenko` or `none`.
        first_pass: How tiles were read that were not looked at closely; None where all were read at full power.
        engine: What computed the probabilities.
        tissue_area_um2: Area of the tissue found.
        ink_area_um2: Area excluded as marker ink.
        notes: What a user should know of this slide and this map.
        versions: Of the programs that took part.
        created: When, ISO 8601, UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format_version: Literal[1] = 1
    slide: str
    slide_fingerprint: str
    slide_width_px: int = Field(gt=0)
    slide_height_px: int = Field(gt=0)
    slide_mpp: float = Field(gt=0)
    slide_origin_px: tuple[int, int] = (0, 0)
    slide_scan_size: tuple[int, int] | None = None
    slide_glass: Glass | None = None
    model: str
    model_fingerprint: str
    classes: tuple[str, ...] = Field(min_length=2, max_length=MAX_CLASSES)
    colours: tuple[Colour, ...]
    tile_px: int = Field(gt=0)
    mpp: float = Field(gt=0)
    stride_px: int = Field(gt=0)
    min_tissue: float = Field(ge=0, le=1)
    tissue_rule: TissueRule = TissueRule()
    unsure_below: float | None = Field(default=None, ge=0, le=1)
    icc: bool = False
    stain: str = "none"
    first_pass: FirstPass | None = None
    engine: str
    tissue_area_um2: float = Field(ge=0)
    ink_area_um2: float = Field(default=0.0, ge=0)
    notes: tuple[str, ...] = ()
    versions: dict[str, str]
    created: str

    @property
    def slide_size(self) -> tuple[int, int]:
        """Width and height of the slide in level-0 px."""
        return self.slide_width_px, self.slide_height_px

    def frame(self, *, no_crop: bool = False) -> SlideFrame:
        """Return where other programs count px from on the slide; `no_crop`: see `SlideFrame`."""
        place = self.slide_size, self.slide_origin_px, self.slide_scan_size
        return SlideFrame(*place, no_crop, self.slide_glass, self.slide_mpp)

    @model_validator(mode="after")
    def _fits_together(self) -> "MapCard":
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes have the same name")
        if len(self.colours) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes and {len(self.colours)} colours")
        if not all(0 <= part <= 255 for colour in self.colours for part in colour):
            raise ValueError("a colour must be three numbers from 0 to 255")
        if self.stride_px > self.tile_px:
            raise ValueError(f"the step of {self.stride_px} px is larger than a tile of {self.tile_px} px")
        return self


@dataclass(frozen=True, eq=False)
class SlideMap:
    """Class probabilities on the tile grid of one slide; without tiles if the slide has no tissue.

    Attributes:
        card: Its slide, Model, settings and geometry.
        column: int32 (N,), position on the grid; the tile begins at level-0 px `column` × `stride0_px`.
        row: int32 (N,), the same for y. Tiles are in row order, each place once.
        probabilities: float32 (N, K); each row sums to 1.
        looked_closely: (N,): which tiles were read at full power after a first pass at low power; None where all were,
            without one.
    """

    card: MapCard
    column: NDArray[np.int32]
    row: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    looked_closely: Bools | None = None

    def __post_init__(self) -> None:
        """Check that the parts match each other and the slide.

        Raises:
            ValueError: They do not.
        """
        count = len(self.row)
        if self.row.shape != (count,) or self.column.shape != (count,):
            raise ValueError(f"rows of shape {self.row.shape} and columns of shape {self.column.shape}")
        if self.probabilities.shape != (count, len(self.card.classes)):
            raise ValueError(f"probabilities of shape {self.probabilities.shape} for {count} tiles")
        _check_first_pass(self.card.first_pass, self.looked_closely, count)
        if not count:
            return
        rows, columns = self.tile_grid.rows, self.tile_grid.columns
        if self.row.min() < 0 or self.column.min() < 0 or self.row.max() >= rows or self.column.max() >= columns:
            raise ValueError(f"a tile lies outside the grid of {rows} × {columns}")
        if (np.diff(self.row.astype(np.int64) * columns + self.column) <= 0).any():
            raise ValueError("the tiles are not in row order, each once")
        sums = self.probabilities.sum(axis=1, dtype=np.float64)
        if not (np.abs(sums - 1) < _SUM_TOLERANCE).all() or self.probabilities.min() < 0:
            raise ValueError("the probabilities of a tile do not sum to 1")

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self.row)

    @cached_property
    def tile_grid(self) -> TileGrid:
        """The grid over the whole slide."""
        card = self.card
        return TileGrid.over(
            card.slide_size,
            card.slide_mpp,
            tile_px=card.tile_px,
            mpp=card.mpp,
            stride_px=card.stride_px,
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.card.classes

    @property
    def colours(self) -> tuple[Colour, ...]:
        """One RGB colour per class."""
        return self.card.colours

    @property
    def tile_um(self) -> float:
        """Side of a tile in µm."""
        return self.card.tile_px * self.card.mpp

    @property
    def stride_um(self) -> float:
        """Step of the grid in µm."""
        return self.card.stride_px * self.card.mpp

    @property
    def tile0_px(self) -> float:
        """Side of a tile in level-0 px."""
        return self.tile_grid.tile0_px

    @property
    def stride0_px(self) -> float:
        """Step of the grid in level-0 px."""
        return self.tile_grid.stride0_px

    @property
    def x_px(self) -> NDArray[np.int64]:
        """Left edges of the tiles in level-0 px, int64 (N,)."""
        return self.tile_grid.starts_px(self.column)

    @property
    def y_px(self) -> NDArray[np.int64]:
        """Upper edges of the tiles in level-0 px, int64 (N,)."""
        return self.tile_grid.starts_px(self.row)

    @property
    def class_index(self) -> NDArray[np.int64]:
        """The most probable class of each tile, int64 (N,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def entropy(self) -> NDArray[np.float64]:
        """Entropy of the class probabilities of each tile, in bits: 0 to log2(K), float64 (N,) (Shannon 1948)."""
        return entropy_bits(self.probabilities)

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of the cells, squares of `stride_um`, over the whole slide."""
        return self.tile_grid.cells

    def grid(self) -> NDArray[np.float32]:
        """Return the probabilities as an image, float32 (rows, columns, K); NaN where there is no tile.

        Cell (row, column) begins at level-0 px `stride0_px` × (column, row). Where tiles overlap, a cell is the mean
        of the tiles over it, weighted by how much of the cell each covers.
        """
        rows, columns = self.grid_shape
        reach = self.card.tile_px / self.card.stride_px
        total = np.zeros((rows, columns, len(self.classes)), np.float32)
        weight = np.zeros((rows, columns, 1), np.float32)
        for down in range(math.ceil(reach)):
            for right in range(math.ceil(reach)):
                covered = np.float32(min(1.0, reach - down) * min(1.0, reach - right))
                inside = (self.row + down < rows) & (self.column + right < columns)
                cells = self.row[inside] + down, self.column[inside] + right  # each once, for each tile is there once
                total[cells] += covered * self.probabilities[inside]
                weight[cells] += covered
        return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)

    def class_grid(self) -> NDArray[np.uint8]:
        """Return the most probable class of each cell, uint8 (rows, columns); 255 where there is no tile."""
        probabilities = self.grid()
        missing = np.isnan(probabilities).any(axis=-1)
        probabilities[missing] = 0
        best = probabilities.argmax(axis=-1).astype(np.uint8)
        best[missing] = NO_CLASS_BYTE
        return best

    def areas_mm2(self) -> dict[str, float]:
        """Return the area of each class in mm²: its cells of the class grid."""
        cells = np.bincount(self.class_grid().ravel(), minlength=NO_CLASS_BYTE + 1)
        area = self.stride_um**2 / 1e6
        return {name: float(count * area) for name, count in zip(self.classes, cells, strict=False)}

    def to_dataframe(self) -> "pd.DataFrame":
        """Return one row per tile: slide, row, column, x_px, y_px, side_px, class, entropy_bits, prob_CLASS ….

        After a first pass at low power, `looked_closely` stands before the probabilities.
        """
        import pandas as pd

        columns = self.columns()
        words = {name: pd.Series(column, dtype="str") for name, column in columns.items() if isinstance(column, list)}
        return pd.DataFrame(columns | words)

    def columns(self) -> dict[str, list[str] | NDArray[np.generic]]:
        """Return the columns of `to_dataframe` by name, without pandas: texts as lists, numbers as arrays."""
        return {
            "slide": [self.card.slide] * len(self),
            "row": self.row,
            "column": self.column,
            "x_px": self.x_px,
            "y_px": self.y_px,
            "side_px": np.full(len(self), self.tile0_px),
            "class": [self.classes[place] for place in self.class_index.tolist()],
            "entropy_bits": self.entropy,
            **({} if self.looked_closely is None else {"looked_closely": self.looked_closely}),
            **{f"prob_{name}": self.probabilities[:, place] for place, name in enumerate(self.classes)},
        }

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        card, areas = self.card, self.areas_mm2()
        total = sum(areas.values())
        title = f"{card.slide}: {len(self):,} tiles of {self.tile_um:.4g} µm by {card.model}"
        legend = [
            (show.swatch(colour), name, areas[name], f"{areas[name] / total:.1%}" if total else None)
            for name, colour in zip(self.classes, self.colours, strict=True)
        ]
        return (
            show.paragraph(title, f"tissue {card.tissue_area_um2 / 1e6:.3g} mm²")
            + show.picture(self._painted(_NOTEBOOK_PX), f"classes of {card.slide}", lossless=True)
            + show.table(("", "class", "mm²", "share"), legend, html=(0,))
        )

    def _painted(self, most_px: int) -> RGB:
        """Paint the slide in the colours of its classes, white where there is no tile, at most so many px a side."""
        width, height = self.card.slide_size
        scale = most_px / max(width, height)
        y, x = ((np.arange(max(1, round(side * scale))) + 0.5) / scale / self.stride0_px for side in (height, width))
        cells = np.pad(self.class_grid(), (0, 1), constant_values=NO_CLASS_BYTE)
        row, column = (np.minimum(at.astype(np.int64), last - 1) for at, last in zip((y, x), cells.shape, strict=True))
        palette = np.full((NO_CLASS_BYTE + 1, 3), 255, np.uint8)
        palette[: len(self.colours)] = self.colours
        return palette[cells[np.ix_(row, column)]]


def _check_first_pass(first_pass: FirstPass | None, looked_closely: Bools | None, count: int) -> None:
    if (first_pass is None) != (looked_closely is None):
        raise ValueError("the card and the tiles differ on whether there was a first pass")
    if first_pass is None or looked_closely is None:
        return
    if looked_closely.shape != (count,) or looked_closely.dtype != np.bool_:
        raise ValueError(f"looked_closely of shape {looked_closely.shape} for {count} tiles")
    if np.count_nonzero(looked_closely) != first_pass.closely:
        raise ValueError(f"the card says that {first_pass.closely} tiles were looked at closely")


def entropy_bits(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the entropy of probabilities (…, K) in bits, float64 (…,); NaN where they are NaN (Shannon 1948)."""
    shares = probabilities.astype(np.float64)
    logs = np.log2(shares, out=np.zeros_like(shares), where=~(shares <= 0))
    return np.abs((shares * logs).sum(axis=-1))
