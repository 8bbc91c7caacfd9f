"""Refuses what a cutting could not do, in one line and before anything is read; `cut_slides` calls it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from hviskd.annotations import Legend
from hviskd.cutting.candidates import TileRule
from hviskd.cutting.report import REPORT_FILE, qc_folder
from hviskd.errors import DataError
from hviskd.slides import Stain, TissueRule, mpp_of, stain_reference
from hviskd.storage import require_free
from hviskd.tiles.card import CARD_FILE

_FARTHEST = 442  # 255 times the root of 3
_GLASS = "BG"  # the class of empty glass in the legends that come with the package


def glass_positions(legend: Legend, glass: Sequence[str] | None) -> tuple[int, ...]:
    """Give the positions of the classes that need no tissue; by default of the class BG, if there is one."""
    places = [legend.index(name) for name in ((_GLASS,) if glass is None else glass)]
    if glass is not None and None in places:
        raise DataError(f"`glass={glass[places.index(None)]}`: legend {legend.name} has no such class")
    return tuple(sorted({place for place in places if place is not None}))


def check(rule: TileRule, *, tolerance: float, cap: int | None, seed: int, workers: int | None) -> None:
    """Refuse numbers that mean nothing; the messages name the options as a user writes them."""
    if not 1 <= rule.tile_px <= 10_000:
        raise DataError(f"`tile_px={rule.tile_px}`: must be from 1 to 10,000")
    if not (math.isfinite(rule.mpp) and rule.mpp > 0):
        raise DataError(f"`mpp={rule.mpp}`: must be above 0 µm/px")
    if not 0 <= tolerance <= _FARTHEST:
        raise DataError(f"`tolerance={tolerance:g}`: must be from 0 to {_FARTHEST}, the distance from black to white")
    for name, share in (("purity", rule.purity), ("tissue", rule.tissue)):
        if not 0 <= share <= 1:
            raise DataError(f"`{name}={share}`: must be from 0 to 1")
    for name, number, least in (("cap", cap, 1), ("seed", seed, 0), ("workers", workers, 1)):
        if number is not None and number < least:
            raise DataError(f"`{name}={number}`: must be at least {least}")


def reference_stain(
    stain: Literal["none", "macenko", "reinhard"],
    path: Path | str | None,
    slide_mpp: float | None,
    table: Mapping[str, float],
    tissue_rule: TissueRule,
) -> Stain | None:
    """Fit the stain that all tiles shall have; None if they stay as they are."""
    if stain not in ("none", "macenko", "reinhard"):
        raise DataError(f"`stain={stain}`: must be none, macenko or reinhard")
    if (stain == "none") != (path is None):
        raise DataError("`stain` and `stain_reference` go together: name a method, and what tiles shall look like")
    if stain == "none" or path is None:
        return None
    mpp = mpp_of(Path(path), table) or slide_mpp
    return stain_reference(Path(path), method=stain, slide_mpp=mpp, tissue_rule=tissue_rule)


def refuse_taken(output: Path, *, overwrite: bool) -> None:
    """Refuse at once what would be refused after hours; only what was cut here may be replaced."""
    require_free(output, overwrite=overwrite, replaces=(CARD_FILE, "TileSet"))
    require_free(qc_folder(output), overwrite=True, replaces=(REPORT_FILE, "report of a cutting"))
