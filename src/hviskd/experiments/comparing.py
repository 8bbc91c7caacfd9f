"""Trains pairs × methods × seeds (× folds) and tabulates the results."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hviskd.checks import require_at_least
from hviskd.errors import DataError, RecipeError, TrainingError, without_allow_leak
from hviskd.experiments.cells import Bench, Cell
from hviskd.experiments.comparison import Comparison
from hviskd.experiments.comparison_files import write_comparison
from hviskd.experiments.design import Design, load_design
from hviskd.experiments.folds import make_folds
from hviskd.experiments.gathering import gather_comparison
from hviskd.experiments.training_job import train_on
from hviskd.experiments.workers import LOST_TEACHER, train_all
from hviskd.models import Model, load_model
from hviskd.models.admission import require_fit
from hviskd.models.device import device_name
from hviskd.processor import memory_bytes, usable_cpus
from hviskd.progress import Progress, progress_bar
from hviskd.running import Running
from hviskd.storage import read_json, write_json, write_text
from hviskd.tiles import TileSet, join_unlabelled, require_no_leak
from hviskd.training.setup import independence_of

_TRAINING_BYTES, _AT_PX = 2 * 2**30, 64  # memory that one training on a CPU stays under by far, with tiles so large
_DESIGN_FILE, _DATA_FILE, _DONE_FILE = "experiment.yaml", "data.json", "comparison.json"


@dataclass(frozen=True)
class Outcome:
    """The result of a call of `compare`.

    Attributes:
        comparison: Everything measured so far.
        left: Cells that are neither trained nor failed.
        failed: Cells that failed in this call, with what hindered each.
    """

    comparison: Comparison
    left: int
    failed: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return every number and statement; undefined numbers are NaN."""
        found = self.comparison
        return {
            "verdict": found.verdict.to_dict(),
            "rows": found.to_dataframe().to_dict("records"),
            "ranks": found.ranks,
            "notes": list(found.notes),
            "left": self.left,
            "failed": self.failed,
        }

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        left = show.paragraph(f"{self.left} trainings remain; call `compare` again to continue") if self.left else ""
        failed = show.table(("training", "failed because"), self.failed.items()) if self.failed else ""
        return left + failed + self.comparison._repr_html_()


@without_allow_leak()
def compare(
    design: Design,
    tileset: TileSet | Path | str,
    folder: Path | str,
    *,
    jobs: int | Running | None = None,
    threads: int | None = None,
    minutes: float | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Outcome:
    """Train what is missing, evaluate everything on the test tiles, and write the table.

    To continue after an interruption, repeat the call; the table is the same. In a
    script, call it under `if __name__ == "__main__":`, since trainings run in child processes.

    Args:
        design: The experiment.
        tileset: Its tiles; without `folds` they need train, val and test splits.
        folder: Folder for everything: `teachers`, `students`, `folds`, tables and figures.
        jobs: Number of trainings to run in parallel on the device. None: on a CPU one per core (`threads` each) as far
            as memory goes; on a GPU one. The results do not depend on it. Or a cluster such as `Dask("local:4")`, each
            worker of which does one training at a time; all must see the tiles and the folder.
        threads: CPU threads per training. None: one, or all that a worker of a cluster has.
        minutes: Stop after this time; call again to continue. Not with a cluster.
        device: Where trainings run.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        RecipeError: This is no design.
        DataError: `jobs` or `threads` is below 1 or no cluster, or the tiles have no splits or too few patients for
            the folds.
        RunningError: A cluster or one of its workers cannot do the work.
        LeakError: The splits leak, or the design's teacher learned from another split of these tiles.
        ModelError: The design's teacher does not fit the tiles.
        TrainingError: The folder contains another experiment, or is in use.
    """
    if not isinstance(design, Design):
        raise RecipeError(f"`design={design!r}`: must be a Design; load one with `load_design()`")
    tileset, folder = TileSet.open(tileset), Path(folder)
    if isinstance(jobs, int | None):
        require_at_least(1, jobs=jobs, threads=threads)
    else:
        require_at_least(1, threads=threads)
        _require_cluster(jobs, minutes)
        tileset, folder = TileSet.open(tileset.folder.absolute()), folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            _claim(folder, design, tileset, _given_teacher(design, tileset))
            tilesets = _tilesets(design, tileset, folder)
            if design.unlabelled is not None:
                for each in tilesets:
                    join_unlabelled(each, design.unlabelled)
            bench = Bench(design, folder, tilesets, device)
            _require_places(bench)
            if isinstance(jobs, int | None):
                jobs = jobs or side_by_side(device, threads or 1, tileset.tile_px)
                problems = _train(bench, jobs, threads or 1, minutes, progress)
            else:
                bench = Bench(design.absolute(), folder, tilesets, device)
                problems = train_on(jobs, bench, threads, progress)
            cells = [*bench.teachers(), *bench.students()]
            failed = [cell for cell in cells if cell.title in problems]
            comparison = gather_comparison(bench, failed)
            write_comparison(comparison, folder)
            left = sum(not bench.done(cell) for cell in cells) - len(failed)
            done = {"format_version": 1, "verdict": comparison.verdict.to_dict(), "left": left, "failed": problems}
            write_json(folder / _DONE_FILE, done)
    except Timeout as error:
        raise TrainingError(f"{folder}: another comparison is using this folder; wait for it") from error
    return Outcome(comparison, left, problems)


def _given_teacher(design: Design, tileset: TileSet) -> Model | None:
    """Return the finished teacher that a design names, if it does and the teacher suits the tiles."""
    if design.teacher is None:
        return None
    teacher = load_model(design.teacher)
    require_fit(teacher, tileset, as_teacher=True)
    independence_of(tileset, teacher, allow_leak=False)
    return teacher


def _claim(folder: Path, design: Design, tileset: TileSet, teacher: Model | None) -> None:
    """Assign the folder to this experiment, or check that it is: only pairs, arms and seeds may be added."""
    path, data_path = folder / _DESIGN_FILE, folder / _DATA_FILE
    data = {"tiles": tileset.fingerprint if design.folds else tileset.split_fingerprint}
    data |= {} if teacher is None else {"teacher": teacher.fingerprint}
    data |= {} if design.unlabelled is None else {"unlabelled": TileSet.open(design.unlabelled).split_fingerprint}
    if not path.is_file():
        if any(entry.name[0] != "." for entry in folder.iterdir()):
            raise TrainingError(f"{folder}: contains files but no experiment; choose another folder")
    else:
        kept = load_design(path)
        changed = [
            name for name in ("settings", "teacher_settings", "folds") if getattr(kept, name) != getattr(design, name)
        ]
        theirs = {arm.name: arm for arm in kept.arms}
        changed += [f"arm {arm.name!r}" for arm in design.arms if arm.name in theirs and theirs[arm.name] != arm]
        before = read_json(data_path)
        changed += ["tiles or split"] if before["tiles"] != data["tiles"] else []
        changed += ["teacher"] if before.get("teacher") != data.get("teacher") else []
        theirs_joined = before.get("unlabelled")
        changed += ["unlabelled tiles"] if theirs_joined and theirs_joined != data.get("unlabelled") else []
        if changed:
            raise TrainingError(
                f"{folder}: contains an experiment with other {', '.join(changed)}; choose another folder"
            )
    write_json(data_path, data)
    write_text(path, design.to_yaml())


def side_by_side(device: str, threads: int, tile_px: int) -> int:
    """Return how many trainings, of so many threads each, this computer does at once: on a GPU one."""
    if device_name(device) != "cpu":
        return 1
    by_cores, memory = usable_cpus() // threads, memory_bytes()
    each = _TRAINING_BYTES * max(1, (tile_px / _AT_PX) ** 2)  # maps grow with the tiles' area
    return max(1, by_cores if memory is None else min(by_cores, int(memory / each)))


def _tilesets(design: Design, tileset: TileSet, folder: Path) -> list[TileSet]:
    if design.folds is not None:
        return make_folds(tileset, design.folds, folder / "folds")
    for split in ("train", "val", "test"):
        tileset.require_split(split)
    require_no_leak(tileset, allow_leak=False)
    return [tileset]


def _require_cluster(jobs: Running, minutes: float | None) -> None:
    """Raise unless trainings can be given to this `Running`, for as long as they take."""
    if not jobs.remote:
        raise DataError(f"`jobs={jobs}`: must be a number of trainings in parallel, or a `Dask` cluster")
    if minutes is not None:
        raise DataError(f"`minutes={minutes:g}`: omit it on a cluster; stop the command, and repeat it to continue")


def _require_places(bench: Bench) -> None:
    """Raise if two trainings would write one folder."""
    places = [bench.place(cell) for cell in (*bench.teachers(), *bench.students())]
    if len(set(places)) != len(places):
        raise RecipeError("two pairs have recipe files of the same name; rename one")


def _train(bench: Bench, jobs: int, threads: int, minutes: float | None, progress: Progress | None) -> dict[str, str]:
    """Train what is missing, and return the reasons of the cells that failed."""
    cells = [*bench.teachers(), *bench.students()]
    done = sum(bench.done(cell) for cell in cells)
    problems: dict[str, str] = {}
    with progress_bar("compare", len(cells), progress, done=done) as advance:

        def told(cell: Cell, problem: str | None, seconds: float) -> None:
            if problem is None:
                problems.pop(cell.title, None)
                advance(1, note=f"{cell.title}: {seconds:.0f} s")
            else:
                problems[cell.title] = problem

        failed = train_all(bench, jobs=jobs, threads=threads, minutes=minutes, told=told)
    return {cell.title: problems.get(cell.title, LOST_TEACHER) for cell in failed}
