"""Evaluates Models on one split of a TileSet, with confidence intervals and paired differences."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hviskd.errors import DataError, ModelError
from hviskd.evaluation.findings import findings_of
from hviskd.evaluation.intervals import (
    Replicates,
    bootstrap_weights,
    metric_interval,
    percentile_interval,
    replicate,
    resampling_statement,
)
from hviskd.evaluation.metrics import Scorer
from hviskd.evaluation.result import Difference, Evaluation, ModelResult
from hviskd.evaluation.verdict import judge
from hviskd.models import AnyModels, Compute, load_models
from hviskd.models.admission import cautions, leak_statement, require_fit
from hviskd.models.naming import model_names
from hviskd.models.prediction import predict_rows
from hviskd.progress import Progress, progress_bar
from hviskd.tiles import TileSet, require_no_leak

if TYPE_CHECKING:
    from hviskd.models import Model

COMPARED = ("top1", "balanced_accuracy", "macro_f1", "macro_auroc", "ece")
MIN_REPLICATES = 100


def evaluate(
    models: AnyModels,
    tileset: TileSet | Path | str,
    *,
    split: str = "test",
    allow_leak: bool = False,
    replicates: int = 2000,
    seed: int = 0,
    compute: Compute | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate one or several models on a split; the first model is the reference of the differences.

    Args:
        models: One or several Models with the TileSet's classes, in any order, and its tile size.
        tileset: The tiles.
        split: Split to evaluate on.
        allow_leak: Continue if the splits leak, or a model was trained with another split; the
            result says so.
        replicates: Number of bootstrap replicates for the intervals, at least 100.
        seed: Random seed of the bootstrap.
        compute: How the models run; by default with torch in float32. With `precision="int8"`, the int8 variant of
            every model that has one runs on the CPU, with the fastest engine.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        LeakError: The splits leak, or a model was trained on these tiles with another split.
        DataError: The split has no tiles, or there are too few replicates.
        ModelError: A model has other classes or another tile size, or its outputs contain NaN; or int8 is requested and
            no model has such a variant.
    """
    tileset, chosen, compute = TileSet.open(tileset), load_models(models), compute or Compute()
    if replicates < MIN_REPLICATES:
        raise DataError(f"`replicates={replicates}`: a 95 % interval needs at least {MIN_REPLICATES}")
    leak = require_no_leak(tileset, allow_leak=allow_leak)
    rows = tileset.require_split(split)
    int8 = _require_suited(chosen, tileset, compute)
    names = model_names(chosen, int8=int8)
    seen = cautions(chosen, names, tileset, split, allow_leak=allow_leak)

    labels = tileset.labels[rows]
    unit, cluster_ids = tileset.clusters(rows)
    clusters = len(np.unique(cluster_ids))
    probabilities = [predict_rows(model, tileset, rows, compute, progress=progress) for model in chosen]
    scorers = [Scorer(labels, each) for each in probabilities]
    draws = _replicates(scorers, cluster_ids, replicates, seed, progress) if clusters > 1 else [None] * len(scorers)
    listed = zip(chosen, names, scorers, draws, probabilities, strict=True)
    results = tuple(_result(*each, int8=int8) for each in listed)
    doubts = [*_class_notes(labels, cluster_ids, unit, tileset.classes), *_width_note(results)]
    table = tileset.table.iloc[rows].assign(row=rows)[["row", "file", "patient", "slide"]].reset_index(drop=True)
    evaluation = Evaluation(
        models=results,
        differences=tuple(_differences(results, draws)),
        classes=tuple(tileset.classes),
        split=split,
        tiles=table,
        labels=labels,
        unit=unit,
        clusters=clusters,
        replicates=replicates if clusters > 1 else 0,
        seed=seed,
        leak=leak_statement(chosen, names, tileset, leak.statement),
        notes=(resampling_statement(unit, clusters), *doubts, *seen),
        data_name=tileset.folder.resolve().name,
        data_fingerprint=tileset.fingerprint,
        split_fingerprint=tileset.split_fingerprint,
    )
    return replace(evaluation, verdict=judge(findings_of(evaluation)))


def _require_suited(models: Sequence["Model"], tileset: TileSet, compute: Compute) -> bool:
    """Refuse models that do not fit the tiles or the request, and return whether int8 variants are evaluated."""
    for model in models:
        require_fit(model, tileset)
    int8 = compute.precision == "int8"
    if int8 and all(model.card.int8 is None for model in models):
        raise ModelError("none of these models has an int8 variant; make one with `quantize()`")
    return int8


def _replicates(
    scorers: Sequence[Scorer], cluster_ids: ArrayLike, replicates: int, seed: int, progress: Progress | None
) -> list[Replicates]:
    with progress_bar("resample", replicates, progress) as advance:
        return replicate(scorers, bootstrap_weights(cluster_ids, replicates, seed), advance)


def _result(
    model: "Model",
    name: str,
    scorer: Scorer,
    draws: Replicates | None,
    probabilities: NDArray[np.float32],
    *,
    int8: bool,
) -> ModelResult:
    metrics = scorer.measure()
    overall = {
        metric: metric_interval(metric, value, draws.overall[metric], least=0) if draws else None
        for metric, value in metrics.overall().items()
    }
    per_class = {
        metric: [percentile_interval(draws.per_class[metric][:, k]) if draws else None for k in range(len(values))]
        for metric, values in metrics.per_class().items()
    }
    variant = model.card.int8 if int8 else None
    fingerprint = model.fingerprint if variant is None else variant.sha256
    teacher, val_top1 = model.card.teacher, model.card.metrics.get("val_top1")
    return ModelResult(
        name,
        Path(model.folder),
        fingerprint,
        metrics,
        overall,
        per_class,
        probabilities,
        weights=model.fingerprint,
        taught_by="" if teacher is None else teacher.fingerprint,
        val_top1=val_top1,
    )


def _differences(results: Sequence[ModelResult], draws: Sequence[Replicates | None]) -> list[Difference]:
    """Compare every model with the first, replicate by replicate."""
    differences = []
    for result, own in zip(results[1:], draws[1:], strict=True):
        for metric in COMPARED:
            value = result.metrics.overall()[metric] - results[0].metrics.overall()[metric]
            interval = None
            if own and draws[0]:
                interval = metric_interval(metric, value, own.overall[metric] - draws[0].overall[metric])
            differences.append(Difference(result.name, results[0].name, metric, value, interval))
    return differences


def _class_notes(labels: NDArray[np.int64], cluster_ids: ArrayLike, unit: str, classes: Sequence[str]) -> list[str]:
    """List classes without tiles, and classes with too few patients for an interval."""
    ids = np.asarray(cluster_ids)
    holders = {name: len(np.unique(ids[labels == k])) for k, name in enumerate(classes)}
    absent = [name for name, count in holders.items() if count == 0]
    rare = [name for name, count in holders.items() if count in (1, 2)]
    notes = []
    if absent:
        notes.append(f"No tiles of: {', '.join(absent)}; these classes are excluded from averages.")
    if rare and unit != "tile":
        notes.append(
            f"In only one or two {unit}s: {', '.join(rare)}; their values, also in averages, may not hold for others."
        )
    return notes


def _width_note(results: Sequence[ModelResult]) -> list[str]:
    """Warn of zero-width intervals, which are not certain, for example if a class is never missed."""
    intervals = [interval for result in results for interval in result.intervals.values()]
    intervals += [each for result in results for column in result.class_intervals.values() for each in column]
    if any(interval is not None and interval.low == interval.high for interval in intervals):
        return ["A zero-width interval means that no bootstrap replicate changed the value, not that it is certain."]
    return []
