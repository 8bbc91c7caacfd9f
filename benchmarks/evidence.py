"""Does HVisKD help? Three pairs of networks, eight ways of training the student, several seeds, one honest table.

Cells (pair × arm × seed) are trained by several processes side by side on one device, each an ordinary run that a
kill cannot hurt; after `--minutes` the script stops them, and the same command goes on where it stopped. The val
split is carved from train; the test split is read once, when every cell is there. Arms share budget, augmentation,
order of tiles and teacher; only `student-twice` trains twice as long, and says so by its name.

    python benchmarks/evidence.py --data ../shared/data/crc5 --work runs/evidence --minutes 9 --workers 6
    python benchmarks/evidence.py --data ../shared/data/crc5 --work runs/toy --toy    # minutes on two cores

`--data` is a folder of class folders under train/ and test/, or a TileSet that has the three splits.
"""

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty

PAIRS = ("vgg19-shufflenet_v1", "resnet32x4-resnet8x4", "resnet110-resnet20")
HVISKD = {"cross_entropy": {}, "kd": {}}
ARMS = {
    "student": "plain",
    "student-twice": "plain",
    "kd": "kd",
    "hviskd-shared": HVISKD | {"hviskd": {"scale": "shared"}},
    "hviskd-student": HVISKD | {"hviskd": {"scale": "student"}},
    "hviskd-positive": HVISKD | {"hviskd": {"scale": "positive"}},
    "hviskd-frozen": HVISKD | {"hviskd": {"scale": "frozen"}},
    "hviskd-authors": "hviskd-authors",
}
TEACHER = "teacher"
DIVERGED = "diverged.txt"
SETTINGS = ("data", "epochs", "batch_size", "tile_px", "learning_rate", "precision")  # what every cell shares
REFERENCES = ("kd", "student")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does


@dataclass(frozen=True)
class Cell:
    """One training."""

    pair: str
    arm: str
    seed: int

    def folder(self, work: Path) -> Path:
        """Give its run's folder; a teacher serves every pair that names it."""
        if self.arm == TEACHER:
            return work / "teachers" / self.pair.split("-")[0]
        return work / "students" / self.pair / f"{self.arm}-{self.seed}"

    def finished(self, work: Path) -> bool:
        """Whether its run came to its end."""
        from hviskd.training import Run

        return Run(self.folder(work)).finished or self.diverged(work)

    def diverged(self, work: Path) -> bool:
        """Whether a loss of this training exploded; that is a result too, and is reported as one."""
        return (self.folder(work) / DIVERGED).is_file()


def main() -> None:
    """Train for a while, then say how far it is, or read the test split and print the table."""
    options = parse()
    tiles = prepare(options)
    cells = [Cell(pair, arm, seed) for seed in range(options.seeds) for pair in options.pairs for arm in options.arms]
    teachers = [Cell(pair, TEACHER, 0) for pair in options.pairs]
    teachers = [cell for n, cell in enumerate(teachers) if cell.folder(options.work) not in {
        other.folder(options.work) for other in teachers[:n]
    }]  # fmt: skip
    settings = {name: str(value) for name, value in vars(options).items() if name in SETTINGS}
    kept = options.work / "settings.json"
    if kept.is_file() and json.loads(kept.read_text(encoding="utf-8")) != settings:
        raise SystemExit(f"{options.work}: holds trainings with other settings ({kept}); choose another --work")
    kept.write_text(json.dumps(settings, indent=2), encoding="utf-8")
    failed = train_all(teachers, cells, tiles, options)
    missing = [cell for cell in [*teachers, *cells] if not cell.finished(options.work)]
    if missing:
        print(f"{len(missing)} of {len(teachers) + len(cells)} cells are not done; run the same command again")
        for cell, error in failed:
            print(f"  failed: {cell.pair} {cell.arm} seed {cell.seed}: {error}")
        raise SystemExit(1 if failed else 3)
    report = render(measure_all(teachers, cells, tiles, options), tiles, options)
    (options.work / "evidence.md").write_text(report, encoding="utf-8")
    print(report)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of tiles, runs and the table")
    parser.add_argument("--minutes", type=float, default=9.0, help="stop after this time; go on with the same command")
    parser.add_argument("--workers", type=int, default=1, help="trainings side by side on the device")
    parser.add_argument("--pairs", nargs="+", default=PAIRS, help="built-in recipes")
    parser.add_argument("--arms", nargs="+", default=tuple(ARMS), choices=ARMS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--tile-px", type=int, default=150, help="side to which larger pictures are resized")
    parser.add_argument("--learning-rate", type=float, help="instead of the recipes' 0.005")
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=2, help="processor threads of each worker")
    parser.add_argument("--toy", action="store_true", help="one pair, one epoch, 32 px: does it run?")
    options = parser.parse_args()
    if options.toy:
        options.pairs, options.seeds, options.epochs, options.tile_px = PAIRS[2:], 2, 1, 32
    return options


def prepare(options: argparse.Namespace) -> Path:
    """Give a TileSet with the three splits, imported and carved on the first call."""
    from hviskd.tiles import TileSet, import_folder, split_tiles

    if (options.data / "tileset.json").is_file():
        return options.data
    folder = options.work / f"tiles-{options.tile_px}"
    if not (folder / "tileset.json").is_file():
        import_folder(options.data, folder, tile_px=options.tile_px, resize=True)
    tileset = TileSet.open(folder)
    if not len(tileset.rows("val")):
        split_tiles(tileset, by="random", val=0.15, keep_test=True, seed=0)
    return folder


def train_all(
    teachers: list[Cell], students: list[Cell], tiles: Path, options: argparse.Namespace
) -> list[tuple[Cell, str]]:
    """Train what is missing until the time is up, students as soon as their teacher is there; give the failures."""
    deadline = time.monotonic() + 60 * options.minutes
    context = multiprocessing.get_context("spawn")
    todo, done = context.Queue(), context.Queue()
    waiting = [cell for cell in students if not cell.finished(options.work)]
    pending = 0

    def release() -> int:
        """Queue every student whose teacher is finished."""
        ready = [cell for cell in waiting if Cell(cell.pair, TEACHER, 0).finished(options.work)]
        for cell in ready:
            waiting.remove(cell)
            todo.put(cell)
        return len(ready)

    for cell in teachers:
        if not cell.finished(options.work):
            todo.put(cell)
            pending += 1
    pending += release()
    workers = [
        context.Process(target=work_through, args=(todo, done, tiles, options), daemon=True)
        for _ in range(min(options.workers, max(pending + len(waiting), 1)))
    ]
    failed = []
    if pending:
        for worker in workers:
            worker.start()
    while pending and time.monotonic() < deadline and any(worker.is_alive() for worker in workers):
        try:
            cell, error, seconds = done.get(timeout=1)
        except Empty:
            continue
        pending -= 1
        if error:
            failed.append((cell, error))
        print(f"{cell.pair} {cell.arm} {cell.seed}: {error or f'{seconds:.0f} s'}", file=sys.stderr, flush=True)
        pending += release()
    for worker in workers:
        if worker.is_alive():
            worker.kill()
    return failed


def work_through(todo, done, tiles: Path, options: argparse.Namespace) -> None:
    """Train cell after cell in a process of its own."""
    import torch

    from hviskd.errors import HviskdError, TrainingError
    from hviskd.tiles import TileSet

    torch.set_num_threads(options.threads)
    tileset = TileSet.open(tiles)
    while True:
        cell = todo.get()
        started = time.monotonic()
        try:
            train_cell(cell, tileset, options)
        except TrainingError as error:
            (cell.folder(options.work) / DIVERGED).write_text(str(error), encoding="utf-8")
            done.put((cell, "", time.monotonic() - started))
        except (HviskdError, torch.OutOfMemoryError) as error:
            done.put((cell, " ".join(str(error).split()), 0.0))
        else:
            done.put((cell, "", time.monotonic() - started))


def train_cell(cell: Cell, tileset, options: argparse.Namespace) -> None:
    """Train one cell, or go on with it."""
    from hviskd.models import load_model
    from hviskd.training import load_recipe, train

    changes = {
        "epochs": options.epochs * (2 if cell.arm == "student-twice" else 1),
        "batch_size": options.batch_size,
        "precision": options.precision,
        "seed": cell.seed,
    }
    if options.learning_rate:
        changes["learning_rate"] = options.learning_rate
    if cell.arm == TEACHER:
        recipe, teacher = load_recipe(cell.pair, "teacher", changes), None
    else:
        recipe = load_recipe(cell.pair, "distilled", changes | {"methods": ARMS[cell.arm]})
        alone = ARMS[cell.arm] == "plain"
        teacher = None if alone else load_model(Cell(cell.pair, TEACHER, 0).folder(options.work))
    folder = cell.folder(options.work)
    begun = (folder / "run.json").is_file()
    train(recipe, tileset, folder, teacher=teacher, resume=begun, device=options.device)


def measure_all(teachers: list[Cell], students: list[Cell], tiles: Path, options: argparse.Namespace) -> dict:
    """Read the test split once with every cell's chosen and last Model, and give which tiles each got right."""
    from hviskd.models import load_model
    from hviskd.tiles import TileSet

    tileset = TileSet.open(tiles)
    rows = tileset.rows("test")
    pixels, labels = tileset.pixels[rows], tileset.labels[rows]
    right = {}
    for cell in [*teachers, *students]:
        if cell.diverged(options.work):
            continue
        for place in ("model", "model-last"):
            model = load_model(cell.folder(options.work) / place)
            right[cell, place] = model.predict(pixels, device=options.device).argmax(axis=1) == labels
    return right


def render(right: dict, tiles: Path, options: argparse.Namespace) -> str:
    """Give the table: means over seeds, their deviation, gains with intervals over tiles (or patients) and seeds."""
    import numpy as np

    from hviskd.evaluation import bootstrap_weights
    from hviskd.tiles import TileSet, check_leak

    tileset = TileSet.open(tiles)
    unit, clusters = tileset.clusters(tileset.rows("test"))
    weights = np.stack(list(bootstrap_weights(clusters, 2000, seed=0)))
    rng = np.random.default_rng(0)

    def there(pair: str, *arms: str) -> list[int]:
        """Give the seeds with which none of these arms diverged."""
        return [seed for seed in range(options.seeds) if all((Cell(pair, arm, seed), "model") in right for arm in arms)]

    def correct(pair: str, arm: str, place: str, seeds: list[int]):
        return np.stack([right[Cell(pair, arm, seed), place] for seed in seeds]).astype(float)

    def gain(pair: str, arm: str, reference: str) -> str:
        """95 % of the mean over (seeds, tiles) of the paired difference, both resampled."""
        seeds = there(pair, arm, reference)
        if arm == reference or reference not in options.arms or not seeds:
            return ""
        difference = correct(pair, arm, "model", seeds) - correct(pair, reference, "model", seeds)
        by_seed = difference @ weights.T / weights.sum(axis=1)
        drawn = rng.integers(len(seeds), size=(2000, len(seeds)))
        low, high = np.percentile(by_seed[drawn, np.arange(2000)[:, None]].mean(axis=1), [2.5, 97.5])
        return f"{100 * difference.mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"

    def share(pair: str, arm: str, place: str, seeds: list[int]) -> str:
        by_seed = 100 * correct(pair, arm, place, seeds).mean(axis=1)
        return f"{by_seed.mean():.1f}" + (f" ± {by_seed.std(ddof=1):.1f}" if len(seeds) > 1 else "")

    lines = [*_heading(tileset, check_leak(tileset).statement, unit, len(set(clusters)), options)]
    lines += ["| pair | arm | chosen epoch | last epoch | gain over KD | gain over the student | α, β at the end |"]
    lines += ["|---|---|--:|--:|--:|--:|--:|"]
    for pair in options.pairs:
        shares = [share(pair, TEACHER, place, [0]) for place in ("model", "model-last")]
        lines.append(f"| {pair} | teacher | {' | '.join(shares)} | | | |")
        for arm in options.arms:
            seeds = there(pair, arm)
            lost = options.seeds - len(seeds)
            name = f"{arm} ({lost} of {options.seeds} diverged)" if lost else arm
            shares = [share(pair, arm, place, seeds) if seeds else "–" for place in ("model", "model-last")]
            gains = [gain(pair, arm, reference) for reference in REFERENCES]
            cells = [pair, name, *shares, *gains, _scales(pair, arm, seeds, options)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _scales(pair: str, arm: str, seeds: list[int], options: argparse.Namespace) -> str:
    from hviskd.training import Run

    if not arm.startswith("hviskd") or not seeds:
        return ""
    logs = [Run(Cell(pair, arm, seed).folder(options.work)).log.iloc[-1] for seed in seeds]
    means = [sum(log[f"hviskd/{name}"] for log in logs) / len(logs) for name in ("alpha", "beta")]
    return ", ".join(f"{value:+.3f}" for value in means)


def _heading(tileset, independence: str, unit: str, clusters: int, options: argparse.Namespace) -> list[str]:
    import torch

    on_gpu = torch.cuda.is_available() and options.device != "cpu"
    machine = torch.cuda.get_device_name() if on_gpu else f"{platform.machine()}, {options.threads} threads"
    counts = ", ".join(f"{name} {len(tileset.rows(name)):,}" for name in ("train", "val", "test"))
    settings = {
        name: getattr(options, name)
        for name in ("epochs", "seeds", "batch_size", "tile_px", "precision", "learning_rate", "workers")
    }
    return [
        "# Evidence: which way of training the student helped",
        "",
        f"{tileset.folder.name}: {counts} tiles of {len(tileset.classes)} classes. {independence}",
        f"{machine}; torch {torch.__version__}; {datetime.now(UTC):%Y-%m-%d}; {json.dumps(settings)}",
        "",
        f"Test top-1 in %, mean ± standard deviation over {options.seeds} seeds. Gains are of the epoch chosen on val, "
        f"in points, with 95 % bootstrap intervals over {clusters} units ({unit}) and seeds; one teacher a network.",
        "",
    ]


if __name__ == "__main__":
    main()
