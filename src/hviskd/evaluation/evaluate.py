"""Measures Models on one split of a TileSet, with intervals and paired differences; users and the verb call it."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hviskd.errors import DataError, LeakError, ModelError
from hviskd.evaluation.intervals import (
    Replicates,
    bootstrap_weights,
    percentile_interval,
    replicate,
    resampling_statement,
)
from hviskd.evaluation.metrics import Scorer
from hviskd.evaluation.result import Difference, Evaluation, ModelResult
from hviskd.progress import progress_bar
from hviskd.tiles import TileSet, require_no_leak

if TYPE_CHECKING:
    from hviskd.models import Model

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # tiles (N, H, W, 3) → probabilities (N, K)

COMPARED = ("top1", "balanced_accuracy", "macro_f1", "macro_auroc", "ece")
MIN_REPLICATES = 100
SAME_MPP = 0.05  # relative; scanners state their pixel size no better than this


def evaluate(
    models: "Model | Sequence[Model]",
    tileset: TileSet,
    *,
    split: str = "test",
    allow_leak: bool = False,
    replicates: int = 2000,
    seed: int = 0,
    batch_size: int = 128,
    device: str = "auto",
    int8: bool = False,
) -> Evaluation:
    """Measure one or several models on a split; the first model is the reference of the differences.

    Args:
        models: What to measure; all must name the tile set's classes, in any order, and read its tile size.
        tileset: The tiles.
        split: Which of its splits.
        allow_leak: Go on where the splits share something, or a model learned under another split; the
            result says so.
        replicates: How often the patients are resampled for the intervals, at least 100.
        seed: Start of the random numbers.
        batch_size: Tiles a model sees at once.
        device: Where the models run: "auto", "cpu", "cuda" or "mps".
        int8: Measure the int8 variant of every model that has one, on the CPU, by the engine that runs it fastest.

    Raises:
        LeakError: The splits share something, or a model learned from these tiles under another split.
        DataError: The split holds no tile, or there are too few replicates.
        ModelError: A model has other classes or another tile size, or gives no probabilities; or `int8` is asked for
            and none has such a variant.
    """
    chosen = list(models) if isinstance(models, Sequence) else [models]
    if not chosen:
        raise ModelError("no model given; name at least one model folder")
    if batch_size < 1:
        raise DataError(f"`batch_size={batch_size}`: must be at least 1")
    if replicates < MIN_REPLICATES:
        raise DataError(f"`replicates={replicates}`: a 95 % interval needs at least {MIN_REPLICATES}")
    leak = require_no_leak(tileset, allow_leak=allow_leak)
    rows = tileset.rows(split)
    if len(rows) == 0:
        raise DataError(f"{tileset.folder}: no tile is in the split {split!r}; make one with `hviskd tiles split`")
    for model in chosen:
        require_fit(model, tileset)
    if int8 and all(model.card.int8 is None for model in chosen):
        raise ModelError("none of these models has an int8 variant; make one with `hviskd quantize`")
    names = file_names(chosen, int8=int8)
    seen = cautions(chosen, names, tileset, split, allow_leak)

    labels = tileset.labels[rows]
    unit, cluster_ids = tileset.clusters(rows)
    clusters = len(np.unique(cluster_ids))
    probabilities = [
        predict_rows(model, tileset, rows, batch_size=batch_size, device=device, int8=int8) for model in chosen
    ]
    scorers = [Scorer(labels, each) for each in probabilities]
    draws = _replicates(scorers, cluster_ids, replicates, seed) if clusters > 1 else [None] * len(scorers)
    results = tuple(
        _result(*each, fingerprint=_fingerprint(model, int8=int8))
        for model, *each in zip(chosen, chosen, names, scorers, draws, probabilities, strict=True)
    )
    doubts = [*_class_notes(labels, cluster_ids, unit, tileset.classes), *_width_note(results)]
    table = tileset.table.iloc[rows][["file", "patient", "slide"]].reset_index(drop=True)
    table.insert(0, "row", rows)
    return Evaluation(
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
        leak=_leak_statement(chosen, names, tileset, leak.statement),
        notes=(resampling_statement(unit, clusters), *doubts, *seen),
        data_name=tileset.folder.resolve().name,
        data_fingerprint=tileset.fingerprint,
        split_fingerprint=tileset.split_fingerprint,
    )


def require_fit(model: "Model", tileset: TileSet) -> None:
    """Refuse a model that names other classes or reads tiles of another size."""
    own, theirs = set(model.card.classes), set(tileset.classes)
    if own != theirs:
        only = [f"only the model has {', '.join(sorted(own - theirs))}"] if own - theirs else []
        only += [f"only the tiles have {', '.join(sorted(theirs - own))}"] if theirs - own else []
        raise ModelError(f"{model.folder}: its classes are not those of {tileset.folder}: {'; '.join(only)}")
    tile_px = tileset.pixels.shape[1]
    if model.card.tile_px != tile_px:
        raise ModelError(
            f"{model.folder}: reads tiles of {model.card.tile_px} px, {tileset.folder} holds tiles of {tile_px} px; "
            "cut tiles of its size"
        )


def cautions(
    models: Sequence["Model"], names: Sequence[str], tileset: TileSet, split: str, allow_leak: bool
) -> list[str]:
    """Say what each model may have seen of these tiles; models of which the same is true share a sentence."""
    said: dict[str, list[str]] = {}
    for model, name in zip(models, names, strict=True):
        for remark in (_familiarity(model, tileset, split, allow_leak), _scale(model, tileset)):
            if remark:
                said.setdefault(remark, []).append(name)
    return [f"{', '.join(who)}: {remark}" for remark, who in said.items()]


def _familiarity(model: "Model", tileset: TileSet, split: str, allow_leak: bool) -> str:
    """Say what a model may have seen of these tiles; refuse one that learned under another split."""
    learned = model.card.data
    if learned.fingerprint != tileset.fingerprint:
        return f"learned from another tile set ({learned.name}); whether the two share patients is not known."
    if learned.split_fingerprint != tileset.split_fingerprint:
        if not allow_leak:
            raise LeakError(
                f"{model.folder}: learned from {tileset.folder} under another split, so it may have learned from the "
                "tiles it would be measured on; restore that split, or go on with `allow_leak=True`"
            )
        return "learned from this tile set under another split, so perhaps from the tiles measured here."
    if split == "train":
        return "learned from these very tiles; this says nothing about new ones."
    if split == "val":
        return "the epoch may have been chosen on these tiles; the values may be too good."
    return ""


def _leak_statement(models: Sequence["Model"], names: Sequence[str], tileset: TileSet, statement: str) -> str:
    """Say what the splits share, and first of all which models have seen more than the train split."""
    own = [(model.card.data, name) for model, name in zip(models, names, strict=True)]
    own = [(data, name) for data, name in own if data.fingerprint == tileset.fingerprint]
    other = [name for data, name in own if data.split_fingerprint != tileset.split_fingerprint]
    leaking = [name for data, name in own if data.leak_allowed and name not in other]
    said = [f"LEAK: {', '.join(other)} learned from these tiles under another split."] if other else []
    said += [f"LEAK: {', '.join(leaking)} learned under splits or from a teacher that leak."] if leaking else []
    return " ".join([*said, statement])


def _scale(model: "Model", tileset: TileSet) -> str:
    """Say so where the tiles are of another magnification than the model learned from."""
    own, theirs = model.card.mpp, tileset.mpp
    if own is None or theirs is None or abs(own / theirs - 1) <= SAME_MPP:
        return ""
    return f"learned at {own:g} µm per pixel, these tiles have {theirs:g}."


def predictor(model: "Model", *, batch_size: int = 128, device: str = "auto", int8: bool = False) -> Predict:
    """Give what classifies tiles: the model itself, or its int8 variant where that is asked for and there.

    Raises:
        ModelError: The int8 variant is damaged, or does on this computer what it did not where it was made.
    """
    if int8 and model.card.int8 is not None:
        from hviskd.models.engines import open_engine

        return open_engine(model, precision="int8", device="cpu", batch_size=batch_size)
    return partial(model.predict, batch_size=batch_size, device=device)


def classify(model: "Model", classes: Sequence[str], tiles: NDArray[np.uint8], predict: Predict) -> NDArray[np.float32]:
    """Give a model's probabilities for tiles, uint8 (N, H, W, 3), as float32 (N, K), a column a class of `classes`.

    Args:
        model: The model.
        classes: Its classes, in the wanted order.
        tiles: The tiles.
        predict: Its `predictor`.

    Raises:
        ModelError: The model gives values that are no probabilities.
    """
    probabilities = predict(tiles)
    if probabilities.shape != (len(tiles), len(model.card.classes)) or not np.isfinite(probabilities).all():
        raise ModelError(f"{model.folder}: gives values that are no probabilities; its weights are damaged")
    return probabilities[:, [model.card.classes.index(name) for name in classes]]


def predict_rows(
    model: "Model",
    tileset: TileSet,
    rows: NDArray[np.int64],
    *,
    batch_size: int = 128,
    device: str = "auto",
    int8: bool = False,
) -> NDArray[np.float32]:
    """Give a model's probabilities for rows of a tile set, float32 (N, K), a batch in memory at a time.

    Raises:
        ModelError: The model gives values that are no probabilities.
    """
    predict = predictor(model, batch_size=batch_size, device=device, int8=int8)
    chunks = []
    with progress_bar(f"classify with {model.card.name}", len(rows)) as advance:
        for start in range(0, len(rows), batch_size):
            batch = tileset.pixels[rows[start : start + batch_size]]
            chunks.append(classify(model, tileset.classes, batch, predict))
            advance(len(batch))
    return np.concatenate(chunks)


def _replicates(scorers: Sequence[Scorer], cluster_ids: ArrayLike, replicates: int, seed: int) -> list[Replicates]:
    with progress_bar("resample", replicates) as advance:
        return replicate(scorers, bootstrap_weights(cluster_ids, replicates, seed), advance)


def _result(
    model: "Model",
    name: str,
    scorer: Scorer,
    draws: Replicates | None,
    probabilities: NDArray[np.float32],
    *,
    fingerprint: str,
) -> ModelResult:
    metrics = scorer.measure()
    overall = {metric: percentile_interval(draws.overall[metric]) if draws else None for metric in metrics.overall()}
    per_class = {
        metric: [percentile_interval(draws.per_class[metric][:, k]) if draws else None for k in range(len(values))]
        for metric, values in metrics.per_class().items()
    }
    return ModelResult(name, Path(model.folder), fingerprint, metrics, overall, per_class, probabilities)


def _fingerprint(model: "Model", *, int8: bool) -> str:
    """Give the SHA-256 of what was measured: the weights, or the int8 variant."""
    record = model.card.int8
    return record.sha256 if int8 and record is not None else model.fingerprint


def _differences(results: Sequence[ModelResult], draws: Sequence[Replicates | None]) -> list[Difference]:
    """Compare every model with the first, replicate by replicate."""
    differences = []
    for result, own in zip(results[1:], draws[1:], strict=True):
        for metric in COMPARED:
            value = result.metrics.overall()[metric] - results[0].metrics.overall()[metric]
            interval = percentile_interval(own.overall[metric] - draws[0].overall[metric]) if own and draws[0] else None
            differences.append(Difference(result.name, results[0].name, metric, value, interval))
    return differences


def _class_notes(labels: NDArray[np.int64], cluster_ids: ArrayLike, unit: str, classes: Sequence[str]) -> list[str]:
    """Name the classes that hold no tile, and those that too few patients hold for an interval."""
    ids = np.asarray(cluster_ids)
    holders = {name: len(np.unique(ids[labels == k])) for k, name in enumerate(classes)}
    absent = [name for name, count in holders.items() if count == 0]
    rare = [name for name, count in holders.items() if count in (1, 2)]
    notes = []
    if absent:
        notes.append(f"No tile of: {', '.join(absent)}; averages over classes leave them out.")
    if rare and unit != "tile":
        notes.append(
            f"Seen in one or two {unit}s only: {', '.join(rare)}; their values, in averages too, say little of others."
        )
    return notes


def _width_note(results: Sequence[ModelResult]) -> list[str]:
    """Warn of intervals of no width, as of a class that is never missed: they are no certainty."""
    intervals = [interval for result in results for interval in result.intervals.values()]
    intervals += [each for result in results for column in result.class_intervals.values() for each in column]
    if any(interval is not None and interval.low == interval.high for interval in intervals):
        return ["An interval without width means that no resampling changed the value, not that it is certain."]
    return []


def file_names(models: Sequence["Model"], *, int8: bool = False) -> list[str]:
    """Give each model a name that is unique, whatever the case, and safe in a file name; it tells an int8 variant."""
    names: list[str] = []
    for model in models:
        name = re.sub(r"[^\w.-]+", "-", model.card.name)[:60].strip(".-") or "model"
        name = unique = f"{name}-int8" if int8 and model.card.int8 is not None else name
        number = 1
        while unique.lower() in {other.lower() for other in names}:
            number += 1
            unique = f"{name}-{number}"
        names.append(unique)
    return names
