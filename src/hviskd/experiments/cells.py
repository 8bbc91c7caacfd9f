"""One training of an experiment, and its predictions on the test tiles; `compare` distributes them over processes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hviskd.errors import DivergedError
from hviskd.experiments.design import Arm, Design
from hviskd.models import Compute, Model, load_model, save_model
from hviskd.models.folder import CHOSEN, LAST
from hviskd.models.prediction import predict_rows
from hviskd.progress import silent
from hviskd.storage import atomic_file, write_text
from hviskd.tiles import TileSet
from hviskd.training import Recipe, Run, Teaching, load_recipe, train

ANSWERS_FILE = "test.npz"
_DIVERGED = "diverged.txt"


@dataclass(frozen=True)
class Cell:
    """One training: a teacher (`arm` is None) or a student.

    Attributes:
        pair: Recipe of the pair.
        arm: The way of training the student.
        seed: Of weights, order and augmentation.
        fold: Which part is unseen; 0 where there is one split only.
    """

    pair: str
    arm: Arm | None
    seed: int
    fold: int

    @property
    def title(self) -> str:
        """Its name in progress and messages."""
        what = "teacher" if self.arm is None else f"{self.arm.name}, seed {self.seed}"
        return f"{Path(self.pair).stem} · {what} · fold {self.fold}"


class Bench:
    """Where an experiment's cells are on disk, and how each is trained.

    Attributes:
        design: The experiment.
        folder: Everything it writes.
        tilesets: One a fold.
        device: Where trainings run.
    """

    def __init__(self, design: Design, folder: Path, tilesets: list[TileSet], device: str) -> None:
        self.design, self.folder, self.tilesets, self.device = design, folder, tilesets, device

    def teachers(self) -> list[Cell]:
        """Return one cell per teacher network and fold; pairs with the same teacher share it."""
        cells: dict[Path, Cell] = {}
        for fold in range(len(self.tilesets)):
            for pair in self.design.pairs:
                cell = Cell(pair, None, 0, fold)
                cells.setdefault(self.place(cell), cell)
        return list(cells.values())

    def students(self) -> Iterator[Cell]:
        """Return every student cell, all arms of one seed before the next, so that partial results are balanced."""
        for seed in self.design.seeds:
            for fold in range(len(self.tilesets)):
                for pair in self.design.pairs:
                    for arm in self.design.arms:
                        yield Cell(pair, arm, seed, fold)

    def place(self, cell: Cell) -> Path:
        """Return the folder of a cell's run."""
        if cell.arm is None and self.design.teacher is not None:
            return self.folder / "teachers" / "given"
        if cell.arm is None:
            return self.folder / "teachers" / f"{self.recipe(cell).choice.slug}-fold{cell.fold}"
        return self.folder / "students" / Path(cell.pair).stem / f"{cell.arm.name}-fold{cell.fold}-seed{cell.seed}"

    def recipe(self, cell: Cell) -> Recipe:
        """Return the complete recipe of a cell: the pair's, with the changes of the experiment and the arm."""
        if cell.arm is None:
            return load_recipe(cell.pair, {**self.design.settings, **self.design.teacher_settings}, role="teacher")
        changes: dict[str, Any] = {**self.design.settings, **cell.arm.settings, "methods": cell.arm.methods}
        recipe = load_recipe(cell.pair, {**changes, "seed": cell.seed}, role="distilled student")
        if cell.arm.epochs == 1:
            return recipe
        epochs = max(1, math.ceil(recipe.epochs * cell.arm.epochs))
        return load_recipe(cell.pair, {**changes, "seed": cell.seed, "epochs": epochs}, role="distilled student")

    def done(self, cell: Cell) -> bool:
        """Whether a cell is trained and, for a student, has predicted; or has diverged, which is a result as well."""
        place = self.place(cell)
        given = cell.arm is None and self.design.teacher is not None
        return self.diverged(cell) or ((given or Run(place).finished) and (place / ANSWERS_FILE).is_file())

    def diverged(self, cell: Cell) -> bool:
        """Whether a loss of this training became NaN or infinite."""
        return (self.place(cell) / _DIVERGED).is_file()

    def ready(self, cell: Cell) -> bool:
        """Whether a cell's teacher exists."""
        if cell.arm is None or not cell.arm.needs_teacher:
            return True
        teacher = Cell(cell.pair, None, 0, cell.fold)
        return self.done(teacher) and not self.diverged(teacher)

    def train(self, cell: Cell) -> None:
        """Train a cell, or continue it, and let it predict the test tiles.

        Raises:
            HviskdError: What hindered it, other than a loss that exploded: that is kept as the cell's result.
        """
        place, tileset = self.place(cell), self.tilesets[cell.fold]
        if cell.arm is None and self.design.teacher is not None:
            self._take(self.design.teacher, place, tileset)
            return
        run = Run(place)
        try:
            train(
                self.recipe(cell),
                tileset,
                place,
                teacher=self._teaching(cell),
                resume=bool(run.card),
                device=self.device,
                progress=silent,
            )
        except DivergedError as error:
            write_text(place / _DIVERGED, f"{error}\n")
            return
        self._answer(place, tileset)

    def answers(self, cell: Cell) -> dict[str, NDArray[np.float32]]:
        """Return the class probabilities (N, K) of the test tiles at the `chosen` and the `last` epoch."""
        with np.load(self.place(cell) / ANSWERS_FILE, allow_pickle=False) as content:
            return {name: content[name] for name in ("chosen", "last")}

    def _answer(self, place: Path, tileset: TileSet) -> None:
        """Predict the test split once, with both Models of a run, and store the result."""
        said = {
            name: self._predict(load_model(place / part), tileset)
            for name, part in (("chosen", CHOSEN), ("last", LAST))
        }
        self._store(place, said)

    def _take(self, given: str, place: Path, tileset: TileSet) -> None:
        """Copy a finished teacher into the experiment, which then depends on nothing outside, and let it predict."""
        teacher = load_model(given)
        card = teacher.card.model_copy(update={"int8": None})  # what teaches are the float weights alone
        save_model(teacher.network, card, place, overwrite=True)
        said = self._predict(teacher, tileset)
        self._store(place, {"chosen": said, "last": said})

    def _predict(self, model: Model, tileset: TileSet) -> NDArray[np.float32]:
        rows = tileset.rows("test")
        return predict_rows(model, tileset, rows, Compute(device=self.device), progress=silent)

    def _store(self, place: Path, said: dict[str, NDArray[np.float32]]) -> None:
        with atomic_file(place / ANSWERS_FILE) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, **said)  # type: ignore[arg-type]

    def _teaching(self, cell: Cell) -> Teaching | None:
        """Return the teacher of a cell; what methods read of it is stored once for all students, methods and seeds."""
        if cell.arm is None or not cell.arm.needs_teacher:
            return None
        teacher = load_model(self.place(Cell(cell.pair, None, 0, cell.fold)))
        unlabelled = self.design.unlabelled if cell.arm.unlabelled else None
        if cell.arm.teacher == "random":  # another for each seed
            random = self._untrained(teacher, cell)
            return Teaching(random, cache=False, allow_weak=True, unlabelled=unlabelled)
        sharing = len(self.design.seeds) * sum(
            arm.needs_teacher and arm.teacher == "trained" for arm in self.design.arms
        )
        return Teaching(
            teacher,
            cache_folder=self.folder / "cache",
            shared_by=sharing,
            allow_weak=self.design.allow_weak_teacher,
            unlabelled=unlabelled,
        )

    def _untrained(self, teacher: Model, cell: Cell) -> Model:
        """Return a teacher of the same structure with random weights, different for each seed."""
        card = teacher.card
        folder = self.folder / "teachers" / f"{card.network.slug}-random{cell.seed}-fold{cell.fold}"
        if not folder.is_dir():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(1_000_003 + cell.seed)
                network = card.network.build(len(card.classes), card.tile_px)
            kept = {"name": f"random {card.network.name}", "selection": "weights drawn at random, never trained"}
            save_model(network, card.model_copy(update={**kept, "epoch": 0, "metrics": {}}), folder, overwrite=True)
        return load_model(folder)
