"""What a Dask cluster costs, and whether it loses or repeats anything when its workers are killed.

`workers`: 40 slides of 4,000 × 3,000 px by two one-thread workers, and by one process with two threads, in turn.
Workers run before the command, as on a cluster, but have loaded nothing; slides and network are those of
`segmentation.py`. `overhead`: 10,000 pieces that do nothing, on two workers: seconds a piece, and memory of the process
that gives them out. `ideal`: 64 workers in this process, whose pieces sleep for as long as slides of unequal size would
take, against the sum of all sleep divided by 64. `kills`: a cohort of small slides whose workers are killed at twenty
random moments. Each must be mapped in the end as by one process, and no finished summary may be written again.
`kills-compare`: the same for the trainings of an experiment.

    python benchmarks/cluster.py overhead ideal -o benchmarks/results/cluster.md   # two minutes, hardly any work
    python benchmarks/cluster.py workers kills kills-compare -o benchmarks/results/cluster.md   # an idle machine
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import numpy as np
import psutil

from hviskd.running import Undemanding

KILLS = 20
IDEAL_WORKERS = 64


def main() -> None:
    """Measure what was asked for, and print it; in the file of results, replace those sections alone."""
    options = parse()
    sections = {}
    for name in options.what:
        with tempfile.TemporaryDirectory(dir=options.work) as work:
            sections[name] = MEASURES[name](Path(work), options)
        print("\n".join(sections[name]), flush=True)
    if options.output:
        write(options.output, sections)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=MEASURES)
    parser.add_argument("--slides", type=int, help="how many: of `kills` 150; pieces 10,000 and 1,280; seeds 10")
    parser.add_argument("--width-px", type=int, default=4000, help="of the slides of `workers`; height is 3/4 of it")
    parser.add_argument("--network", default="mobilenet_v2", help="of `workers`")
    parser.add_argument("--repeats", type=int, default=3, help="of `workers`")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of killing")
    parser.add_argument("--work", type=Path, help="where there is room for slides and maps")
    parser.add_argument("-o", "--output", type=Path, help="also write the sections here")
    return parser.parse_args()


def workers(work: Path, options: argparse.Namespace) -> list[str]:
    """Compare two workers with one process of two threads."""
    count = options.slides or 40
    slides = cohort(work, options.network, options.width_px, count)
    words = ["segment", slides, "-m", work / "model"]
    found: dict[str, list[tuple[float, float]]] = {"process": [], "workers": []}
    os.environ["HVISKD_CACHE"] = str(work / "cache")
    run(["segment", work / "slide.svs", "-m", work / "model", "-o", work / "converted"], [])  # and checks the network
    for _ in range(options.repeats):
        found["process"].append(run([*words, "-o", work / "one", "--threads", "2"], []))
        with started_dask(work) as (scheduler, processes):
            found["workers"].append(run([*words, "-o", work / "two", "--scheduler", scheduler], processes))
        same = (work / "one" / "slides.csv").read_bytes() == (work / "two" / "slides.csv").read_bytes()
        for written in ("one", "two", "scheduler.json"):
            shutil.rmtree(work / written) if (work / written).is_dir() else (work / written).unlink(missing_ok=True)
    seconds, cpu = ({who: statistics.median(each[at] for each in got) for who, got in found.items()} for at in (0, 1))
    size = f"{options.width_px:,} × {options.width_px * 3 // 4:,} px"
    return [
        f"{count} slides of {size}, {options.network}; medians of {options.repeats}; the table of the cohort is "
        f"{'the same' if same else 'ANOTHER'}.",
        "",
        "| | seconds | CPU seconds |",
        "|---|--:|--:|",
        f"| one process, two threads | {seconds['process']:.1f} | {cpu['process']:.1f} |",
        f"| two workers of one thread | {seconds['workers']:.1f} | {cpu['workers']:.1f} |",
        f"| ratio (wanted: at most 1.08) | {seconds['workers'] / seconds['process']:.3f} | "
        f"{cpu['workers'] / cpu['process']:.3f} |",
    ]


def overhead(work: Path, options: argparse.Namespace) -> list[str]:
    """Measure what giving out a piece takes, and whether memory grows with their number."""
    from distributed import Client, LocalCluster

    from hviskd.progress import silent
    from hviskd.running import Dask

    count = options.slides or 10_000
    process, seen = psutil.Process(), []

    def look(_: object) -> None:
        looking.append(None)
        if len(looking) % max(1, count // 10) == 0:
            seen.append(process.memory_info().rss / 2**20)

    looking: list[None] = []
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs="CRITICAL") as local,
        Client(local, set_as_default=False) as client,
    ):
        Dask(client).run(Sleeping(work, [0.0] * 100), range(100), silent)
        began, cpu = time.perf_counter(), process.cpu_times()
        Dask(client, report=look).run(Sleeping(work, [0.0] * count), range(count), silent)
        seconds = time.perf_counter() - began
        used = sum(process.cpu_times()[:2]) - sum(cpu[:2])
    return [
        f"{count:,} pieces that do nothing, on two workers; scheduler and client in one process.",
        "",
        "| | |",
        "|---|--:|",
        f"| ms a piece (wanted: under 20) | {1000 * seconds / count:.2f} |",
        f"| CPU ms a piece, of scheduler and client | {1000 * used / count:.2f} |",
        f"| MiB after {count // 10:,} pieces | {seen[0]:.0f} |",
        f"| MiB after {count // 2:,} pieces | {seen[len(seen) // 2 - 1]:.0f} |",
        f"| MiB after {count:,} pieces | {seen[-1]:.0f} |",
    ]


def ideal(work: Path, options: argparse.Namespace) -> list[str]:
    """Measure how near many workers come to sharing the work without loss."""
    import dask
    from distributed import Client, LocalCluster

    from hviskd.progress import silent
    from hviskd.running import Dask

    count = options.slides or 20 * IDEAL_WORKERS
    seconds = np.random.default_rng(options.seed).lognormal(1.5, 0.5, count).tolist()
    # Each worker looks a hundred times a second what it is at: in one process, 64 of them leave time for nothing else.
    quiet = {"distributed.worker.profile.enabled": False, "distributed.admin.system-monitor.interval": "10s"}
    with (
        dask.config.set(quiet),
        LocalCluster(
            n_workers=IDEAL_WORKERS,
            threads_per_worker=1,
            processes=False,
            dashboard_address=":0",
            silence_logs="CRITICAL",
            memory_limit=0,
        ) as local,
        Client(local, set_as_default=False) as client,
    ):
        began = time.perf_counter()
        Dask(client).run(Sleeping(work, seconds), range(count), silent)
        taken = time.perf_counter() - began
    best = sum(seconds) / IDEAL_WORKERS
    return [
        f"{count:,} pieces that sleep {min(seconds):.1f} to {max(seconds):.1f} s, on {IDEAL_WORKERS} workers; "
        f"ideal: {best:.1f} s.",
        "",
        "| | |",
        "|---|--:|",
        f"| seconds, with giving the job to the workers | {taken:.1f} |",
        f"| share of the ideal (wanted: at least 95 %) | {best / taken:.1%} |",
    ]


def kills(work: Path, options: argparse.Namespace) -> list[str]:
    """Kill workers that map slides."""
    from hviskd.models import Compute
    from hviskd.running import Dask
    from hviskd.segmentation import load_slide_map, segment_cohort

    count = options.slides or 150
    slides = cohort(work, "resnet8", 1000, count)
    compute = Compute("torch", threads=1, workers=1)
    plain = segment_cohort(work / "model", sorted(slides.iterdir())[:1], work / "plain", compute=compute)
    expected = load_slide_map(plain[0].folder)
    with dying_workers(options, lambda: (work / "maps").glob("*/summary.json")) as (client, death):
        maps = segment_cohort(work / "model", slides, work / "maps", compute=compute, running=Dask(client, 10))
    same = sum(
        outcome.summary is not None
        and np.array_equal(load_slide_map(outcome.folder).probabilities, expected.probabilities)
        for outcome in maps
    )
    return death.told(f"{count} slides of one picture", "slides", count, same)


def kills_compare(work: Path, options: argparse.Namespace) -> list[str]:
    """Kill workers that train."""
    from hviskd.experiments import Design, compare
    from hviskd.running import Dask
    from hviskd.storage import file_digest

    tileset = tiles(work / "tiles")
    (work / "tiny.yaml").write_text("teacher: {name: resnet8}\nstudent: {name: resnet8}\nlearning_rate: 0.01\n")
    design = Design(
        pairs=(str(work / "tiny.yaml"),),
        arms=("plain", "kd"),
        seeds=tuple(range(options.slides or 10)),
        baselines=False,
        settings={"epochs": 6, "batch_size": 32},
        allow_weak_teacher=True,
    )
    compare(design, tileset, work / "one", jobs=1, device="cpu")
    with dying_workers(options, lambda: (work / "many").glob("students/*/*/test.npz")) as (client, death):
        outcome = compare(design, tileset, work / "many", jobs=Dask(client, 10), threads=1, device="cpu")
    weights = sorted(
        path.relative_to(work / "one") for path in (work / "one").glob("students/*/*/*/weights.safetensors")
    )
    same = sum(file_digest(work / "one" / path) == file_digest(work / "many" / path) for path in weights)
    assert not outcome.failed, outcome.failed
    return death.told(f"An experiment of {2 * len(design.seeds) + 1} trainings", "Models", len(weights), same)


def cohort(work: Path, network: str, width_px: int, count: int) -> Path:
    """Write a Model, and a folder with so many copies of one slide."""
    from cutting import make_slide
    from segmentation import write_model

    make_slide(work, width_px, width_px * 3 // 4)
    write_model(argparse.Namespace(work=work, network=network, int8=False))
    slides = work / "cohort"
    slides.mkdir()
    for number in range(count):
        shutil.copyfile(work / "slide.svs", slides / f"slide{number:03d}.svs")
    return slides


def tiles(folder: Path):
    """Write tiles whose brightness tells the class: six patients, two in each split."""
    from hviskd.tiles import Origin, TileSet, TileSetWriter, TileSource, new_card

    numbers = np.random.default_rng(0)
    card = new_card(("a", "b"), tile_px=32, mpp=1.0, origin=Origin(verb="benchmark"))
    with TileSetWriter(folder, card, split_record={"by": "patient"}) as writer:
        for patient in range(6):
            for number in range(80):
                tile = numbers.normal(220 - 60 * (number % 2), 40, (32, 32, 3)).clip(0, 255).astype(np.uint8)
                source, split = TileSource(patient=f"P{patient}"), ("train", "val", "test")[patient // 2]
                name, class_name = f"P{patient}-{number}", "ab"[number % 2]
                writer.add(tile, file=name, class_name=class_name, source=source, split=split)
    return TileSet.open(folder)


@dataclass
class Sleeping(Undemanding):
    """A job whose pieces sleep, each for its own time."""

    output: Path
    seconds: list[float]
    pieces: ClassVar[str] = "slides"
    memory_bytes: ClassVar[int] = 0

    def run(self, items, told, progress) -> None:
        """Sleep."""
        for item in items:
            time.sleep(self.seconds[item])
            told(item)

    def size(self, item: int) -> int:
        """Its milliseconds."""
        return round(1000 * self.seconds[item])

    def name(self, item: int) -> str:
        """Its number."""
        return str(item)

    def lost(self, item: int, problem: str) -> int:
        """Stop the measurement."""
        raise SystemExit(f"{item}: {problem}")


@contextmanager
def started_dask(work: Path) -> Iterator[tuple[Path, list[psutil.Process]]]:
    """Start a scheduler and two workers of one thread, as a user would; yield the scheduler's file and the workers."""
    place, quiet = work / "scheduler.json", {"stderr": subprocess.DEVNULL, "cwd": work}
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
    with subprocess.Popen([*command, "--scheduler-file", place], **quiet) as scheduler:
        command = [
            sys.executable,
            "-m",
            "distributed.cli.dask_worker",
            "--nthreads",
            "1",
            "--no-dashboard",
            "--no-nanny",
        ]
        started = [subprocess.Popen([*command, "--scheduler-file", place], **quiet) for _ in range(2)]
        try:
            from distributed import Client

            while not place.is_file():
                time.sleep(0.1)
            with Client(scheduler_file=str(place), set_as_default=False) as client:
                client.wait_for_workers(2)
            yield place, [psutil.Process(each.pid) for each in started]
        finally:
            for each in (*started, scheduler):
                each.kill()
                each.wait()


def run(words: list, others: list[psutil.Process]) -> tuple[float, float]:
    """Run a verb; return its seconds, and the CPU seconds of it and of other processes meanwhile."""

    def used() -> float:
        children = os.times()
        return children.children_user + children.children_system + sum(sum(each.cpu_times()[:2]) for each in others)

    before, began = used(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "hviskd", *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began, used() - before


@dataclass
class Death:
    """What happened while workers were killed.

    Attributes:
        killed: How many were.
        first: Of each finished piece's last file, its inode and time when it was first seen.
        again: Files that were written again.
        seconds: How long it took.
    """

    killed: int = 0
    first: dict[Path, tuple[int, int]] = field(default_factory=dict)
    again: set[Path] = field(default_factory=set)
    seconds: float = 0.0

    def look(self, files: Callable[[], Iterator[Path]]) -> None:
        """Notice finished pieces, and whether one has been written again."""
        for path in files():
            state = path.stat()
            now = state.st_ino, state.st_mtime_ns
            if self.first.setdefault(path, now) != now:
                self.again.add(path)

    def told(self, what: str, of: str, count: int, same: int) -> list[str]:
        """Return a table."""
        return [
            f"{what}, two workers, {self.killed} of them killed at random moments, {self.seconds:.0f} s.",
            "",
            "| | |",
            "|---|--:|",
            f"| {of} | {count} |",
            f"| {of} equal to those of one process (wanted: all) | {same} |",
            f"| finished ones that were written again (wanted: 0) | {len(self.again)} |",
        ]


@contextmanager
def dying_workers(options: argparse.Namespace, files: Callable[[], Iterator[Path]]) -> Iterator[tuple]:
    """Yield a client of two workers of which one is killed now and then, and what became of finished files."""
    from distributed import Client, LocalCluster

    death, ended, moments = Death(), threading.Event(), np.random.default_rng(options.seed)

    def watch(local: LocalCluster) -> None:
        kill_at, finished = None, 0
        while not ended.wait(0.02):
            death.look(files)
            if kill_at is None and len(death.first) > finished:  # only those that work are worth killing
                kill_at = time.monotonic() + moments.uniform(0, 2)
            # A nanny whose worker dies while it starts gives up, and nobody would be left in the end.
            known = set(local.scheduler.workers)
            nannies = [nanny for nanny in local.workers.values() if nanny.pid and nanny.worker_address in known]
            if death.killed < options.kills and nannies and kill_at is not None and time.monotonic() > kill_at:
                psutil.Process(nannies[moments.integers(len(nannies))].pid).kill()
                death.killed, finished, kill_at = death.killed + 1, len(death.first), None
        death.look(files)

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs="CRITICAL") as local,
        Client(local, set_as_default=False) as client,
    ):
        watcher = threading.Thread(target=watch, args=(local,))
        watcher.start()
        began = time.perf_counter()
        try:
            yield client, death
        finally:
            death.seconds = time.perf_counter() - began
            ended.set()
            watcher.join()


MEASURES = {
    "workers": workers,
    "overhead": overhead,
    "ideal": ideal,
    "kills": kills,
    "kills-compare": kills_compare,
}
TITLES = {
    "workers": "Two workers of one thread against one process of two",
    "overhead": "What giving out a piece takes",
    "ideal": "64 workers against the ideal",
    "kills": "Workers killed while they map slides",
    "kills-compare": "Workers killed while they train",
}


def write(path: Path, sections: dict[str, list[str]]) -> None:
    """Replace sections in a file of results, and leave the others."""
    from start import commit, cpu

    kept = path.read_text(encoding="utf-8").split("\n## ")[1:] if path.is_file() else []
    parts = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in kept}
    for name, lines in sections.items():
        made = (
            f"{datetime.now(UTC):%Y-%m-%d}, {cpu()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
            f"{commit(Path(__file__).parent)}: `{' '.join(['benchmarks/cluster.py', *sys.argv[1:]])}`"
        )
        parts[TITLES[name]] = "\n".join([made, "", *lines])
    text = [f"## {title}\n\n{parts[title]}\n" for title in TITLES.values() if title in parts]
    path.write_text("\n".join(["# Clusters\n", *text]), encoding="utf-8")


if __name__ == "__main__":
    main()
