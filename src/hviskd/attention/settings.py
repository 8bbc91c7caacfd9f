"""Settings of attention maps, and of their comparison with outlines; for `attend`."""

from dataclasses import dataclass
from typing import Literal, get_args

from hviskd.annotations import Legend
from hviskd.attention.overlap import AREA_SHARE, LEVEL
from hviskd.checks import require_at_least, require_positive_share
from hviskd.errors import RecipeError

MapKind = Literal["grad-cam", "hires-cam", "cam"]


@dataclass(frozen=True)
class AttentionSettings:
    """Which maps to draw, and how they are measured.

    Attributes:
        split: Split of the tiles.
        class_name: Explain this class, on its tiles only; if None, explain every tile's own class.
        kind: `grad-cam`, `hires-cam` or `cam`.
        stage: Stage of the network, 0 for the stem; None for the last.
        area_share: Share of the tile for the Dice at a fixed share.
        level: Threshold as a share of the map's maximum, for the Dice at a fixed level.
        seed: Random seed of the random maps.
        legend: Classes of the annotations: only what is outlined as the tile's class is inside. If None, whatever is
            outlined is inside.

    Raises:
        RecipeError: There is no such kind.
        DataError: A number is invalid.
    """

    split: str = "test"
    class_name: str | None = None
    kind: MapKind = "grad-cam"
    stage: int | None = None
    area_share: float = AREA_SHARE
    level: float = LEVEL
    seed: int = 0
    legend: Legend | None = None

    def __post_init__(self) -> None:
        """Reject invalid values."""
        if self.kind not in get_args(MapKind):
            raise RecipeError(f"`kind={self.kind!r}`: unknown; choose one of {', '.join(get_args(MapKind))}")
        require_at_least(0, stage=self.stage, seed=self.seed)
        require_positive_share(area_share=self.area_share, level=self.level)
