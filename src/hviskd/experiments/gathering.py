"""Evaluates the finished trainings of an experiment: its rows, the tests between them, and the ranks."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hviskd.arrays import Bools
from hviskd.distillation import Setting, build_methods
from hviskd.evaluation import measure
from hviskd.evaluation.counting import complexity
from hviskd.evaluation.significance import holm, mean_interval, paired_gain, rank_arms
from hviskd.evaluation.verdict import judge
from hviskd.experiments.cells import Bench, Cell
from hviskd.experiments.comparison import REFERENCES, Comparison, Row, Spread
from hviskd.experiments.design import KD, STUDENT, Arm
from hviskd.experiments.findings import Basis, findings_of
from hviskd.models import find_model, load_model
from hviskd.models.folder import CHOSEN, read_model_card
from hviskd.training import Run

METRICS = ("top1", "balanced_accuracy", "macro_auroc", "ece")


class _Answered:
    """The finished trainings of one arm on one pair, keyed by fold and seed."""

    def __init__(self, bench: Bench, pair: str, arm: Arm | None) -> None:
        seeds = (0,) if arm is None else bench.design.seeds
        cells = [Cell(pair, arm, seed, fold) for fold in range(len(bench.tilesets)) for seed in seeds]
        self.wanted = len(cells)
        self.diverged = sum(bench.diverged(cell) for cell in cells)
        self.cells = [cell for cell in cells if bench.done(cell) and not bench.diverged(cell)]
        self.right: dict[tuple[int, int], Bools] = {}  # a byte a tile, for they are all in memory at once
        self.metrics: dict[str, list[dict[str, float]]] = {"chosen": [], "last": []}
        for cell in self.cells:
            tileset = bench.tilesets[cell.fold]
            labels = tileset.labels[tileset.rows("test")]
            for which, probabilities in bench.answers(cell).items():
                self.metrics[which].append(measure(labels, probabilities).overall())
                if which == "chosen":
                    self.right[cell.fold, cell.seed] = probabilities.argmax(axis=1) == labels


def gather_comparison(bench: Bench, failed: Sequence[Cell] = ()) -> Comparison:
    """Evaluate all finished trainings; nothing is trained and no network runs."""
    clusters = [tileset.clusters(tileset.rows("test")) for tileset in bench.tilesets]
    rows, blocks = [], []
    for pair in bench.design.pairs:
        answered = {arm.name: _Answered(bench, pair, arm) for arm in bench.design.arms}
        rows.append(_row(bench, pair, None, _Answered(bench, pair, None), {}, clusters))
        rows += [_row(bench, pair, arm, answered[arm.name], answered, clusters) for arm in bench.design.arms]
        blocks += _blocks(list(answered.values()))
    rows = _corrected(rows)
    names = [arm.name for arm in bench.design.arms]
    ranks = rank_arms(names, np.array(blocks)) if len(names) > 1 and blocks else None
    weak = _weak_teachers(bench)
    doubts = ["a teacher is no better than a guess"] if weak else []
    verdict = judge(findings_of(rows, _basis(clusters), doubts))
    return Comparison(tuple(rows), ranks, (*_notes(bench, clusters, rows), *weak, *_lost(rows, failed)), verdict)


def _basis(clusters: Sequence[tuple[str, NDArray[np.str_]]]) -> Basis:
    names = np.concatenate([names for _, names in clusters])
    return Basis(len(names), clusters[0][0], len(np.unique(names)), len(clusters))


def _row(
    bench: Bench,
    pair: str,
    arm: Arm | None,
    own: _Answered,
    others: dict[str, _Answered],
    clusters: Sequence[tuple[str, NDArray[np.str_]]],
) -> Row:
    name = Path(pair).stem
    spreads = {which: _spreads(rows) for which, rows in own.metrics.items()}
    if own.right:
        by_training = list(own.right.items())
        low, high = mean_interval([right for _, right in by_training], [clusters[key[0]][1] for key, _ in by_training])
        top1 = spreads["chosen"]["top1"]
        spreads["chosen"]["top1"] = Spread(top1.mean, top1.deviation, low, high)
    gains = {}
    for reference in REFERENCES:
        theirs = others.get(reference)
        if arm is None or theirs is None or arm.name == reference:
            continue
        shared = sorted(own.right.keys() & theirs.right.keys())
        if shared:
            gains[reference] = paired_gain(
                [own.right[key] for key in shared],
                [theirs.right[key] for key in shared],
                [clusters[fold][1] for fold, _ in shared],
            )
    student, teacher = (math.nan, math.nan) if arm is None else _passes(bench, pair, arm)
    deployed = load_model(bench.place(own.cells[0])) if own.cells else None
    cost = complexity(deployed.network, deployed.card.tile_px) if deployed else None
    return Row(
        pair=name,
        arm="teacher" if arm is None else arm.name,
        trainings=len(own.cells),
        diverged=own.diverged,
        missing=own.wanted - own.diverged - len(own.cells),
        chosen=spreads["chosen"],
        last=spreads["last"],
        gains=gains,
        parameters=cost.parameters if cost else 0,
        multiply_adds=cost.multiply_adds if cost else 0,
        student_passes=student,
        teacher_passes=teacher,
        seconds=_seconds(bench, own) / _seconds(bench, others[KD]) if arm is not None and KD in others else math.nan,
        teacher=arm.teacher if arm is not None and arm.needs_teacher else "",
    )


def _spreads(rows: Sequence[dict[str, float]]) -> dict[str, Spread]:
    spreads = {}
    for metric in METRICS:
        values = np.array([row[metric] for row in rows], np.float64)
        mean = values.mean() if len(values) else math.nan
        spreads[metric] = Spread(float(mean), float(values.std(ddof=1)) if len(values) > 1 else math.nan)
    return spreads


def _seconds(bench: Bench, answered: _Answered) -> float:
    logs = [Run(bench.place(cell)).log["seconds"].median() for cell in answered.cells]
    return float(np.mean(logs)) if logs else math.nan


def _passes(bench: Bench, pair: str, arm: Arm) -> tuple[float, float]:
    """Return how many passes a training makes through student and teacher, relative to the student alone."""
    cell = Cell(pair, arm, 0, 0)
    recipe, classes = bench.recipe(cell), len(bench.tilesets[0].classes)
    tile_px = bench.tilesets[0].tile_px
    student = recipe.choice.build(classes, tile_px)
    given = bench.design.teacher
    choice = bench.recipe(Cell(pair, None, 0, 0)).choice if given is None else find_model(given)[1].network
    teacher = choice.build(classes, tile_px)
    labels = torch.arange(4 * classes) % classes
    setting = Setting(student.shapes(tile_px), teacher.shapes(tile_px), classes, labels)
    methods = build_methods(recipe.methods, setting)
    probe, extra = torch.zeros(2, 3, 32, 32), 0.0
    for name, method in methods.items():
        begin, end = recipe.methods[name].during
        views: Callable[[torch.Tensor], dict[str, torch.Tensor]] = method.views  # type: ignore[assignment]
        extra += (end - begin) * sum(len(view) for view in views(probe).values()) / len(probe)
    each = arm.epochs * (1 + extra)
    return each, each if arm.needs_teacher else 0.0


def _teachers(bench: Bench) -> str:
    if bench.design.teacher is None:
        return "one teacher per network and fold"
    card = find_model(bench.design.teacher)[1]
    return f"one teacher for all, {card.name} ({card.network.name}), trained beforehand"


def _blocks(answered: Sequence[_Answered]) -> list[list[float]]:
    """Return top-1 of every arm for each fold and seed in which all arms are finished."""
    shared = set.intersection(*(set(own.right) for own in answered)) if answered else set()
    return [[float(own.right[key].mean()) for own in answered] for key in sorted(shared)]


def _corrected(rows: Sequence[Row]) -> list[Row]:
    """Correct the p-values against one reference for the number of arms and pairs tested."""
    corrected: list[dict[str, tuple[float, float]]] = [{} for _ in rows]
    for reference in REFERENCES:
        tested = [position for position, row in enumerate(rows) if reference in row.gains]
        over_trainings = holm([rows[position].gains[reference].p_trainings for position in tested])
        over_patients = holm([rows[position].gains[reference].p_patients for position in tested])
        for position, *both in zip(tested, over_trainings, over_patients, strict=True):
            corrected[position][reference] = (both[0], both[1])
    return [Row(**{**row.__dict__, "corrected": own}) for row, own in zip(rows, corrected, strict=True)]


def _weak_teachers(bench: Bench) -> list[str]:
    """Return a sentence for each trained teacher that is no better than a guess, as the students' cards tell it."""
    cells = [cell for cell in bench.students() if cell.arm and cell.arm.needs_teacher and cell.arm.teacher == "trained"]
    taught = [read_model_card(bench.place(cell) / CHOSEN).teacher for cell in cells if Run(bench.place(cell)).finished]
    weak = dict.fromkeys(teacher.weak for teacher in taught if teacher is not None and teacher.weak)
    return [f"Distilled nevertheless: {told}." for told in weak]


def _notes(bench: Bench, clusters: Sequence[tuple[str, NDArray[np.str_]]], rows: Sequence[Row]) -> list[str]:
    tileset, unit = bench.tilesets[0], clusters[0][0]
    count = len(np.unique(np.concatenate([names for _, names in clusters])))
    counts = ", ".join(f"{name} {len(tileset.rows(name)):,}" for name in ("train", "val", "test"))
    first = f"{tileset.folder.name if len(bench.tilesets) == 1 else 'first fold'}: {counts} tiles of " + (
        f"{len(tileset.classes)} classes."
    )
    folds = f" Cross-validation by {unit}, {len(bench.tilesets)} folds." if len(bench.tilesets) > 1 else ""
    notes = [
        first + folds,
        "The epoch is selected on the validation split; the test tiles were read once, for it and the last epoch. All "
        f"arms of a seed share teacher, tile order and augmentation; {_teachers(bench)}.",
        f"± is the standard deviation over trainings. Intervals are 95 %, resampling both {unit}s ({count}) "
        "and trainings. p over trainings: paired t-test; p over "
        f"{unit}s: sign-flip test of the mean over trainings; both with Holm's correction over all arms and pairs.",
    ]
    if unit == "tile":
        notes.append("Patients and slides are unknown: intervals and p over tiles are too optimistic.")
    if len(bench.tilesets) > 1:
        notes.append("Folds share training patients, so p over trainings is too optimistic.")
    if len(bench.design.seeds) * len(bench.tilesets) < 3:
        notes.append("With fewer than three trainings per arm, the variation between trainings is unknown.")
    unequal = [row for row in rows if row.arm != "teacher" and not math.isclose(row.student_passes, 1)]
    if unequal:
        told = "; ".join(dict.fromkeys(f"{row.arm} {row.student_passes:g} ×" for row in unequal))
        notes.append(f"Unequal budget, in forward passes relative to the student alone: {told}.")
    if not {KD, STUDENT} <= {arm.name for arm in bench.design.arms}:
        notes.append("Baselines are missing, so this table shows no gain over KD or over the student alone.")
    return notes


def _lost(rows: Sequence[Row], failed: Sequence[Cell]) -> list[str]:
    """Name the trainings that diverged or failed."""
    notes = []
    diverged = [row for row in rows if row.diverged]
    if diverged:
        told = "; ".join(f"{row.pair} {row.arm} {row.diverged}" for row in diverged)
        notes.append(f"Diverged and excluded from the means: {told}.")
    if failed:
        notes.append(f"Failed: {'; '.join(cell.title for cell in failed)}. Run the comparison again to retry.")
    return notes
