"""Whether a teacher is better than a guess: a network whose weights were not loaded is silently a random one."""

import math
from dataclasses import dataclass

import numpy as np

from hviskd.arrays import Ints
from hviskd.distillation import METHODS
from hviskd.errors import ModelError
from hviskd.models import Compute, Model
from hviskd.models.admission import acquaintance
from hviskd.models.prediction import predict_rows
from hviskd.progress import Progress
from hviskd.tiles import TileSet
from hviskd.training.recipe import Recipe

_ONE_SIDED = 1.645  # standard errors: 95 % of guesses stay below
_MARGIN = 0.1  # of the way from a guess to a perfect teacher


@dataclass(frozen=True)
class Standing:
    """What a teacher is worth on the validation split.

    Attributes:
        weak: Why it is no better than a guess, without a full stop; empty if it is better or cannot be judged.
        note: What an output must say of it; empty if it is better.
        accuracy: Its balanced accuracy there; None if it was not measured.
    """

    weak: str = ""
    note: str = ""
    accuracy: float | None = None


def require_better_than_a_guess(
    teacher: Model, tileset: TileSet, recipe: Recipe, device: str, *, allow_weak: bool, progress: Progress | None = None
) -> Standing:
    """Reject a teacher that is no better than a guess on the validation split; return what to say of it.

    A teacher that learns beside its student (DML) may begin as a guess.

    Raises:
        ModelError: It is no better, and `allow_weak` is not set; or its outputs contain NaN or infinity.
    """
    if any("trained_teacher" in METHODS[name].needs for name in recipe.methods):
        return Standing()
    standing = standing_of(teacher, tileset, device, progress)
    if standing.weak and not allow_weak:
        raise ModelError(
            f"{standing.weak}; check what was taken of its weights, give it a "
            "classifier with `probe=True` or train it, or pass `allow_weak=True`"
        )
    return standing


def standing_of(teacher: Model, tileset: TileSet, device: str, progress: Progress | None = None) -> Standing:
    """Judge a teacher by its balanced accuracy on the validation split, which must reach `least_accuracy`.

    For a teacher that was trained with this split, its card has the number; others see the tiles once.
    """
    rows, name = tileset.rows("val"), teacher.card.name
    if not len(rows):
        told = f"Whether the teacher {name} is better than a guess is unknown: there is no validation split."
        return Standing(note=told)
    labels = tileset.labels[rows]
    counts = np.bincount(labels)
    known = teacher.card.metrics.get("val_balanced_accuracy")
    if known is None or acquaintance(teacher.card.data, tileset) != "same split":
        answers = predict_rows(teacher, tileset, rows, Compute(device=device), progress=progress).argmax(axis=1)
        known = float(np.mean([(answers[labels == label] == label).mean() for label in np.flatnonzero(counts)]))
    least = least_accuracy(counts)
    if known >= least:
        return Standing(accuracy=known)
    weak = (
        f"the teacher {name} is no better than a guess on the validation split: balanced accuracy {known:.3f} on "
        f"{len(rows):,} tiles, where naming one class throughout has {1 / np.count_nonzero(counts):.3f} and a useful "
        f"teacher at least {least:.3f}"
    )
    return Standing(weak, weakness_told(weak), known)


def weakness_told(weak: str) -> str:
    """Return as a sentence why a teacher is no better than a guess, as cards and `Standing` have it."""
    return f"{weak[0].upper()}{weak[1:]}."


def least_accuracy(counts: Ints) -> float:
    """Return the balanced accuracy that a teacher must reach on `counts` (K,) tiles of each class.

    Naming always one class, or guessing, has g = 1 / K on average, however rare the others are; so it is fair
    to a teacher that trades top-1 on a frequent class for the rare ones. Two bounds above g, the larger counts:

    - 1.645 standard errors of a guess, √(g (1 − g) Σ 1 / n_k) / K with n_k tiles of class k, for small splits: a guess
      passes in 5 % of cases, if at all.
    - a tenth of the way from g to 1, for large ones. Random networks do not guess: they name one or two classes, by
      brightness for instance, and so are a little better than a guess beyond any doubt that a test can have. Of
      networks of the zoo with random weights, on tiles of five classes of colon, the best was 7 % of the way.

    A teacher that makes no error passes, however few tiles there are.
    """
    held = counts[counts > 0]
    guess = 1 / len(held)
    error = math.sqrt(guess * (1 - guess) * float((1 / held).sum())) / len(held)
    return min(1.0, guess + max(_ONE_SIDED * error, _MARGIN * (1 - guess)))
