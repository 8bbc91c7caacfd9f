"""Compares how well models agree with the expert: intervals, paired tests, effect sizes."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from hviskd.arrays import Floats
from hviskd.errors import DataError
from hviskd.evaluation.significance import LEAST_PAIRS, holm, mean_interval, paired_t, sign_flip

TESTS = ("p_t_tiles", "p_wilcoxon_tiles", "p_t_patients", "p_wilcoxon_patients", "p_flip_patients")
_Row = dict[str, str | int | float]
_FIXED = ("model", "tile", "patient")


@dataclass(frozen=True)
class AttentionComparison:
    """Models compared on the same tiles.

    Attributes:
        tiles: The measures, a column each, one row per model and tile.
        measures: Names of the measures.
        reference: The model that the others are compared with.
        means: One row per model and measure: `tiles` with a value, `missing`, `patients`, `mean`, and the ends `low`
            and `high` of its 95 % interval, patients resampled; NaN for a single patient.
        tests: One row per measure and model other than the reference, over the tiles on which both have a value:
            `tiles`, `patients`, mean `difference` with `low` and `high`, Cohen's `d_z` (mean difference over the
            standard deviation of the differences) and the `rank_biserial` correlation of matched pairs (Kerby 2014:
            share of the ranks that speak for the model less that of those against), both over patients' means; and
            two-sided p of the paired t-test and of Wilcoxon's signed-rank test over tiles, of the same over patients'
            means, and of the sign-flip test over patients, each also after Holm's correction over the models (`_holm`).
        notes: Cautions, a sentence each.
    """

    tiles: pd.DataFrame
    measures: tuple[str, ...]
    reference: str
    means: pd.DataFrame
    tests: pd.DataFrame
    notes: tuple[str, ...]


def compare_attention(table: pd.DataFrame, reference: str) -> AttentionComparison:
    """Compare models on the same tiles.

    Args:
        table: Columns `model`, `tile`, `patient`, and one a measure, higher better, NaN where undefined; a model has
            a tile once.
        reference: One of the models.

    Raises:
        DataError: A column is missing, the reference is not there, or a model has a tile twice.
    """
    lacking = [name for name in _FIXED if name not in table]
    if lacking:
        raise DataError(f"attention table: has no column {lacking[0]!r}")
    if reference not in set(table["model"]):
        raise DataError(f"`reference={reference!r}`: no such model; choose one of {', '.join(table['model'].unique())}")
    if table.duplicated(["model", "tile"]).any():
        raise DataError("attention table: a model has the same tile twice")
    measures = tuple(name for name in table.columns if name not in _FIXED)
    models = list(dict.fromkeys(table["model"]))
    patients = table.drop_duplicates("tile").set_index("tile")["patient"].astype(str)
    means, tests = [], []
    for measure in measures:
        wide = table.pivot(index="tile", columns="model", values=measure).reindex(patients.index)
        means += [_mean_row(model, measure, wide[model], patients) for model in models]
        rows = [_test_row(model, measure, wide, reference, patients) for model in models if model != reference]
        for test in TESTS:
            for row, corrected in zip(rows, holm([float(row[test]) for row in rows]), strict=True):
                row[f"{test}_holm"] = corrected
        tests += rows
    count = patients.nunique()
    return AttentionComparison(
        table, measures, reference, pd.DataFrame(means), pd.DataFrame(tests), _notes(len(patients), count, reference)
    )


def _mean_row(model: str, measure: str, values: pd.Series, patients: pd.Series) -> _Row:
    known = values.notna().to_numpy()
    low, high = _interval(values.to_numpy(np.float64)[known], patients.to_numpy(str)[known])
    return {
        "model": model,
        "measure": measure,
        "tiles": int(known.sum()),
        "missing": int((~known).sum()),
        "patients": int(patients[known].nunique()),
        "mean": float(values.mean()),
        "low": low,
        "high": high,
    }


def _test_row(model: str, measure: str, wide: pd.DataFrame, reference: str, patients: pd.Series) -> _Row:
    difference = (wide[model] - wide[reference]).dropna()
    owner = patients[difference.index]
    of_tiles = difference.to_numpy(np.float64)
    of_patients = difference.groupby(owner).mean().to_numpy(np.float64)
    low, high = _interval(of_tiles, owner.to_numpy(str))
    return {
        "model": model,
        "reference": reference,
        "measure": measure,
        "tiles": len(of_tiles),
        "patients": len(of_patients),
        "difference": float(of_tiles.mean()) if len(of_tiles) else np.nan,
        "low": low,
        "high": high,
        "d_z": _d_z(of_patients),
        "rank_biserial": _rank_biserial(of_patients),
        "p_t_tiles": paired_t(of_tiles),
        "p_wilcoxon_tiles": _wilcoxon(of_tiles),
        "p_t_patients": paired_t(of_patients),
        "p_wilcoxon_patients": _wilcoxon(of_patients),
        "p_flip_patients": sign_flip(of_patients) if len(of_patients) >= LEAST_PAIRS else np.nan,
    }


def _interval(values: Floats, owner: NDArray[np.str_]) -> tuple[float, float]:
    return mean_interval([values], [owner]) if len(values) else (np.nan, np.nan)


def _wilcoxon(differences: Floats) -> float:
    if len(differences) < LEAST_PAIRS:
        return np.nan
    return float(scipy.stats.wilcoxon(differences).pvalue) if differences.any() else 1.0


def _d_z(differences: Floats) -> float:
    if len(differences) < LEAST_PAIRS or np.ptp(differences) == 0:
        return np.nan
    return float(differences.mean() / differences.std(ddof=1))


def _rank_biserial(differences: Floats) -> float:
    moved = differences[differences != 0]
    if len(differences) < LEAST_PAIRS or not len(moved):
        return np.nan
    ranks = scipy.stats.rankdata(np.abs(moved))
    return float((ranks[moved > 0].sum() - ranks[moved < 0].sum()) / ranks.sum())


def _notes(tiles: int, patients: int, reference: str) -> tuple[str, ...]:
    notes = [
        f"{tiles:,} tiles of {patients} patients; every model is compared with {reference}. Intervals are 95 %, "
        "resampling patients; p is two-sided, with Holm's correction over the models.",
        "Tests over tiles treat tiles of one patient as independent, so their p is too small; use those over patients.",
    ]
    if patients < LEAST_PAIRS:
        notes.append("With fewer than three patients, no test over patients is possible.")
    elif patients < 6:
        notes.append(f"With {patients} patients, p of the sign-flip test cannot be below {2 ** (1 - patients):.3g}.")
    return tuple(notes)
