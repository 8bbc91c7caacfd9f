"""Chooses values of a recipe on the validation split, by few short trainings; the test split is not read.

trainings/kd.weight-1-seed100/           an ordinary run for each combination and seed
tuning.csv, tuning.md, tuning.png        what each reached
best.yaml                                the recipe with the best values
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hviskd.checks import require_at_least
from hviskd.colours import PALETTE
from hviskd.errors import DataError, RecipeError
from hviskd.evaluation.tables import Table, markdown_table
from hviskd.figure_text import fit
from hviskd.file_names import safe_name
from hviskd.models import AnyModel
from hviskd.pictures import new_figure, save_figure
from hviskd.progress import Progress, progress_bar, silent
from hviskd.storage import atomic_file, write_text
from hviskd.tiles import TileSet
from hviskd.training import Recipe, Run, Teaching, train

TUNING_SEEDS = (100, 101, 102)  # others than an experiment usually has
_MOST = 200  # combinations; more are a mistake rather than few short trainings


@dataclass(frozen=True, eq=False)
class Tuning:
    """What combinations of values reached on the validation split.

    Attributes:
        table: One row per training: a column for each key, `seed`, `value` (the selected epoch's) and `epoch`.
        keys: The keys that were tried.
        measure: What was compared, the recipe's `choose_by`.
        best: The recipe with the values whose mean over seeds is highest; of equal ones the first.
    """

    table: pd.DataFrame
    keys: tuple[str, ...]
    measure: str
    best: Recipe

    @property
    def chosen(self) -> dict[str, Any]:
        """The best values, by key."""
        return dict(zip(self.keys, self.means().index[0], strict=True))

    def means(self) -> pd.DataFrame:
        """Return `mean`, `std` and `count` of each combination, the best first."""
        grouped = self.table.groupby(list(self.keys), sort=False)["value"].agg(["mean", "std", "count"])
        grouped.index = pd.MultiIndex.from_tuples([_as_tuple(values) for values in grouped.index], names=self.keys)
        return grouped.sort_values("mean", ascending=False, kind="stable")

    def summary_table(self) -> Table:
        """Return header and rows, as text, the best first."""
        rows = []
        for values, row in self.means().iterrows():
            spread = f"{100 * row['std']:.1f}" if row["count"] > 1 else "–"
            rows.append([*(str(value) for value in _as_tuple(values)), f"{100 * row['mean']:.1f}", spread])
        return [*self.keys, f"{self.measure.replace('_', ' ')} on validation, %", "±"], rows

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        return show.table(*self.summary_table())


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
        DataError: There is no validation split, or there are too many combinations.
        TrainingError: The folder has trainings of another recipe, teacher or TileSet.
    """
    tileset, folder = TileSet.open(tileset), Path(folder)
    tileset.require_split("val")
    require_at_least(1, seeds=len(seeds))
    combinations = _combinations(recipe, grid)
    trainings = [(values, varied, seed) for values, varied in combinations for seed in seeds]
    teaching = _sharing(teacher, folder, len(trainings))
    rows = []
    with progress_bar("tune", len(trainings), progress) as advance:
        for values, varied, seed in trainings:
            run = Run(folder / "trainings" / _slug(values, seed))
            seeded = varied.changed({"seed": seed})
            train(seeded, tileset, run.folder, teacher=teaching, resume=bool(run.card), device=device, progress=silent)
            log, epoch = run.log.set_index("epoch"), run.card["chosen_epoch"]
            value = float(log.loc[epoch, f"val_{recipe.choose_by}"])
            rows.append({**values, "seed": seed, "value": value, "epoch": epoch})
            advance(1, note=f"{run.folder.name}: {value:.3f}")
    table = pd.DataFrame(rows)
    found = Tuning(table, tuple(grid), recipe.choose_by, recipe)
    found = replace(found, best=recipe.changed(found.chosen))
    _save(found, folder)
    return found


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


def _as_tuple(values: Any) -> tuple[Any, ...]:
    return values if isinstance(values, tuple) else (values,)


def _save(found: Tuning, folder: Path) -> None:
    with atomic_file(folder / "tuning.csv") as partial:
        found.table.to_csv(partial, index=False, float_format="%.8g")
    write_text(folder / "tuning.md", markdown_table(found.summary_table()) + "\n")
    write_text(folder / "best.yaml", found.best.to_yaml())
    save_figure(_draw(found), folder / "tuning.png")


def _draw(found: Tuning) -> Figure:
    """Draw every combination, the best on top: each training a dot, and their mean."""
    means = found.means()
    figure = new_figure(8, 1.4 + 0.32 * len(means))
    axes = figure.subplots()
    grouped = {_as_tuple(values): part["value"] for values, part in found.table.groupby(list(found.keys), sort=False)}
    for place, (values, row) in enumerate(means.iterrows()):
        at = len(means) - place
        axes.plot(100 * grouped[_as_tuple(values)], [at] * int(row["count"]), "o", color="0.6", ms=4)
        axes.plot(100 * row["mean"], at, "|", color=PALETTE[1], ms=14, mew=2.5)
    words = [_words(found.keys, _as_tuple(values)) for values in means.index]
    axes.set_yticks(range(len(means), 0, -1), words, fontsize=8)
    axes.set_ylim(0.4, len(means) + 0.6)
    axes.set_xlabel(f"{found.measure.replace('_', ' ')} on the validation split, % (bar: mean over seeds)")
    axes.grid(axis="x", alpha=0.3)
    return figure


def _words(keys: Sequence[str], values: Sequence[Any]) -> str:
    named = ", ".join(f"{key.removeprefix('methods.')} {value}" for key, value in zip(keys, values, strict=True))
    return fit(named, 3.5, 8)
