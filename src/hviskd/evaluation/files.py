"""Writes an Evaluation and its robustness results to files."""

from pathlib import Path

import pandas as pd

from hviskd.evaluation.confidence_files import draw_confidence, reliability_table, risk_table
from hviskd.evaluation.corrupted_tiles import Robustness
from hviskd.evaluation.corrupted_tiles_files import write_robustness
from hviskd.evaluation.figures import comparison_figure, confusion_figure, roc_figure
from hviskd.evaluation.result import Evaluation
from hviskd.pictures import save_figure
from hviskd.storage import atomic_folder, write_json, write_text

EVALUATION = ("evaluation.json", "evaluation")  # what tells an evaluation from a person's own folder


def save_evaluation(
    evaluation: Evaluation, folder: Path | str, *, robustness: Robustness | None = None, overwrite: bool = False
) -> Path:
    """Write tables, figures and predictions to a folder in one step, and return its path.

    Args:
        evaluation: The result of `evaluate`.
        folder: The folder to write; only an earlier evaluation is ever replaced.
        robustness: The result of `robustness`, if any.
        overwrite: Whether to replace an existing evaluation.

    Raises:
        DataError: The folder is not empty and `overwrite` is not set, or it contains no evaluation.
    """
    folder = Path(folder)
    with atomic_folder(folder, overwrite=overwrite, replaces=EVALUATION) as partial:
        _write_files(evaluation, partial)
        if robustness is not None:
            write_robustness(robustness, partial)
    return folder


def _write_files(evaluation: Evaluation, folder: Path) -> None:
    write_json(folder / "evaluation.json", evaluation.to_dict())
    write_text(folder / "table.md", evaluation.to_markdown())
    _write_csv(evaluation.to_dataframe(), folder / "metrics.csv")
    _write_csv(evaluation.per_class_dataframe(), folder / "per-class.csv")
    predictions(evaluation).to_parquet(folder / "predictions.parquet", index=False)
    _write_csv(reliability_table(evaluation), folder / "reliability.csv")
    _write_csv(risk_table(evaluation), folder / "risk-coverage.csv")
    note = " ".join(evaluation.statements)
    save_figure(draw_confidence(evaluation, note), folder / "confidence.png")
    for model in evaluation.models:
        areas = model.class_intervals["auroc"]
        roc = roc_figure(
            evaluation.labels,
            model.probabilities,
            evaluation.classes,
            model.metrics,
            areas,
            title=model.name,
            note=note,
        )
        save_figure(roc, folder / f"roc-{model.name}.png")
        confusion = confusion_figure(model.metrics.confusion, evaluation.classes, title=model.name, note=note)
        save_figure(confusion, folder / f"confusion-{model.name}.png")
    if len(evaluation.models) > 1:
        _write_csv(evaluation.differences_dataframe(), folder / "differences.csv")
        values = {
            metric: [(model.metrics.overall()[metric], model.intervals[metric]) for model in evaluation.models]
            for metric in ("top1", "macro_auroc")
        }
        names = [model.name for model in evaluation.models]
        save_figure(comparison_figure(names, values, note=note), folder / "comparison.png")


def predictions(evaluation: Evaluation) -> pd.DataFrame:
    """Return one row per model and tile: the tile, its true class, and the probability of every class.

    Columns: `row`, `file`, `patient`, `slide`, `label` (class name), `model`, and for each class
    `probability_<class>`, float32. Notes for the reader are in `attrs`, which Parquet keeps.
    """
    frames = []
    for model in evaluation.models:
        frame = evaluation.tiles.reset_index(drop=True)
        frame["label"] = [evaluation.classes[label] for label in evaluation.labels]
        frame["model"] = model.name
        columns = [f"probability_{name}" for name in evaluation.classes]
        frames.append(pd.concat([frame, pd.DataFrame(model.probabilities, columns=columns)], axis=1))
    table = pd.concat(frames, ignore_index=True)
    table.attrs = {"split": evaluation.split, "leak": evaluation.leak, "notes": list(evaluation.notes)}
    return table


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    write_text(path, frame.to_csv(index=False))
