"""Reads evaluation and comparison folders for the figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hviskd.errors import DataError, first_problem
from hviskd.evaluation import Interval
from hviskd.storage import read_json, require_smaller

TABLE_LIMIT_BYTES = 256 * 2**20


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Number(_Part):
    """A measured value; None if undefined, with ends of None if it has no interval."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def plain(self) -> float:
        """The value, NaN if undefined."""
        return float("nan") if self.value is None else self.value

    @property
    def interval(self) -> Interval | None:
        """The interval, if there is one."""
        return None if self.low is None or self.high is None else Interval(self.low, self.high)


class ClassNumbers(_Part):
    """One model's metrics on one class."""

    recall: Number
    precision: Number
    f1: Number
    auroc: Number


class ModelNumbers(_Part):
    """One model of an evaluation: its metrics, its classes in order, its confusion matrix (rows: true class)."""

    name: str = Field(min_length=1, pattern=r"^[^/\\]+$")  # it is part of file names
    metrics: dict[str, Number]
    per_class: list[ClassNumbers]
    confusion: list[list[int]]

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Number of tiles of each true class (rows) predicted as each class (columns), float64 (K, K)."""
        return np.array(self.confusion, np.float64)


class _Data(_Part):
    fingerprint: str
    split_fingerprint: str


class EvaluationCard(_Part):
    """The parts of `evaluation.json` that figures and reports read."""

    verdict: dict[str, Any] | None = None  # not of an evaluation written before there were verdicts
    split: str
    tiles: int = Field(ge=1)
    classes: list[str] = Field(min_length=2)
    leak: str
    notes: list[str]
    data: _Data
    models: list[ModelNumbers] = Field(min_length=1)


@dataclass(frozen=True)
class EvaluationFiles:
    """One or several evaluations of the same classes, read from their folders.

    Attributes:
        classes: K class names.
        models: Every model chosen, named `folder: model` where there are several folders.
        homes: For each model its folder and its name there.
        note: What a reader of the picture must know.
    """

    classes: tuple[str, ...]
    models: tuple[ModelNumbers, ...]
    homes: tuple[tuple[Path, str], ...]
    note: str


def is_evaluation(folder: Path) -> bool:
    """Return whether a folder was written by `save_evaluation`, from its `evaluation.json`."""
    return (folder / "evaluation.json").is_file()


def read_evaluations(folders: Sequence[Path], only: Sequence[str] = ()) -> EvaluationFiles:
    """Read the results of evaluations.

    Args:
        folders: What `save_evaluation` wrote; all of the same classes in the same order.
        only: Models to keep, in this order; all where it is empty.

    Raises:
        DataError: A folder is no evaluation or damaged, the classes differ, or a model of `only` is not there.
    """
    if not folders:
        raise DataError("no evaluation given; give a folder that `save_evaluation()` wrote")
    cards = [read_evaluation_card(folder) for folder in folders]
    models: dict[str, tuple[ModelNumbers, tuple[Path, str]]] = {}
    for folder, card in zip(folders, cards, strict=True):
        if card.classes != cards[0].classes:
            raise DataError(f"{folder}: its classes differ from those of {folders[0]}; draw them separately")
        for model in card.models:
            name = model.name if len(folders) == 1 else f"{folder.resolve().name}: {model.name}"
            if name in models:
                raise DataError(f"{folder}: the model {name!r} appears twice; rename a folder or give it only once")
            models[name] = (model.model_copy(update={"name": name}), (folder, model.name))
    kept = [models[name] for name in choose(list(models), only, "model", str(folders[0]))]
    card = cards[0]
    notes = [f"Split {card.split}: {card.tiles:,} tiles.", card.leak, *card.notes]
    if len({(one.split, one.data.fingerprint, one.data.split_fingerprint) for one in cards}) > 1:
        notes = [
            "Measured on different tiles: the models cannot be compared with each other.",
            *(f"{folder.resolve().name}: split {one.split}, {one.tiles:,} tiles. {one.leak} {' '.join(one.notes)}"
              for folder, one in zip(folders, cards, strict=True)),
        ]  # fmt: skip
    models_kept, homes = zip(*kept, strict=True)
    return EvaluationFiles(tuple(card.classes), models_kept, homes, " ".join(notes))


def choose(there: Sequence[str], wanted: Sequence[str], what: str, where: str) -> list[str]:
    """Return `wanted` without duplicates, or all of `there` if nothing is wanted.

    Raises:
        DataError: One of `wanted` is not there.
    """
    for name in wanted:
        if name not in there:
            raise DataError(f"{where}: no {what} {name!r}; choose from {', '.join(there)}")
    return list(dict.fromkeys(wanted)) or list(there)


def read_predictions(folder: Path, model: str, classes: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Read a model's predictions from an evaluation's `predictions.parquet`.

    Returns:
        True class of every tile, int64 (N,), and probability of every class, float64 (N, K).

    Raises:
        DataError: The file is missing, damaged, or not of this model and these classes.
    """
    path = folder / "predictions.parquet"
    columns = [f"probability_{name}" for name in classes]
    table = _read_table(path, partial(pd.read_parquet, path, columns=["label", "model", *columns]))
    own = table[table["model"] == model]
    if not len(own):
        raise DataError(f"{path}: contains no predictions of the model {model!r}; evaluate it again")
    labels = pd.Index(list(classes)).get_indexer(pd.Index(own["label"]))
    try:
        probabilities = own[columns].to_numpy(np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: its probabilities are not numbers; evaluate again") from error
    if (labels < 0).any() or not ((probabilities >= 0) & (probabilities <= 1.001)).all():
        raise DataError(f"{path}: contains unknown classes or values that are not probabilities; evaluate again")
    return labels.astype(np.int64), probabilities


@dataclass(frozen=True)
class ComparisonFiles:
    """One or several comparisons, read from their folders.

    Attributes:
        table: One row a pair and arm (way of training), as in `table.csv`.
        note: What a reader of the picture must know; empty where all is done.
    """

    table: pd.DataFrame
    note: str


def read_comparisons(folders: Sequence[Path], columns: Sequence[str]) -> ComparisonFiles:
    """Read the tables of comparisons and join them.

    Args:
        folders: What `compare` wrote; pairs of the same name get their folder's name before theirs.
        columns: Columns of numbers that must be there; an empty cell is NaN.

    Raises:
        DataError: A folder is no comparison, is damaged, or lacks a column.
    """
    if not folders:
        raise DataError("no comparison given; give a folder that `compare()` wrote")
    tables, notes = [], []
    for folder in folders:
        path = folder / "table.csv"
        table = _read_table(path, partial(_read_comparison, path))
        missing = [name for name in ("pair", "arm", *columns) if name not in table.columns]
        if missing or not len(table):
            raise DataError(f"{path}: not the table of a comparison ({', '.join(missing) or 'no rows'})")
        if table[["pair", "arm"]].isna().any(axis=None) or table.duplicated(["pair", "arm"]).any():
            raise DataError(f"{path}: a row has no pair or arm, or is repeated; run `compare()` again")
        try:
            numbers = table[list(columns)].astype(np.float64)
        except (ValueError, TypeError) as error:
            raise DataError(f"{path}: {error}; run `compare()` again") from error
        if np.isinf(numbers.to_numpy()).any():
            raise DataError(f"{path}: contains infinity; run `compare()` again")
        tables.append(table[["pair", "arm"]].join(numbers))
        notes += _unfinished(folder)
    shared = {pair for i, one in enumerate(tables) for j, two in enumerate(tables) if i != j
              for pair in set(one["pair"]) & set(two["pair"])}  # fmt: skip
    for folder, table in zip(folders, tables, strict=True):
        home = folder.resolve().name
        table["pair"] = [f"{home}: {pair}" if pair in shared else pair for pair in table["pair"]]
    joined = pd.concat(tables, ignore_index=True)
    if joined.duplicated(["pair", "arm"]).any():
        raise DataError(f"{folders[-1]}: given twice, or two folders of the same name have the same pair; rename one")
    return ComparisonFiles(joined, " ".join(notes))


def png_path(path: Path) -> Path:
    """Return the path if a figure can be written there.

    Raises:
        DataError: The name does not end in `.png`, or a folder stands there.
    """
    if path.suffix.lower() != ".png" or path.is_dir():
        raise DataError(f"{path}: figures are PNG files; the name must end in .png")
    return path


def read_evaluation_card(folder: Path) -> EvaluationCard:
    """Read the results of an evaluation.

    Raises:
        DataError: The folder is no evaluation, or damaged.
    """
    path = folder / "evaluation.json"
    if not path.is_file():
        raise DataError(f"{folder}: not an evaluation (no evaluation.json); give one that `save_evaluation()` wrote")
    try:
        card = EvaluationCard.model_validate(read_json(path))
    except ValidationError as error:
        raise DataError(f"{path}: damaged or not an evaluation ({first_problem(error)}); evaluate again") from error
    count = len(card.classes)
    for model in card.models:
        widths = {len(model.confusion), len(model.per_class), *(len(row) for row in model.confusion)}
        if widths != {count} or min(map(min, model.confusion)) < 0:
            raise DataError(f"{path}: the results of {model.name!r} do not match {count} classes; evaluate again")
    return card


def _read_table(path: Path, read: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"{path}: no such file; give a folder that hviskd wrote")
    require_smaller(path, TABLE_LIMIT_BYTES, "; not a table of hviskd")
    try:
        return read()
    except (ValueError, KeyError, OSError) as error:  # pandas' and pyarrow's own errors are ValueErrors
        raise DataError(f"{path}: cannot be read, damaged or not written by hviskd ({str(error)[:120]})") from error


def _read_comparison(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"pair": str, "arm": str})


def _unfinished(folder: Path) -> list[str]:
    path = folder / "comparison.json"
    card = read_json(path)
    left = card.get("left") if isinstance(card, dict) else None
    failed = card.get("failed") if isinstance(card, dict) else None
    if not isinstance(left, int) or not isinstance(failed, dict):
        raise DataError(f"{path}: not a comparison; give a folder that `compare()` wrote")
    if not left and not failed:
        return []
    return [f"{folder.resolve().name} is unfinished: {left} trainings remain, {len(failed)} failed."]
