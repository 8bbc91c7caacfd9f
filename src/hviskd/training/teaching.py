"""A teacher, and how a student learns from it: by running it, or from what was stored of it."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from hviskd.distillation import Objective, StoredTrace
from hviskd.distillation.features import joint_trace
from hviskd.errors import DataError, OutputError, RecipeError
from hviskd.models import AnyModel, Model
from hviskd.progress import Progress
from hviskd.storage import cache_folder
from hviskd.tiles import TileSet
from hviskd.training.teacher_cache import Precision, Source, TeacherCache
from hviskd.training.varied_views import Views

Seen = tuple[Tensor, Tensor | None]  # numbers of tiles (B,), and of their views (B,), if those have numbers
_SHARE = 1 / 3  # of a disk's free space that a cache may take


@dataclass(frozen=True)
class Teaching:
    """A teacher, and how its answers reach the student.

    Attributes:
        teacher: A Model, its folder, or a finished Run (its selected Model).
        cache: Whether what the methods read of the teacher is stored once for all views of all tiles, instead of
            running the teacher at every step. None: if all methods can read it, it pays (more epochs than views, or it
            is there already), and it is not larger than `cache_gb` and a third of the free disk.
        cache_folder: Folder of all caches; by default in the user's cache folder (HVISKD_CACHE).
        cache_gb: Largest size, in gigabytes.
        cache_precision: Of the stored features; logits are always float32.
        shared_by: How many trainings will read the cache, to judge whether it pays.
        allow_weak: Whether the teacher may be no better on the validation split than a guess; every output says so.
        unlabelled: A TileSet whose tiles join the labelled ones: on them only the methods count that need no label.
            Labels that it may have are ignored; of one that is split, the training split joins.
    """

    teacher: AnyModel
    cache: bool | None = None
    cache_folder: Path | str | None = None
    cache_gb: float = 10.0
    cache_precision: Precision = "float32"
    shared_by: int = 1
    allow_weak: bool = False
    unlabelled: TileSet | Path | str | None = None

    def __post_init__(self) -> None:
        if not self.cache_gb > 0:
            raise DataError(f"`cache_gb={self.cache_gb}`: must be above 0")
        if self.cache_precision not in ("float32", "float16"):
            raise DataError(f"`cache_precision={self.cache_precision!r}`: must be 'float32' or 'float16'")


@dataclass(frozen=True)
class TeacherUse:
    """How a training comes by its teacher's answers.

    Attributes:
        caches: What is stored, for the labelled tiles and, if there are any, for the unlabelled ones; empty if the
            teacher runs at every step, or there is none.
        note: Why so, in a sentence; empty where there is nothing to say.
    """

    caches: tuple[TeacherCache, ...] = ()
    note: str = ""

    def read(self, parts: Sequence[Seen], device: torch.device) -> StoredTrace | None:
        """Return what is stored of tiles (B,) in their views (B,), part after part; None where the teacher runs."""
        if not self.caches:
            return None
        found = []
        for cache, (index, view) in zip(self.caches, parts, strict=True):
            assert view is not None
            found.append(cache.read(index, view, device))
        return joint_trace(found)


def use_teacher(
    teaching: Teaching,
    teacher: Model,
    objective: Objective,
    sources: Sequence[Source],
    *,
    epochs: int,
    device: torch.device,
    progress: Progress | None = None,
) -> TeacherUse:
    """Decide whether a teacher's answers are stored, and store what is missing.

    Raises:
        RecipeError: `cache=True` or a method that remembers all tiles, and another method or the augmentation does not
            allow it.
        DataError: The same, and it does not fit; or it is damaged.
        OutputError: The same, and it cannot be written.
    """
    wanted = _wanted(teaching, objective)
    if teaching.cache is False:
        if wanted:
            raise RecipeError(f"`cache=False`: {wanted} reads what is stored of all tiles; leave it out")
        return TeacherUse()
    hindrance = _hindrance(objective, sources[0].views)
    if hindrance and wanted:
        raise RecipeError(f"{wanted}: {hindrance}")
    if hindrance:
        return _live(hindrance)
    reads = objective.reads()
    assert reads is not None
    home = Path(teaching.cache_folder) if teaching.cache_folder else cache_folder() / "teachers"
    caches = tuple(TeacherCache(home, teacher, source, reads, teaching.cache_precision) for source in sources)
    missing, views = sum(cache.missing_bytes for cache in caches), caches[0].views
    if missing and not wanted and epochs * teaching.shared_by <= views:
        told = f"the epochs ({epochs}) are no more than the {views} views of each tile that a cache would store"
        return _live(told)
    room = _room(home, teaching.cache_gb)
    if missing > room:
        told = f"a cache of {missing / 1e9:,.1f} GB is larger than the {room / 1e9:,.1f} GB allowed in {home}"
        if wanted:
            raise DataError(f"{wanted}: {told}; raise `cache_gb`, or choose `cache_folder` on another disk")
        return _live(told)
    try:
        for cache in caches:
            cache.prepare(device, progress)
    except OutputError as error:
        if wanted:
            raise
        return _live(error)
    objective.remember(lambda: chain.from_iterable(cache.means() for cache in caches))
    told = f"What is read of the teacher was stored for {views} views of each tile ({teaching.cache_precision})."
    return TeacherUse(caches, told)


def _wanted(teaching: Teaching, objective: Objective) -> str:
    """Return who insists on a cache; empty if nobody does."""
    if teaching.cache:
        return "`cache=True`"
    return " and ".join(f"methods.{name}" for name in objective.remembering())


def _live(reason: object) -> TeacherUse:
    """Return that the teacher runs with the student, and why."""
    return TeacherUse(note=f"The teacher runs at every step: {reason}.")


def _hindrance(objective: Objective, views: Views) -> str:
    """Return why the teacher cannot be stored; empty if it can."""
    live = objective.needing_live_teacher()
    if live:
        return f"{' and '.join(f'methods.{name}' for name in live)} needs more of it than can be stored"
    if views.count is None:
        return "each tile is varied anew each time; set the recipe's key cache_views to draw from a few fixed views"
    return ""


def _room(home: Path, most_gb: float) -> float:
    """Return how many bytes a cache may take."""
    standing = next(folder for folder in (home, *home.absolute().parents) if folder.is_dir())
    return min(most_gb * 1e9, _SHARE * shutil.disk_usage(standing).free)
