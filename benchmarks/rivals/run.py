"""What a map of one slide costs with hviskd, WSInfer, TIAToolbox and LazySlide, with the same weights.

The slide is a section of `hviskd synthesize cohort`; the network has drawn weights that tell its classes apart, as in
`segmentation.py`. WSInfer and the others get what `hviskd export --to wsinfer` writes. Each program runs as its
documentation shows, from the command line or by a short script (`with_….py`), in a process of its own, on the CPU with
as many threads as there are cores; with 0 workers it reads in its only process, with 2 in two more. All write their
results to disk. Programs take turns, after one run of each that is not counted.

CPU seconds are those of the process and all its descendants, the interpreter's start included. Peak memory is the
largest sum of their proportional set sizes, looked at five times a second. A tile has the same class if hviskd's
engine gives it to the pixels at the very place that the other program chose, be it on hviskd's grid or not.

    python benchmarks/rivals/install.py /somewhere/rivals
    python benchmarks/rivals/run.py --rivals /somewhere/rivals -o benchmarks/results/rivals.md
"""

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))  # start.py and segmentation.py
LOOK_S = 0.2
WIDTH_PX, HEIGHT_PX = 4000, 3000


@dataclass(frozen=True)
class Arm:
    """One way to map the slide.

    Attributes:
        name: For the table.
        command: What is run; `{output}` stands for an empty folder.
        environment: Variables beside this process's own.
        fresh: A folder to empty before each run.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    fresh: Path | None = None


@dataclass(frozen=True)
class Taken:
    """What one run took, and the places (N, 2) in level-0 px and classes (N,) of its tiles."""

    cpu: float
    wall: float
    peak_mib: float
    places: np.ndarray
    classes: np.ndarray


def main() -> None:
    """Run every program in turn, and print one table."""
    options = parse()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        work = Path(folder)
        prepare(work, options)
        found: dict[str, list[Taken]] = {}
        for number in range(options.repeats + 1):
            for arm in arms(work, options):
                taken = measure(arm, work / "output")
                counted = "" if number else " (not counted)"
                print(f"{arm.name}: {taken.cpu:.1f} CPU s, {taken.wall:.1f} s{counted}", file=sys.stderr, flush=True)
                if number:
                    found.setdefault(arm.name, []).append(taken)
        same = {name: agreement(work, runs[-1]) for name, runs in found.items()}
    report = render(found, same, options)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rivals", type=Path, required=True, help="the folder that install.py filled")
    parser.add_argument("--only", nargs="*", help="programs to run beside hviskd; all that are installed if not given")
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 2], help="reading processes of the others")
    parser.add_argument("--network", default="mobilenet_v2")
    parser.add_argument("--size-px", type=int, nargs=2, default=(WIDTH_PX, HEIGHT_PX), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, help="where there is room for slide and results")
    parser.add_argument("-o", "--output", type=Path, help="also write the table here")
    return parser.parse_args()


def prepare(work: Path, options: argparse.Namespace) -> None:
    """Draw the slide, write the Model, and export it."""
    from segmentation import write_model

    from hviskd.models.export import export_model
    from hviskd.synthesis import CohortSettings, draw_cohort

    os.environ["HVISKD_CACHE"] = str(work / "cache")
    width_px, height_px = options.size_px
    drawn = draw_cohort(
        work / "cohort", CohortSettings(patients=1, width_px=width_px, height_px=height_px), workers=1
    ).slides[0]
    (work / "slides").mkdir()  # WSInfer takes a folder in which nothing but slides may lie
    shutil.copyfile(work / "cohort" / drawn.file, work / "slides" / "slide.svs")
    shutil.copyfile(work / "slides" / "slide.svs", work / "slide.svs")
    write_model(argparse.Namespace(work=work, network=options.network, int8=False))
    export_model(work / "model", "wsinfer", work / "export")


def arms(work: Path, options: argparse.Namespace) -> list[Arm]:
    """List hviskd, with and without a cache, and every program that is installed."""
    ours = [sys.executable, "-m", "hviskd", "segment", str(work / "slide.svs"), "-m", str(work / "model")]
    source = {"PYTHONPATH": str(ROOT / "src")}
    first = work / "cache-of-the-first-time"
    found = [
        Arm("hviskd", [*ours, "-o", "{output}/maps"], source | {"HVISKD_CACHE": str(work / "cache")}),
        Arm(
            "hviskd, first use of the Model",
            [*ours, "-o", "{output}/maps"],
            source | {"HVISKD_CACHE": str(first)},
            first,
        ),
    ]
    for script in sorted(HERE.glob("with_*.py")):
        rival = script.stem.removeprefix("with_")
        python = options.rivals.resolve() / rival / "bin" / "python"
        if python.exists() and (options.only is None or rival in options.only):
            for workers in options.workers if rival != "wsinfer" else filter(None, options.workers):  # needs one
                command = [str(python), str(script), str(work), "{output}", str(workers)]
                found.append(Arm(f"{rival}, {workers} workers", command, {"PYTHONPATH": str(ROOT / "docs")}))
    return found


def measure(arm: Arm, output: Path) -> Taken:
    """Run a program to its end, and read what it wrote."""
    for folder in (output, arm.fresh):
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
    command = [word.replace("{output}", str(output)) for word in arm.command]
    log = output / "log.txt"
    with log.open("wb") as said:
        began, peak = time.perf_counter(), 0.0
        process = subprocess.Popen(
            command, env=os.environ | arm.environment, stdout=said, stderr=said, start_new_session=True
        )
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak = max(peak, session_mib(process.pid))
            time.sleep(LOOK_S)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arm.name} failed: {log.read_text(errors='replace')[-3000:]}")
    places, classes = read_map(output) if arm.name.startswith("hviskd") else read_tiles(output / "tiles.csv")
    return Taken(used.ru_utime + used.ru_stime, wall, peak, places, classes)


def session_mib(session: int) -> float:
    """Return the memory of all processes of a session: the sum of their proportional set sizes, in MiB."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) != session:
                continue
            lines = (process / "smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):  # it ended meanwhile
            continue
    return total / 1024


def read_map(output: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read hviskd's map."""
    from hviskd.segmentation import load_slide_map

    slide_map = load_slide_map(output / "maps" / "slide")
    return np.stack([slide_map.x_px, slide_map.y_px], axis=1), slide_map.class_index


def read_tiles(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the table of places and classes that each `with_….py` writes."""
    with path.open(newline="") as stream:
        rows = [(float(x), float(y), int(index)) for x, y, index in csv.reader(stream)]
    table = np.array(rows)
    return np.rint(table[:, :2]).astype(np.int64), table[:, 2].astype(np.int64)


def agreement(work: Path, taken: Taken) -> float:
    """Return the share of a program's tiles to which hviskd's engine, at the very same places, gives the same class."""
    from hviskd.models import load_model
    from hviskd.models.engines import open_engine
    from hviskd.slides import open_slide

    model = load_model(work / "model")
    engine, side = open_engine(model), model.card.tile_px
    with open_slide(work / "slide.svs") as slide:
        tiles = np.stack([slide.read(x, y, side, side, model.card.mpp) for x, y in taken.places.tolist()])
    return float(np.mean(engine(tiles).argmax(axis=1) == taken.classes))


def render(found: dict[str, list[Taken]], same: dict[str, float], options: argparse.Namespace) -> str:
    """Put the medians into a Markdown table."""
    from start import commit, cpu

    def middle(name: str, what: str) -> float:
        return statistics.median(getattr(taken, what) for taken in found[name])

    command = " ".join(["benchmarks/rivals/run.py", *sys.argv[1:]])
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {cpu()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; hviskd "
        f"{commit(ROOT / 'src')}; {versions(options.rivals)}: `{command}`",
        "",
        f"{options.network}, float32; a slide of {' × '.join(f'{side:,}' for side in options.size_px)} px; medians of "
        f"{options.repeats}.",
        "",
        "| program | CPU s | hviskd's CPU s × | s | peak MiB | tiles | CPU ms a tile | same class |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, runs in found.items():
        cpu_s, tiles = middle(name, "cpu"), len(runs[0].classes)
        lines.append(
            f"| {name} | {cpu_s:.1f} | {cpu_s / middle('hviskd', 'cpu'):.1f} | {middle(name, 'wall'):.1f} "
            f"| {middle(name, 'peak_mib'):,.0f} | {tiles} | {1000 * cpu_s / tiles:.0f} | {same[name]:.1%} |"
        )
    return "\n".join([*lines, ""])


def versions(rivals: Path) -> str:
    """Say which versions the environments hold, with that of torch."""
    told = []
    for python in sorted(rivals.glob("*/bin/python")):
        rival = python.parents[1].name
        asked = f"import json, importlib.metadata as m; print(json.dumps([m.version('{rival}'), m.version('torch')]))"
        done = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True)
        version, torch = json.loads(done.stdout)
        told.append(f"{rival} {version} (torch {torch})")
    return ", ".join(told)


if __name__ == "__main__":
    main()
