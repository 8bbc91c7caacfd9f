"""Coarse to fine: from which probability on the class of a tile at low power may stand for its class at full power."""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from hviskd.arrays import Bools, Floats32

AGREEMENT = 0.99
FIRST_PASS = 0.25  # px of a tile at low power, as a share of those at full power
_STEP = 0.05  # between two points of the curve, in tiles looked at closely


class CoarsePoint(BaseModel):
    """What a threshold costs, and how well the two passes together agree with a full pass, on validation tiles.

    Attributes:
        unsure_below: Tiles whose top probability at low power is lower are looked at closely, at full power.
        closely: Share of tiles that are.
        agreement: Share of tiles that get the class of the full pass.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    unsure_below: float = Field(ge=0, le=1)
    closely: float = Field(ge=0, le=1)
    agreement: float = Field(ge=0, le=1)

    @property
    def cost(self) -> float:
        """Px that the network reads, relative to a full pass: of the first pass, and of the tiles looked at closely."""
        return FIRST_PASS + self.closely


class CoarseToFineRecord(CoarsePoint):
    """The threshold of a Model's first pass at low power, calibrated on validation tiles.

    Attributes:
        data: Name of their TileSet; never a path.
        data_fingerprint: Hash over all its pixels and labels.
        val_tiles: Number of tiles of its validation split.
        required: Least share of them that had to get the class of the full pass.
        curve: Cost and agreement at other thresholds, from no tile looked at closely to 95 % of them.
    """

    data: str
    data_fingerprint: str
    val_tiles: int = Field(ge=1)
    required: float = Field(gt=0, le=1)
    curve: tuple[CoarsePoint, ...]

    def __str__(self) -> str:
        return (
            f"coarse to fine: after a first pass at low power, {self.closely:.0%} of {self.val_tiles:,} validation "
            f"tiles are looked at closely, and {self.agreement:.1%} get the class of a full pass"
        )


def coarse_to_fine_record(
    first: Floats32, full: Floats32, *, data: str, data_fingerprint: str, required: float = AGREEMENT
) -> CoarseToFineRecord | None:
    """Find the lowest threshold at which enough tiles get the class of the full pass.

    Args:
        first: Probabilities at low power, (N, K), of N validation tiles.
        full: The same at full power.
        data: Name of their TileSet.
        data_fingerprint: Its fingerprint.
        required: Least share of tiles that must get the class of the full pass.

    Returns:
        None if even the tiles with the highest probability differ too often.
    """
    top, same = first.max(axis=1), first.argmax(axis=1) == full.argmax(axis=1)
    order = np.argsort(top, kind="stable")
    ranked = top[order]
    differ = np.cumsum(~same[order][::-1])[::-1]  # among the tiles from each place on
    thresholds, places = np.unique(ranked, return_index=True)
    enough = differ[places] <= len(top) * (1 - required) + 1e-9
    if not enough.any():
        return None
    chosen = _point(thresholds[enough.argmax()], top, same)
    shares = np.arange(0, 1, _STEP)
    curve = [_point(threshold, top, same) for threshold in np.unique(ranked[(shares * len(top)).astype(np.int64)])]
    told = {"data": data, "data_fingerprint": data_fingerprint, "val_tiles": len(top), "required": required}
    return CoarseToFineRecord(**chosen.model_dump(), **told, curve=tuple(curve))


def _point(threshold: np.float32, top: Floats32, same: Bools) -> CoarsePoint:
    closely = top < threshold
    agreement = float((same | closely).mean())
    return CoarsePoint(unsure_below=min(1.0, float(threshold)), closely=float(closely.mean()), agreement=agreement)
