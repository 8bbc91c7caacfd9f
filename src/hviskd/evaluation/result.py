"""The result of an evaluation: metrics with their intervals, as tables and as JSON."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import JsonValue

from hviskd.evaluation.intervals import LEVEL, Interval
from hviskd.evaluation.metrics import Metrics
from hviskd.evaluation.tables import TITLES, Table, format_value, markdown_table
from hviskd.evaluation.verdict import UNJUDGED, Verdict


@dataclass(frozen=True, eq=False)
class ModelResult:
    """The metrics of one model.

    Attributes:
        name: Unique among the models and safe as a file name.
        folder: The Model's folder.
        fingerprint: SHA-256 of its weights, or of the int8 variant if that was evaluated.
        metrics: What was measured.
        intervals: 95 % interval of every one-number metric by name; None where there is none.
        class_intervals: The same for the metrics with a value a class, K each.
        probabilities: Class probabilities of the N tiles, float32 (N, K), columns in the order of the tile set.
        weights: SHA-256 of its weights, also where its int8 variant, which has a fingerprint of its own, was measured.
        taught_by: SHA-256 of the weights of its teacher; empty if it had none.
        val_top1: Its top-1 on the validation tiles, as its card records it; None if it does not.
    """

    name: str
    folder: Path
    fingerprint: str
    metrics: Metrics
    intervals: dict[str, Interval | None]
    class_intervals: dict[str, list[Interval | None]]
    probabilities: NDArray[np.float32]
    weights: str = ""
    taught_by: str = ""
    val_top1: float | None = None


@dataclass(frozen=True)
class Difference:
    """A model's metric minus the reference's, with the interval of this difference over paired replicates."""

    model: str
    reference: str
    metric: str
    value: float
    interval: Interval | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Models evaluated on one split of one TileSet; the first model is the reference of the differences.

    Attributes:
        models: One result per model.
        differences: Of every other model against the first.
        classes: K class names.
        split: The evaluated split.
        tiles: The N evaluated tiles: `row` in the TileSet, `file`, `patient`, `slide`.
        labels: True class of every tile, int64 (N,).
        unit: The resampled unit: "patient", "slide" or "tile".
        clusters: Number of these units.
        replicates: Number of bootstrap replicates; 0 if there are no intervals.
        seed: Random seed of the bootstrap.
        leak: The leak statement of the splits.
        notes: Cautions, one or two sentences each.
        data_name: Name of the TileSet's folder.
        data_fingerprint: SHA-256 over its tiles and labels.
        split_fingerprint: SHA-256 over these and its splits.
        verdict: What was gained, how sure that is, and what speaks against it, in two or three sentences.
    """

    models: tuple[ModelResult, ...]
    differences: tuple[Difference, ...]
    classes: tuple[str, ...]
    split: str
    tiles: pd.DataFrame
    labels: NDArray[np.int64]
    unit: str
    clusters: int
    replicates: int
    seed: int
    leak: str
    notes: tuple[str, ...]
    data_name: str
    data_fingerprint: str
    split_fingerprint: str
    verdict: Verdict = UNJUDGED

    @property
    def leaks(self) -> bool:
        """Whether the splits leak, or a model's training did."""
        return self.leak.startswith("LEAK:")

    @property
    def statements(self) -> tuple[str, ...]:
        """What was evaluated, the leak statement, what was resampled, and all cautions."""
        what = f"Split {self.split} of {self.data_name}: {len(self.labels):,} tiles."
        return what, self.leak, *self.notes

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per model, with columns value, `_low` and `_high` for every metric (NaN: no interval)."""
        rows = [
            {"model": model.name, **_flat(model.metrics.overall(), model.intervals), **self._context()}
            for model in self.models
        ]
        return pd.DataFrame(rows)

    def per_class_dataframe(self) -> pd.DataFrame:
        """Return one row per model and class, with its number of tiles; columns as in `to_dataframe`."""
        rows = []
        for model in self.models:
            held = model.metrics.confusion.sum(axis=1)
            for k, name in enumerate(self.classes):
                values = {metric: float(column[k]) for metric, column in model.metrics.per_class().items()}
                intervals = {metric: column[k] for metric, column in model.class_intervals.items()}
                start = {"model": model.name, "class": name, "tiles": int(held[k])}
                rows.append({**start, **_flat(values, intervals), **self._context()})
        return pd.DataFrame(rows)

    def differences_dataframe(self) -> pd.DataFrame:
        """Return one row per model and metric: the paired difference from the reference, `low` and `high`."""
        rows = []
        for each in self.differences:
            low, high = each.interval or (math.nan, math.nan)
            values = {"difference": each.value, "low": low, "high": high}
            rows.append({**_whose(each), **values, **self._context()})
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return everything but single tiles and paths as plain JSON values; undefined values are null."""
        return {
            "format_version": 1,
            "verdict": self.verdict.to_dict(),
            "split": self.split,
            "tiles": len(self.labels),
            "classes": list(self.classes),
            "leak": self.leak,
            "notes": list(self.notes),
            "intervals": {
                "level": LEVEL,
                "unit": self.unit,
                "clusters": self.clusters,
                "replicates": self.replicates,
                "seed": self.seed,
            },
            "data": {
                "name": self.data_name,
                "fingerprint": self.data_fingerprint,
                "split_fingerprint": self.split_fingerprint,
            },
            "models": [self._model_to_dict(model) for model in self.models],
            "differences": [{**_whose(each), **_json_value(each.value, each.interval)} for each in self.differences],
        }

    def summary_table(self) -> Table:
        """Return the models and their metrics with intervals as text."""
        metrics = list(self.models[0].metrics.overall())
        rows = []
        for model in self.models:
            values = model.metrics.overall()
            rows.append([model.name, *(format_value(values[name], model.intervals[name]) for name in metrics)])
        return ["model", *(TITLES[name] for name in metrics)], rows

    def difference_table(self) -> Table:
        """Return the paired differences with intervals as text, one row per model other than the reference."""
        metrics = list(dict.fromkeys(each.metric for each in self.differences))
        rows: dict[str, list[str]] = {}
        for each in self.differences:
            cells = rows.setdefault(each.model, [f"{each.model} − {each.reference}"])
            cells.append(format_value(each.value, each.interval, signed=True))
        return ["difference", *(TITLES[name] for name in metrics)], list(rows.values())

    def class_table(self) -> Table:
        """Return each class's number of tiles and AUROC for each model as text."""
        held = self.models[0].metrics.confusion.sum(axis=1)
        rows = []
        for k, name in enumerate(self.classes):
            areas = [format_value(model.metrics.auroc[k], model.class_intervals["auroc"][k]) for model in self.models]
            rows.append([name, f"{held[k]:,.0f}", *areas])
        return ["class", "tiles", *(f"AUROC {model.name}" for model in self.models)], rows

    def to_markdown(self) -> str:
        """Return the verdict, every statement and the tables as Markdown."""
        blocks = [str(self.verdict), " ".join(self.statements), markdown_table(self.summary_table())]
        if self.differences:
            blocks += ["Paired differences:", markdown_table(self.difference_table())]
        blocks += ["One class against the rest:", markdown_table(self.class_table())]
        return "\n\n".join(blocks) + "\n"

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        differences = show.table(*self.difference_table()) if self.differences else ""
        tables = show.table(*self.summary_table()) + differences
        return show.paragraph(str(self.verdict)) + tables + show.paragraph(" ".join(self.statements))

    def _context(self) -> dict[str, str | int]:
        """Return the columns that identify a row."""
        return {"split": self.split, "unit": self.unit, "clusters": self.clusters, "leak": self.leak}

    def _model_to_dict(self, model: ModelResult) -> dict[str, JsonValue]:
        held = model.metrics.confusion.sum(axis=1)
        per_class: list[JsonValue] = [
            {
                "class": name,
                "tiles": int(held[k]),
                **{
                    metric: _json_value(float(column[k]), model.class_intervals[metric][k])
                    for metric, column in model.metrics.per_class().items()
                },
            }
            for k, name in enumerate(self.classes)
        ]
        return {
            "name": model.name,
            "fingerprint": model.fingerprint,
            "metrics": {
                name: _json_value(value, model.intervals[name]) for name, value in model.metrics.overall().items()
            },
            "per_class": per_class,
            "confusion": [[int(tiles) for tiles in row] for row in model.metrics.confusion],
        }


def _whose(difference: Difference) -> dict[str, str]:
    return {"model": difference.model, "reference": difference.reference, "metric": difference.metric}


def _flat(values: dict[str, float], intervals: dict[str, Interval | None]) -> dict[str, float]:
    """Arrange values and interval ends in columns: `name`, `name_low`, `name_high`."""
    cells: dict[str, float] = {}
    for name, value in values.items():
        low, high = intervals[name] or (math.nan, math.nan)
        cells |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return cells


def _json_value(value: float, interval: Interval | None) -> dict[str, JsonValue]:
    low, high = interval or (None, None)
    return {"value": None if math.isnan(value) else value, "low": low, "high": high}
