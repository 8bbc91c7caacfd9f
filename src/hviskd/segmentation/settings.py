"""Settings of a map: what the user requests, completed from a Model's card."""

import math
from dataclasses import dataclass, field, replace

from hviskd.checks import require_at_least, require_list, require_mpp, require_share
from hviskd.errors import DataError, ModelError
from hviskd.models import ModelCard
from hviskd.models.compute import Compute
from hviskd.segmentation.slide_map import MAX_CLASSES
from hviskd.slides import TissueRule

WRITTEN = ("overview", "qupath", "table", "ome-tiff")  # beside the map itself and its summary
_MOST_OVERLAP = 4  # tiles over one place in either direction: sixteen times the work


@dataclass(frozen=True)
class MapSettings:
    """What to map, and how densely.

    Attributes:
        mpp: µm/px of the tiles, for a Model whose card does not record it.
        stride_px: Step between tiles in px of `mpp`, from a quarter of a tile to a whole one; tiles overlap if it is
            smaller than a tile. One tile if None.
        min_tissue: Minimum share of tissue in a tile.
        tissue: Settings of tissue detection.
        unsure_below: Tiles with a lower top probability are marked as unsure; None uses the Model's threshold, if it
            is calibrated, and 0 marks none.
        icc: Convert pixels to sRGB by the slide's ICC profile, if it has one; None: as the Model's tiles were.
        coarse_to_fine: Look at all tiles at low power first, and at full power only where that leaves the class open or
            classes meet; for Models that were trained for it.
        write: Which files are written beside `map.npz` and `summary.json`: any of `overview`, `qupath`, `table` and
            `ome-tiff`.

    Raises:
        DataError: A number is invalid, or a file is unknown.
    """

    mpp: float | None = None
    stride_px: int | None = None
    min_tissue: float = 0.5
    tissue: TissueRule = field(default_factory=TissueRule)
    unsure_below: float | None = None
    icc: bool | None = None
    coarse_to_fine: bool = False
    write: tuple[str, ...] = WRITTEN

    def __post_init__(self) -> None:
        """Reject invalid values."""
        require_mpp(self.mpp)
        require_at_least(1, stride_px=self.stride_px)
        require_share(min_tissue=self.min_tissue, unsure_below=self.unsure_below)
        require_list("write", self.write)
        unknown = [name for name in self.write if name not in WRITTEN]
        if unknown:
            raise DataError(f"`write={unknown[0]!r}`: no such output; choose among {', '.join(WRITTEN)}")


@dataclass(frozen=True)
class Request:
    """What to map on every slide, from a Model's card and the settings.

    Attributes:
        card: Of the Model.
        mpp: µm/px of the tiles.
        stride_px: Step of the grid in px of `mpp`.
        min_tissue: Minimum share of tissue in a tile.
        tissue: What counts as tissue.
        unsure_below: Tiles whose top probability is lower are drawn as unsure; None draws every class.
        icc: Convert pixels to sRGB by the slide's ICC profile, if it has one.
        first_unsure_below: In a first pass at low power, tiles whose top probability is lower are looked at closely;
            None: there is no first pass.
    """

    card: ModelCard
    mpp: float
    stride_px: int
    min_tissue: float
    tissue: TissueRule
    unsure_below: float | None
    icc: bool
    first_unsure_below: float | None = None

    @classmethod
    def of(cls, card: ModelCard, settings: MapSettings) -> "Request":
        """Complete the settings from a card.

        Raises:
            ModelError: The Model does not know its µm/px and none is given, or another is; or it has too many classes,
                or is not calibrated for a first pass.
            DataError: The step does not suit the Model's tiles.
        """
        if len(card.classes) > MAX_CLASSES:
            raise ModelError(f"{card.name}: has {len(card.classes)} classes, but a map has at most {MAX_CLASSES}")
        mpp = card.settle_mpp(settings.mpp)
        if mpp is None:
            raise ModelError(f"{card.name}: its card does not record the µm/px of its tiles; give it with `mpp`")
        stride_px = settings.stride_px or card.tile_px
        least = math.ceil(card.tile_px / _MOST_OVERLAP)
        if not least <= stride_px <= card.tile_px:
            raise DataError(
                f"`stride_px={stride_px}`: must be from {least} to {card.tile_px}, a quarter of a tile of {card.name} "
                "to a whole one"
            )
        unsure_below = settings.unsure_below
        if unsure_below is None and card.calibration is not None:
            unsure_below = card.calibration.unsure_below
        icc = card.icc if settings.icc is None else settings.icc
        first_below = _first_unsure_below(card) if settings.coarse_to_fine else None
        return cls(card, mpp, stride_px, settings.min_tissue, settings.tissue, unsure_below or None, icc, first_below)

    def suited(self, compute: Compute) -> Compute:
        """Return how to compute what is wanted: two passes in the same floating point, for int8 reads full power alone.

        Raises:
            DataError: Two passes in int8 are asked for.
        """
        if self.first_unsure_below is None:
            return compute
        if compute.precision == "int8":
            raise DataError("`precision='int8'`: omit it, since `coarse_to_fine=True` computes in floating point")
        undecided = compute.precision == "auto" and self.card.int8 is not None
        return replace(compute, precision="float32") if undecided else compute


def _first_unsure_below(card: ModelCard) -> float:
    if card.coarse_to_fine is None:
        raise ModelError(
            f"{card.name}: has no threshold for a first pass at low power; train it with `low_power=0.5` in the "
            "recipe, on tiles with a validation split, or omit `coarse_to_fine=True`"
        )
    return card.coarse_to_fine.unsure_below
