"""The trainings of a comparison on a cluster: a training is a piece of the job, and a worker does one at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import torch

from hviskd.errors import DataError
from hviskd.experiments.cells import Bench, Cell
from hviskd.experiments.design import Design
from hviskd.experiments.workers import ATTEMPTS, LOST_TEACHER, attempt
from hviskd.progress import Progress
from hviskd.running import Running
from hviskd.tiles import TileSet


@dataclass(frozen=True)
class Ended:
    """A training that has ended.

    Attributes:
        cell: Which.
        problem: What hindered it; None if nothing did.
    """

    cell: Cell
    problem: str | None


@dataclass(frozen=True)
class TrainingJob:
    """What a process needs to train any cell of an experiment.

    Attributes:
        design: The experiment.
        output: Folder of the comparison.
        tiles: Folders of the TileSets, one per fold.
        device: Where trainings run.
        threads: CPU threads per training; None: all that a worker has.
    """

    design: Design
    output: Path
    tiles: tuple[Path, ...]
    device: str
    threads: int | None
    pieces: ClassVar[str] = "trainings"
    memory_bytes: ClassVar[int] = 2**30

    @cached_property
    def bench(self) -> Bench:
        """The experiment's cells as this process sees them."""
        return Bench(self.design, self.output, [TileSet.open(folder) for folder in self.tiles], self.device)

    def run(self, items: Sequence[Cell], told: Callable[[Ended], None], progress: Progress | None) -> None:
        """Train cells one after the other; one that fails is tried once more, from the last epoch saved."""
        torch.set_num_threads(self.threads or 1)
        for cell in items:
            problem: str | None = LOST_TEACHER
            if self.bench.ready(cell):
                for _ in range(ATTEMPTS):
                    problem, _ = attempt(self.bench, cell)
                    if problem is None:
                        break
            told(Ended(cell, problem))

    def size(self, item: Cell) -> int:
        """Return the epochs of a training."""
        return self.bench.recipe(item).epochs

    def name(self, item: Cell) -> str:
        """Return its title."""
        return item.title

    def with_threads(self, threads: int) -> Self:
        """Return the job for a worker that has so many threads; what the user gave stands."""
        return replace(self, threads=self.threads or threads)

    def obstacle(self) -> str:
        """Return why this process cannot train; nothing if it can."""
        try:
            _ = self.bench
        except (DataError, OSError) as error:
            return f"does not see the tiles: {error}"
        return ""

    def lost(self, item: Cell, problem: str) -> Ended:
        """Return the result of a training that no worker survived."""
        return Ended(item, problem)


def train_on(running: Running, bench: Bench, threads: int | None, progress: Progress | None) -> dict[str, str]:
    """Train all unfinished cells on a cluster, and return what hindered those that failed, by their titles.

    First all teachers are trained, then all students whose teacher could be.

    Args:
        running: The cluster.
        bench: The experiment's cells; its paths are absolute.
        threads: CPU threads per training; None: all that a worker has.
        progress: As for `compare`.
    """
    folders = tuple(tileset.folder for tileset in bench.tilesets)
    problems: dict[str, str] = {}
    for cells in (bench.teachers(), list(bench.students())):
        # One for each round: what a job has read of the tiles would go along, to workers that may not see them.
        job = TrainingJob(bench.design, bench.folder, folders, bench.device, threads)
        missing = [cell for cell in cells if not bench.done(cell)]
        ready = [cell for cell in missing if bench.ready(cell)]
        problems |= {cell.title: LOST_TEACHER for cell in missing if cell not in ready}
        if ready:
            ended = running.run(job, ready, progress)
            problems |= {each.cell.title: each.problem for each in ended if each.problem is not None}
    return problems
