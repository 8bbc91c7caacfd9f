"""Settings of a cutting, checked before anything is read."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from hviskd.annotations import DEFAULT_TOLERANCE, Legend
from hviskd.checks import require_at_least, require_list, require_mpp, require_share
from hviskd.errors import DataError
from hviskd.processor import usable_cpus
from hviskd.running import Running
from hviskd.slides import Stain, TissueRule

_FARTHEST = 442  # 255 times the root of 3
_GLASS = "BG"  # the class of empty glass in the legends that come with the package
_NOT_ON_CARD = ("stain", "licence", "workers")  # the first two stand there already, the last changes no tile

_OF_ANNOTATIONS = ("purity", "glass", "tolerance", "no_crop")


@dataclass(frozen=True)
class CutSettings:
    """Which squares of a slide become tiles, and what is done with them.

    Attributes:
        tile_px: Side of a tile.
        mpp: µm per tile pixel.
        purity: Minimum share of a tile's cells (30 per side) that belong to its class; cells without annotation count
            against it. With 1, no px of the tile belongs to another class, so no border crosses it.
        min_tissue: Minimum share of tissue in a tile.
        glass: Classes whose tiles need no tissue; by default the class BG, if the legend has it.
        cap: Maximum number of tiles per class, divided as evenly as possible among patients and slides; None: all.
        cap_per_slide: The same per class and slide; None: all.
        seed: Random seed for drawing tiles of classes that exceed the cap.
        tolerance: Largest distance between a mask colour and its legend colour, in RGB.
        no_crop: See `SlideFrame`; for outlines that QuPath exported with --no-crop.
        tissue: Settings of tissue detection.
        icc: Convert pixels to sRGB by each slide's ICC profile, if it has one, before anything else.
        stain: Reference stain of all tiles, for example from `stain_reference`; None: no stain normalisation.
        licence: Licence of the slides, recorded in the TileSet and in everything made from it.
        workers: Number of threads; by default one per core. Or a cluster such as `Dask("local:4")`, each worker of
            which does one slide at a time with its own threads; all must see the slides and the output.

    Raises:
        DataError: A number is invalid, or `glass` is not a list.
    """

    tile_px: int = 150
    mpp: float = 0.5
    purity: float = 1.0
    min_tissue: float = 0.5
    glass: tuple[str, ...] | None = None
    cap: int | None = 10_000
    cap_per_slide: int | None = None
    seed: int = 0
    tolerance: float = DEFAULT_TOLERANCE
    no_crop: bool = False
    tissue: TissueRule = field(default_factory=TissueRule)
    icc: bool = False
    stain: Stain | None = None
    licence: str | None = None
    workers: int | Running | None = None

    def __post_init__(self) -> None:
        """Reject invalid values."""
        require_list("glass", self.glass)
        if not 1 <= self.tile_px <= 10_000:
            raise DataError(f"`tile_px={self.tile_px}`: must be from 1 to 10,000")
        require_mpp(self.mpp)
        if not 0 <= self.tolerance <= _FARTHEST:
            raise DataError(
                f"`tolerance={self.tolerance:g}`: must be from 0 to {_FARTHEST}, the distance from black to white"
            )
        require_share(purity=self.purity, min_tissue=self.min_tissue)
        require_at_least(1, cap=self.cap, cap_per_slide=self.cap_per_slide)
        if isinstance(self.workers, int | None):
            require_at_least(1, workers=self.workers)
        elif not self.workers.remote:
            raise DataError(f"`workers={self.workers}`: must be a number of threads, or a `Dask` cluster")
        require_at_least(0, seed=self.seed)

    @property
    def threads(self) -> int:
        """Number of threads of one process."""
        return self.workers if isinstance(self.workers, int) else usable_cpus()

    def under(self, legend: Legend) -> "CutSettings":
        """Determine which classes of a legend need no tissue.

        Raises:
            DataError: `glass` names a class that the legend has not.
        """
        glass = [name for name in (_GLASS,) if legend.index(name) is not None] if self.glass is None else self.glass
        places = [legend.index(name) for name in glass]
        if None in places:
            raise DataError(f"`glass=[{glass[places.index(None)]!r}]`: legend {legend.name} has no such class")
        return replace(self, glass=tuple(legend.names[place] for place in sorted({p for p in places if p is not None})))

    def on_card(self, *, labelled: bool = True) -> dict[str, Any]:
        """Return the settings that shaped the tiles, for the TileSet's card and the report."""
        content = {name: value for name, value in asdict(self).items() if name not in _NOT_ON_CARD}
        content["glass"] = list(self.glass or ())
        if self.cap_per_slide is None:
            del content["cap_per_slide"]
        content["stain"] = "none" if self.stain is None else self.stain.method
        return content if labelled else {k: v for k, v in content.items() if k not in _OF_ANNOTATIONS}
