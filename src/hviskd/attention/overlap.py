"""Measures of agreement between an attention map and an expert's outline in one tile."""

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import Floats
from hviskd.checks import require_positive_share
from hviskd.errors import DataError
from hviskd.thresholds import otsu

AREA_SHARE = 0.2  # of a tile; what a look takes in when nothing else is said
LEVEL = 0.5  # of the map's largest value

MEASURES = {
    "dice_share": "Dice, hottest fixed share of the tile",
    "dice_otsu": "Dice, Otsu's threshold",
    "dice_level": "Dice, threshold at half of the maximum",
    "dice_best": "Dice, best threshold",
    "dice_mean": "Dice, mean over all thresholds",
    "soft_dice": "soft Dice",
    "pointing": "hottest point inside",
    "energy": "share of attention inside",
}


def measure_tile(
    attention: NDArray[np.floating], outline: NDArray[np.bool_], *, area_share: float = AREA_SHARE, level: float = LEVEL
) -> dict[str, float]:
    """Measure the agreement of a map with an outline, by every rule.

    With A the map as shares of its largest value and O the outline, Dice of a part P of the tile is
    2 |P ∩ O| / (|P| + |O|), and P is: `dice_share`, the pixels of largest A that make up `area_share` of the tile, the
    pixels of equal A at the edge counted in proportion; `dice_otsu`, A above the threshold that parts its 256 levels
    best (Otsu 1979); `dice_level`, A ≥ `level`. Over all thresholds t, P = {A ≥ t}: `dice_best` is the largest Dice of
    any t, chosen with the outline in view and so too good, `dice_mean` the mean for t even between 0 and 1.
    `soft_dice` is 2 Σ A O / (Σ A² + Σ O), `pointing` the share of A's largest pixels that are inside
    (Zhang et al. 2018), `energy` Σ A O / Σ A (Wang et al. 2020).

    Args:
        attention: (H, W), finite, from 0 to 1 with 1 somewhere, or 0 everywhere.
        outline: (H, W), true inside.
        area_share: Of the tile, above 0, at most 1.
        level: Above 0, at most 1.

    Returns:
        Every one of `MEASURES`; NaN for all where nothing is outlined. A map that is zero
        everywhere scores 0, with `energy` NaN.

    Raises:
        DataError: The two differ in size, the map is not within 0 and 1, or a rule's number is impossible.
    """
    if attention.shape != outline.shape or attention.ndim != 2 or attention.size == 0:
        raise DataError(f"attention {attention.shape} and outline {outline.shape}: need the same size (H, W)")
    require_positive_share(area_share=area_share, level=level)
    a, inside = attention.astype(np.float64).ravel(), outline.ravel()
    if not np.isfinite(a).all() or a.min() < 0 or a.max() > 1:
        raise DataError("attention: values must be from 0 to 1")
    if not inside.any():
        return dict.fromkeys(MEASURES, float("nan"))
    if a.max() == 0:
        return {**dict.fromkeys(MEASURES, 0.0), "energy": float("nan")}
    order = np.argsort(-a, kind="stable")
    values, last = _runs(a[order])
    area = (last + 1).astype(np.float64)  # pixels that are at least as hot as each distinct value
    hits = np.cumsum(inside[order])[last].astype(np.float64)
    outlined = float(inside.sum())
    dice = 2 * hits / (area + outlined)
    wanted = area_share * a.size
    shared_hits = np.interp(wanted, np.r_[0, area], np.r_[0, hits])
    # For t in (values[i + 1], values[i]] the part is that of values[i]; a map's lowest value reaches down to 0.
    steps = values - np.r_[values[1:], 0.0]
    top = a == a.max()
    return {
        "dice_share": float(2 * shared_hits / (wanted + outlined)),
        "dice_otsu": _dice(a > otsu(a, (0, 1)), inside),
        "dice_level": _dice(a >= level, inside),
        "dice_best": float(dice.max()),
        "dice_mean": float(dice @ steps),
        "soft_dice": float(2 * a[inside].sum() / (a @ a + outlined)),
        "pointing": float(inside[top].mean()),
        "energy": float(a[inside].sum() / a.sum()),
    }


def _runs(descending: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return the distinct values of a sorted array and the position of the last of each."""
    last = np.flatnonzero(np.r_[descending[1:] != descending[:-1], True])
    return descending[last], last


def _dice(part: NDArray[np.bool_], inside: NDArray[np.bool_]) -> float:
    return float(2 * np.count_nonzero(part & inside) / (np.count_nonzero(part) + np.count_nonzero(inside)))
