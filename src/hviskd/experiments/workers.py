"""Several trainings in parallel on one device, each in a process that may be killed."""

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from queue import Empty

import torch

from hviskd.errors import HviskdError
from hviskd.experiments.cells import Bench, Cell
from hviskd.processor import end_with_parent

Told = Callable[[Cell, str | None, float], None]
_LOOK_S = 0.5
ATTEMPTS = 2  # at a training that fails
LOST_TEACHER = "its teacher is missing"


def train_all(bench: Bench, *, jobs: int, threads: int, minutes: float | None, told: Told) -> list[Cell]:
    """Train all unfinished cells, teachers before the students that need them, and return those that failed.

    Every process trains one cell after the other. One that dies takes only its own cell with it; a cell that fails or
    dies is tried once more, going on from the last epoch saved.

    Args:
        bench: The experiment's cells.
        jobs: Processes side by side.
        threads: Processor threads of each.
        minutes: When to stop and leave the rest to the next call; None to go on to the end.
        told: Called with each cell that ended, what hindered it (None: nothing) and its seconds.
    """
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    waiting = [cell for cell in [*bench.teachers(), *bench.students()] if not bench.done(cell)]
    tries: dict[str, int] = {}
    failed: list[Cell] = []
    hands: list[_Hand] = []
    try:
        while (waiting or any(hand.cell for hand in hands)) and not (deadline and time.monotonic() > deadline):
            for hand in hands:
                for cell, problem, seconds in hand.ended():
                    told(cell, problem, seconds)
                    if problem is None:
                        continue
                    tries[cell.title] = tries.get(cell.title, 0) + 1
                    (waiting if tries[cell.title] < ATTEMPTS else failed).append(cell)
            _drop_hopeless(bench, waiting, failed)
            _hand_out(bench, waiting, hands, jobs, threads)
            time.sleep(_LOOK_S if any(hand.cell for hand in hands) else 0)
    finally:
        for hand in hands:
            hand.stop()
    return failed


def _hand_out(bench: Bench, waiting: list[Cell], hands: "list[_Hand]", jobs: int, threads: int) -> None:
    """Assign a cell whose teacher exists to every free process; start processes if there are too few."""
    ready = [cell for cell in waiting if bench.ready(cell)]
    hands[:] = [hand for hand in hands if hand.alive or hand.cell]
    while ready:
        free = next((hand for hand in hands if hand.alive and hand.cell is None), None)
        if free is None:
            if len(hands) >= jobs:
                return
            free = _Hand(bench, threads)
            hands.append(free)
        cell = ready.pop(0)
        waiting.remove(cell)
        free.begin(cell)


def _drop_hopeless(bench: Bench, waiting: list[Cell], failed: list[Cell]) -> None:
    """Give up the students whose teacher failed twice or diverged."""
    lost = {bench.place(cell) for cell in failed if cell.arm is None}
    for cell in [cell for cell in waiting if cell.arm is not None and cell.arm.needs_teacher]:
        teacher = Cell(cell.pair, None, 0, cell.fold)
        if bench.place(teacher) in lost or bench.diverged(teacher):
            waiting.remove(cell)
            failed.append(cell)


class _Hand:
    """One process and the cell it trains."""

    def __init__(self, bench: Bench, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.cell: Cell | None = None
        self._todo: Queue[Cell] = context.Queue()
        self._done: Queue[tuple[str | None, float]] = context.Queue()
        self._process: SpawnProcess = context.Process(
            target=_work, args=(bench, threads, self._todo, self._done), daemon=True
        )
        self._process.start()

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def begin(self, cell: Cell) -> None:
        self.cell = cell
        self._todo.put(cell)

    def ended(self) -> list[tuple[Cell, str | None, float]]:
        """Return the cell that has ended since the last call, with the reason if it failed."""
        if self.cell is None:
            return []
        alive = self.alive  # looked at first: what a process said before it died is still in the queue
        try:
            problem, seconds = self._done.get_nowait()
        except Empty:
            if alive:
                return []
            problem, seconds = f"its process died with status {self._process.exitcode}", 0.0
        cell, self.cell = self.cell, None
        return [(cell, problem, seconds)]

    def stop(self) -> None:
        if self.alive:
            self._process.kill()
        self._process.join()


def _work(bench: Bench, threads: int, todo: "Queue[Cell]", done: "Queue[tuple[str | None, float]]") -> None:
    """Train cell after cell; runs in a child process, which ends with its parent."""
    end_with_parent()
    torch.set_num_threads(threads)
    while True:
        done.put(attempt(bench, todo.get()))


def attempt(bench: Bench, cell: Cell) -> tuple[str | None, float]:
    """Train a cell; return what hindered it (None: nothing) and its seconds."""
    started = time.monotonic()
    problem: str | None = None
    try:
        bench.train(cell)
    except (HviskdError, OSError, torch.OutOfMemoryError) as error:
        problem = " ".join(str(error).split())
    return problem, time.monotonic() - started
