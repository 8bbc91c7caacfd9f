"""The settings of tissue detection."""

import math
from dataclasses import dataclass, fields

from hviskd.errors import DataError


@dataclass(frozen=True)
class TissueRule:
    """What counts as tissue on a slide, at low power.

    Attributes:
        mpp: µm/px at which tissue is detected; never finer than the slide itself.
        density: Minimum mean optical density of tissue, log10(glass / light); None determines it for each slide.
        saturation: Minimum saturation of tissue, 0 to 1; None determines it for each slide.
        min_area_um2: Smaller pieces are discarded as debris.
        min_hole_um2: Smaller holes are filled.
        keep_ink: Do not detect marker ink, which then counts as tissue if it is as dense and coloured.

    Raises:
        DataError: A number is invalid.
    """

    mpp: float = 8.0
    density: float | None = None
    saturation: float | None = None
    min_area_um2: float = 10_000.0
    min_hole_um2: float = 10_000.0
    keep_ink: bool = False

    def __post_init__(self) -> None:
        """Reject invalid values."""
        if not 4 <= self.mpp <= 64:  # a finer view of a large slide would not fit in memory
            raise DataError(f"`tissue.mpp={self.mpp:g}`: must be from 4 to 64 µm/px")
        for name, threshold in (("density", self.density), ("saturation", self.saturation)):
            if threshold is not None and not 0 <= threshold < 1:
                raise DataError(f"`tissue.{name}={threshold:g}`: must be from 0 to below 1")
        for name, area_um2 in (("min_area_um2", self.min_area_um2), ("min_hole_um2", self.min_hole_um2)):
            if not (math.isfinite(area_um2) and area_um2 >= 0):
                raise DataError(f"`tissue.{name}={area_um2:g}`: must be at least 0 µm²")

    def changed(self) -> dict[str, float | bool]:
        """Return the fields that differ from the defaults, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value != getattr(TissueRule, name)}
