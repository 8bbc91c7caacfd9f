"""Robustness to corrupted tiles: noise, blur, defocus, JPEG, stain and illumination, at five levels each.

`hviskd evaluate --robustness` calls it after `evaluate`, on the same tiles.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hviskd.arrays import RGB, Floats
from hviskd.evaluation.intervals import Interval, Replicates, bootstrap_weights, metric_interval, replicate
from hviskd.evaluation.metrics import Metrics, Scorer
from hviskd.evaluation.result import Evaluation
from hviskd.evaluation.tables import EACH_LEVEL, TITLES, Table, format_value, markdown_table
from hviskd.models import AnyModels, Compute, load_models
from hviskd.models.prediction import classify, predictor, tiles_per_call
from hviskd.progress import Progress, progress_bar
from hviskd.tiles import TileSet
from hviskd.tiles.corruptions import LEVELS, Corruption, choose_corruptions, corrupt

METRICS = ("top1", "macro_auroc", "ece")
REPLICATES = 500  # 31 measurements a model are resampled; more would change the third decimal of an interval's end
Row = dict[str, Any]
Scores = dict[tuple[int, str, int], Scorer]  # by model, corruption and level


@dataclass(frozen=True, eq=False)
class Robustness:
    """The effect of corrupted tiles on models.

    Attributes:
        evaluation: The evaluation of the same models on the clean tiles.
        corruptions: The corruptions.
        levels: One row per model, corruption, level (0: clean) and metric: its `strength`, the `value`, the `change`
            from the clean tiles, and the `relative_change` as a fraction of the clean value, each with `_low` and
            `_high`, the ends of its 95 % interval (patients resampled, the same for clean and corrupted tiles); the
            relative change of a calibration error has none.
        means: One row per model, corruption and metric: the `change`, mean over the five levels; and, for every model
            but the first, its `difference` from the first model's change; each with its interval.
        notes: Cautions, one or two sentences each.
        row: Row in the TileSet of an example tile.
        tile: The clean example tile.
    """

    evaluation: Evaluation
    corruptions: tuple[Corruption, ...]
    levels: pd.DataFrame
    means: pd.DataFrame
    notes: tuple[str, ...]
    row: int
    tile: RGB

    def summary_table(self) -> Table:
        """Return, for each model, the mean change of top-1 under each corruption, as text."""
        rows = []
        for model in self.evaluation.models:
            cells = [_only(self.means, model.name, each.name, "top1")[0] for each in self.corruptions]
            rows.append([model.name, *(format_value(*_told(cell, "change"), signed=True) for cell in cells)])
        return ["model", *(each.title for each in self.corruptions)], rows

    def difference_table(self) -> Table:
        """Return, for each model but the first, its change of top-1 minus that of the first model, as text."""
        rows = []
        for model in self.evaluation.models[1:]:
            cells = [_only(self.means, model.name, each.name, "top1")[0] for each in self.corruptions]
            told = f"{model.name} − {self.evaluation.models[0].name}"
            rows.append([told, *(format_value(*_told(cell, "difference"), signed=True) for cell in cells)])
        return ["change minus the first model's", *(each.title for each in self.corruptions)], rows

    def to_markdown(self) -> str:
        """Return the tables and every statement as Markdown."""
        blocks = [" ".join([*self.evaluation.statements, *self.notes])]
        blocks += ["Change of top-1 from the clean tiles, mean over five levels:", markdown_table(self.summary_table())]
        if len(self.evaluation.models) > 1:
            blocks += ["The same, minus the change of the first model:", markdown_table(self.difference_table())]
        for metric in METRICS:
            rows = []
            for model, each in product(self.evaluation.models, self.corruptions):
                steps = _only(self.levels, model.name, each.name, metric)
                rows.append([model.name, each.title, *(format_value(*_told(step, "value")) for step in steps)])
            head = ["model", "", "clean", *(f"level {level}" for level in range(1, LEVELS + 1))]
            blocks += [f"{TITLES[metric]} {EACH_LEVEL}", markdown_table((head, rows), words=2)]
        return "\n\n".join(blocks) + "\n"

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        differences = show.table(*self.difference_table()) if len(self.evaluation.models) > 1 else ""
        told = " ".join(("Change of top-1 from the clean tiles, mean over five levels.", *self.notes))
        return show.table(*self.summary_table()) + differences + show.paragraph(told)

    def steps(self, model: str, corruption: str, metric: str) -> pd.DataFrame:
        """Return the six rows of `levels` for one model, corruption and metric, the clean tiles first."""
        return pd.DataFrame(_only(self.levels, model, corruption, metric))


def robustness(
    evaluation: Evaluation,
    models: AnyModels,
    tileset: TileSet | Path | str,
    *,
    corruptions: Sequence[str] = (),
    replicates: int = REPLICATES,
    compute: Compute | None = None,
    progress: Progress | None = None,
) -> Robustness:
    """Evaluate models on corrupted copies of the tiles of an evaluation.

    Args:
        evaluation: The result of `evaluate`.
        models: The evaluated models, in the same order.
        tileset: The tiles they were evaluated on.
        corruptions: Names of `hviskd.tiles.corruptions.CORRUPTIONS`; all if empty.
        replicates: Number of bootstrap replicates.
        compute: How the models run, as in the evaluation.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        DataError: A corruption is unknown.
        ModelError: A model's outputs contain NaN or infinity.
    """
    loaded, tileset, compute = load_models(models), TileSet.open(tileset), compute or Compute()
    chosen = choose_corruptions(corruptions)
    rows = evaluation.tiles["row"].to_numpy(np.int64)
    scores: Scores = {
        (place, "", 0): Scorer(evaluation.labels, model.probabilities) for place, model in enumerate(evaluation.models)
    }
    predicts = [predictor(model, compute) for model in loaded]
    count = max(tiles_per_call(predict, compute) for predict in predicts)
    with progress_bar("classify corrupted tiles", len(rows) * len(loaded) * len(chosen) * LEVELS, progress) as advance:
        for corruption in chosen:
            for level in range(1, LEVELS + 1):
                answers: list[list[NDArray[np.float32]]] = [[] for _ in loaded]
                for start in range(0, len(rows), count):
                    batch = rows[start : start + count]
                    worse = corrupt(
                        tileset.pixels[batch], corruption, level, numbers=batch.tolist(), seed=evaluation.seed
                    )
                    for own, model, predict in zip(answers, loaded, predicts, strict=True):
                        own.append(classify(model, tileset.classes, worse, predict))
                        advance(len(batch))
                for place, own in enumerate(answers):
                    scores[place, corruption.name, level] = Scorer(evaluation.labels, np.concatenate(own))
    draws = {}
    if evaluation.clusters > 1:  # patients are drawn for all measurements together: changes and differences are paired
        with progress_bar("resample", replicates, progress) as advance:
            weights = bootstrap_weights(tileset.clusters(rows)[1], replicates, evaluation.seed)
            draws = dict(zip(scores, replicate(list(scores.values()), weights, advance), strict=True))
    values = {key: scorer.measure() for key, scorer in scores.items()}
    levels, means = _tables(evaluation, chosen, values, draws)
    notes = (
        "Corrupted tiles: each tile has its own random numbers, the same for every model.",
        f"Intervals of corrupted tiles and of changes: {replicates} bootstrap replicates." if draws else "",
    )
    row = int(rows[len(rows) // 2])
    tile = np.asarray(tileset.pixels[row])
    return Robustness(evaluation, tuple(chosen), levels, means, tuple(filter(None, notes)), row, tile)


def relative_change(step: Floats, clean: Floats) -> Floats:
    """Return (step − clean) / clean, float64 (N,); NaN where a clean value is 0, of which nothing is a share."""
    return np.divide(step - clean, clean, out=np.full(len(clean), math.nan), where=clean != 0)


def _tables(
    evaluation: Evaluation,
    corruptions: Sequence[Corruption],
    values: dict[tuple[int, str, int], Metrics],
    draws: dict[tuple[int, str, int], Replicates],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tabulate values, changes and differences with their intervals."""
    levels: list[dict[str, str | float]] = []
    means: list[dict[str, str | float]] = []
    for metric in METRICS:
        # The first entry is what was measured, the others are its replicates: one formula serves both.
        series = {
            key: np.append(metrics.overall()[metric], draws[key].overall[metric] if draws else [])
            for key, metrics in values.items()
        }
        for corruption in corruptions:
            reference = np.empty(0)
            for place, model in enumerate(evaluation.models):
                clean = series[place, "", 0]
                steps = [clean, *(series[place, corruption.name, level] for level in range(1, LEVELS + 1))]
                named = {"model": model.name, "corruption": corruption.name, "metric": metric}
                for level, step in enumerate(steps):
                    strength = corruption.strengths[level - 1] if level else math.nan
                    relative = relative_change(step, clean)
                    if metric == "ece":  # of a quotient of two biased values, no interval covers the truth
                        relative = relative[:1]
                    levels.append(
                        {**named, "level": level, "strength": strength, **_flat("value", step, metric, least=0),
                         **_flat("change", step - clean, metric), **_flat("relative_change", relative, metric)}
                    )  # fmt: skip
                change = np.mean(steps[1:], axis=0) - clean
                reference = change if place == 0 else reference
                against = _flat("difference", change - reference if place else change * math.nan, metric)
                means.append({**named, **_flat("change", change, metric), **against})
    return pd.DataFrame(levels), pd.DataFrame(means)


def _flat(name: str, series: NDArray[np.float64], metric: str, *, least: float = -math.inf) -> dict[str, float]:
    """Return the first entry as the value, the interval of the others as `_low` and `_high`."""
    interval = metric_interval(metric, float(series[0]), series[1:], least=least)
    low, high = interval or (math.nan, math.nan)
    return {name: float(series[0]), f"{name}_low": low, f"{name}_high": high}


def _only(table: pd.DataFrame, model: str, corruption: str, metric: str) -> list[Row]:
    own = (table["model"] == model) & (table["corruption"] == corruption) & (table["metric"] == metric)
    return [{str(name): value for name, value in row.items()} for row in table[own].to_dict("records")]


def _told(row: Row, name: str) -> tuple[float, Interval | None]:
    """Return a value of a row with its interval."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return row[name], None if math.isnan(low) else Interval(low, high)
