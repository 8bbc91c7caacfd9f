"""Whether a teacher is better than a guess: a network whose weights were not loaded is silently a random one."""

import math

import numpy as np

from hviskd.distillation import METHODS
from hviskd.errors import ModelError
from hviskd.models import Compute, Model
from hviskd.models.admission import acquaintance
from hviskd.models.prediction import predict_rows
from hviskd.progress import Progress
from hviskd.tiles import TileSet
from hviskd.training.recipe import Recipe

_ONE_SIDED = 1.645  # standard errors: 95 % of guesses stay below


def require_better_than_a_guess(
    teacher: Model, tileset: TileSet, recipe: Recipe, device: str, *, allow_weak: bool, progress: Progress | None = None
) -> str:
    """Reject a teacher that is no better than a guess on the validation split; return what to say if it is allowed.

    A teacher that learns beside its student (DML) may begin as a guess.

    Raises:
        ModelError: It is no better, and `allow_weak` is not set; or its outputs contain NaN or infinity.
    """
    if any("trained_teacher" in METHODS[name].needs for name in recipe.methods):
        return ""
    weak = weakness(teacher, tileset, device, progress)
    if weak and not allow_weak:
        raise ModelError(f"{weak}; train it, check how its weights were loaded, or pass `allow_weak=True`")
    return f"{weak[0].upper()}{weak[1:]}." if weak else ""


def weakness(teacher: Model, tileset: TileSet, device: str, progress: Progress | None = None) -> str:
    """Say in what a teacher is no better than a guess on the validation split; empty if it is better or there is none.

    Its balanced accuracy b must be above 1 / K, which naming always the most common of K classes (or any guess) has on
    average, by 1.645 standard errors √(b (1 − b) / N) of N tiles. Classes may be of any size, since each counts alike.
    For a teacher that was trained on this split, its card has the number.
    """
    rows = tileset.rows("val")
    if not len(rows):
        return ""
    labels = tileset.labels[rows]
    present = np.unique(labels)
    known = teacher.card.metrics.get("val_balanced_accuracy")
    if known is None or acquaintance(teacher.card.data, tileset) != "same split":
        answers = predict_rows(teacher, tileset, rows, Compute(device=device), progress=progress).argmax(axis=1)
        known = float(np.mean([(answers[labels == label] == label).mean() for label in present]))
    guess = 1 / len(present)
    if known - _ONE_SIDED * math.sqrt(known * (1 - known) / len(rows)) > guess:
        return ""
    return (
        f"the teacher {teacher.card.name} is no better than a guess on the validation split: balanced accuracy "
        f"{known:.3f} on {len(rows):,} tiles, where naming one class throughout has {guess:.3f}"
    )
