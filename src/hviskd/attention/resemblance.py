"""How far Models look at the same places as the first one, a teacher for instance, whether or not an expert does."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch.nn import functional as F

from hviskd.arrays import Floats32
from hviskd.evaluation.significance import mean_interval


def rank_correlation(ours: Floats32, theirs: Floats32) -> float:
    """Return Spearman's rank correlation of two attention maps of one tile.

    The finer map is averaged to the coarser one's grid: an enlarged map would only repeat its places.

    Args:
        ours: (h, w).
        theirs: (h, w) of its own.

    Returns:
        From -1 to 1; 0 is chance. NaN where a map is the same everywhere, as one without evidence for the class is.
    """
    grid = min(len(ours), len(theirs)), min(ours.shape[1], theirs.shape[1])
    a, b = (rankdata(_averaged(each, grid)) for each in (ours, theirs))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def resemblance_table(maps: Mapping[str, Floats32], owner: NDArray[np.str_]) -> pd.DataFrame:
    """Compare every Model's maps with the first one's, tile by tile.

    Args:
        maps: Of M Models, float32 (N, h, w), of the same N tiles.
        owner: Patient (slide, tile) of each, (N,).

    Returns:
        One row per Model but the first: `model`, `reference`, `tiles` and `missing` (one map is the same everywhere),
        the `mean` rank correlation over tiles, and `low` and `high` of its 95 % interval, patients resampled.
    """
    (reference, theirs), *others = maps.items()
    rows = []
    for model, ours in others:
        values = np.array([rank_correlation(a, b) for a, b in zip(ours, theirs, strict=True)])
        known = ~np.isnan(values)
        low, high = mean_interval([values[known]], [owner[known]]) if known.any() else (np.nan, np.nan)
        told = {"model": model, "reference": reference, "tiles": int(known.sum()), "missing": int((~known).sum())}
        rows.append(told | {"mean": float(values[known].mean()) if known.any() else np.nan, "low": low, "high": high})
    return pd.DataFrame(rows)


def _averaged(values: Floats32, grid: tuple[int, int]) -> NDArray[np.float32]:
    """Return a map averaged to another grid, flattened."""
    pooled = F.adaptive_avg_pool2d(torch.from_numpy(np.array(values))[None], grid)[0]
    flat: NDArray[np.float32] = pooled.numpy().ravel()
    return flat
