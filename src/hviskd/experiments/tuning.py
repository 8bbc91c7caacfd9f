"""Chooses values of a recipe on the validation split, by few short trainings; the test split is not read.

trainings/kd.weight-1-seed100/           an ordinary run for each combination and seed
tuning.csv, tuning.md, tuning.png        what each reached
best.yaml                                the recipe with the best values
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hviskd.colours import PALETTE
from hviskd.errors import DataError, DivergedError, RecipeError, without_allow_leak
from hviskd.evaluation.tables import Table, markdown_table
from hviskd.figure_text import fit
from hviskd.file_names import safe_name
from hviskd.models import AnyModel, find_model
from hviskd.pictures import new_figure, save_figure
from hviskd.progress import Progress, progress_bar, silent
from hviskd.storage import atomic_file, write_text
from hviskd.tiles import TileSet
from hviskd.training import Recipe, Run, Teaching, train
from hviskd.training.standing import weakness_told

TUNING_SEEDS = (100, 101, 102)  # others than an experiment usually has
_MOST = 200  # combinations; more are a mistake rather than few short trainings


@dataclass(frozen=True)
class Tried:
    """One combination of values.

    Attributes:
        values: By the recipe's keys.
        reached: What each seed's training reached on the validation split at its selected epoch; NaN if it diverged.
        epochs: That epoch, by seed; 0 if it diverged, or if nothing improved upon what it started from.
    """

    values: Mapping[str, Any]
    reached: Mapping[int, float]
    epochs: Mapping[int, int]

    @property
    def mean(self) -> float:
        """The mean over seeds; NaN if one diverged."""
        return float(np.mean(list(self.reached.values())))

    @property
    def diverged(self) -> bool:
        """Whether a training diverged."""
        return math.isnan(self.mean)


@dataclass(frozen=True)
class Tuning:
    """What combinations of values reached on the validation split.

    Attributes:
        tried: Every combination, the best mean over seeds first, of equal ones in the order given; diverged ones last.
        measure: What was compared, the recipe's `measure`.
        best: The recipe with the best values.
        notes: How it was chosen, and what a reader must know of tiles and teacher.
    """

    tried: tuple[Tried, ...]
    measure: str
    best: Recipe
    notes: tuple[str, ...]

    @property
    def chosen(self) -> Mapping[str, Any]:
        """The best values, by key."""
        return self.tried[0].values

    @property
    def table(self) -> pd.DataFrame:
        """One row per training: a column for each key, `seed`, `value` and `epoch`."""
        return pd.DataFrame(
            {**each.values, "seed": seed, "value": value, "epoch": each.epochs[seed]}
            for each in self.tried
            for seed, value in each.reached.items()
        )

    def summary_table(self) -> Table:
        """Return header and rows, as text, the best first."""
        rows = []
        for each in self.tried:
            reached = list(each.reached.values())
            mean = "diverged" if each.diverged else f"{100 * each.mean:.1f}"
            spread = f"{100 * np.std(reached, ddof=1):.1f}" if len(reached) > 1 and not each.diverged else "–"
            epochs = ", ".join(str(epoch) for epoch in each.epochs.values())
            rows.append([*map(str, each.values.values()), mean, spread, epochs])
        return [*self.chosen, f"{self.measure.replace('_', ' ')} on validation, %", "±", "selected epochs"], rows

    def to_markdown(self) -> str:
        """Return the table and every note as Markdown."""
        return "\n\n".join([markdown_table(self.summary_table()), *self.notes]) + "\n"

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        return show.table(*self.summary_table()) + "".join(map(show.paragraph, self.notes))


@without_allow_leak()
def tune(
    recipe: Recipe,
    tileset: TileSet | Path | str,
    folder: Path | str,
    *,
    grid: Mapping[str, Sequence[Any]],
    teacher: "AnyModel | Teaching | None" = None,
    seeds: Sequence[int] = TUNING_SEEDS,
    device: str = "auto",
    progress: Progress | None = None,
) -> Tuning:
    """Train every combination of some values with every seed, and choose the best mean on the validation split.

    To continue after an interruption, repeat the call. The best of many is better on the validation split than it will
    be on other tiles: measure the chosen recipe on the test split once, with other seeds than these.

    Args:
        recipe: What is trained; shorten its `epochs` to look at many values.
        tileset: The tiles; they need a validation split.
        folder: Folder for all trainings, the table and `best.yaml`.
        grid: Values to try, by the recipe's keys; nested ones have dots (`methods.kd.temperature`).
        teacher: As in `train()`; what is stored of it is shared by all trainings.
        seeds: Of the trainings; the recipe's own seed is kept for the result.
        device: Where trainings run.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        RecipeError: A key is unknown, a value invalid, or there is nothing to try.
        DivergedError: Of every combination a training diverged.
        DataError: There is no validation split, or there are too many combinations.
        TrainingError: The folder has trainings of another recipe, teacher or TileSet.
    """
    tileset, folder = TileSet.open(tileset), Path(folder)
    tileset.require_split("val")
    if not seeds or len(set(seeds)) != len(seeds):
        raise RecipeError(f"`seeds={list(seeds)}`: give at least one, and each once")
    combinations = _combinations(recipe, grid)
    teaching = _sharing(teacher, folder, len(combinations) * len(seeds))
    tried, notes = [], dict[str, None]()
    with progress_bar("tune", len(combinations) * len(seeds), progress) as advance:
        for values, varied in combinations:
            reached, epochs = {}, {}
            for seed in seeds:
                run = Run(folder / "trainings" / _slug(values, seed))
                reached[seed], epochs[seed] = _train(varied.changed({"seed": seed}), tileset, run, teaching, device)
                advance(1, note=f"{run.folder.name}: {reached[seed]:.3f}")
                notes |= dict.fromkeys(_notes_of(run))
            tried.append(Tried(values, reached, epochs))
    tried.sort(key=lambda each: math.inf if each.diverged else -each.mean)
    if tried[0].diverged:
        raise DivergedError(f"{folder}: a training of every combination diverged; try lower learning rates or weights")
    measure = recipe.measure.replace("_", " ")
    how = (
        f"The best mean of {measure} over seeds {', '.join(map(str, seeds))} on the validation split, among "
        f"{len(tried)} combinations; the test split was not read. Being the best of many, it will be lower elsewhere: "
        "measure it once on the test split, with other seeds."
    )
    best = recipe.changed(tried[0].values)
    found = Tuning(tuple(tried), recipe.measure, best, (how, *notes))
    _save(found, folder)
    return found


def _train(recipe: Recipe, tileset: TileSet, run: Run, teaching: Teaching | None, device: str) -> tuple[float, int]:
    """Train, or read what was trained; return what the selected epoch reached and its number, NaN if diverged."""
    try:
        train(recipe, tileset, run.folder, teacher=teaching, resume=bool(run.card), device=device, progress=silent)
    except DivergedError:
        return math.nan, 0
    epoch = int(run.card["chosen_epoch"])
    log = run.log
    return float(log.loc[log["epoch"] == epoch, f"val_{recipe.measure}"].iloc[0]), epoch


def _notes_of(run: Run) -> Iterator[str]:
    """Return what a run says of its tiles, and of a teacher that is no better than a guess."""
    if not run.finished:
        return
    yield run.card["independence"]
    teacher = find_model(run)[1].teacher
    if teacher is not None and teacher.weak:
        yield weakness_told(teacher.weak)


def _combinations(recipe: Recipe, grid: Mapping[str, Sequence[Any]]) -> list[tuple[dict[str, Any], Recipe]]:
    """Return every combination of values with its recipe, all checked before the first training."""
    if not grid or not all(len(values) for values in grid.values()):
        raise RecipeError(f"`grid={dict(grid)}`: name at least one key of the recipe, and at least one value for each")
    if "seed" in grid:
        raise RecipeError("`grid`: seeds are not tuned; give them as `seeds`")
    count = int(np.prod([len(values) for values in grid.values()]))
    if count > _MOST:
        raise DataError(f"`grid`: {count} combinations are more than {_MOST}; try fewer values at once")
    found = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    if len({_slug(values, 0) for values in found}) < count:
        raise RecipeError(
            f"`grid={dict(grid)}`: a value is there twice, or two have no letter or digit to tell them apart"
        )
    return [(values, recipe.changed(values)) for values in found]


def _sharing(teacher: "AnyModel | Teaching | None", folder: Path, trainings: int) -> Teaching | None:
    """Return the teacher with a cache that all trainings share, in their folder unless another is named."""
    if teacher is None:
        return None
    teaching = teacher if isinstance(teacher, Teaching) else Teaching(teacher)
    return replace(teaching, cache_folder=teaching.cache_folder or folder / "cache", shared_by=trainings)


def _slug(values: Mapping[str, Any], seed: int) -> str:
    named = "-".join(f"{key.removeprefix('methods.')}-{value}" for key, value in values.items())
    return f"{safe_name(named, 150)}-seed{seed}"


def _save(found: Tuning, folder: Path) -> None:
    with atomic_file(folder / "tuning.csv") as partial:
        found.table.to_csv(partial, index=False, float_format="%.8g")
    write_text(folder / "tuning.md", found.to_markdown())
    write_text(folder / "best.yaml", found.best.to_yaml())
    save_figure(_draw(found), folder / "tuning.png")


def _draw(found: Tuning) -> Figure:
    """Draw every combination, the best on top: each training a dot, and their mean."""
    count = len(found.tried)
    figure = new_figure(8, 1.4 + 0.32 * count)
    axes = figure.subplots()
    for at, each in zip(range(count, 0, -1), found.tried, strict=True):
        reached = 100 * np.array(list(each.reached.values()))
        axes.plot(reached, np.full(len(reached), at), "o", color="0.6", ms=4)
        axes.plot(np.nanmean(reached) if not each.diverged else np.nan, at, "|", color=PALETTE[1], ms=14, mew=2.5)
    words = [_words(each) + (" (diverged)" if each.diverged else "") for each in found.tried]
    axes.set_yticks(range(count, 0, -1), words, fontsize=8)
    axes.set_ylim(0.4, count + 0.6)
    axes.set_xlabel(f"{found.measure.replace('_', ' ')} on the validation split, % (bar: mean over seeds)")
    axes.grid(axis="x", alpha=0.3)
    return figure


def _words(tried: Tried) -> str:
    return fit(", ".join(f"{key.removeprefix('methods.')} {value}" for key, value in tried.values.items()), 3.2, 8)
