"""What `hviskd` costs before and beside the tiles: starting, the first classified tile, small slides, and memory.

Two source trees are compared in one run, each measurement of one beside the same of the other, in CPU seconds (user and
system) of all processes, the interpreter's start included: other programs lengthen those far less than seconds on a
clock. The slides are mosaics of tissue, as in `cutting.py`; the network has drawn weights, as in `segmentation.py`, and
is converted and checked before anything is measured. Each number is the median of the repeats. Peak memory is the
largest resident set of the process. Large slides, which `--only` must name, are mapped with all cores by a Model that
has an int8 variant; the engine of each is told.

    git worktree add /tmp/before COMMIT
    python benchmarks/start.py --before /tmp/before/src
    python benchmarks/start.py --before /tmp/before/src --repeats 1 --only "large, float32" "large, int8" "large, auto"
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

CORE_PX, SMALL_PX, SECTION_PX = (900, 900), (2100, 2100), (3100, 3150)  # 36, 196 and 420 tiles of 150 px
LARGE_PX = (15_360, 12_288)  # 8,262 tiles
LARGE = {f"large, {precision}": precision for precision in ("float32", "int8", "auto")}
MOST_SLIDES = 40
FIRST_TILE = """
import os, sys, time
from hviskd.processor import let_threads_sleep
let_threads_sleep()  # before torch is loaded, as the command line does
from hviskd.models.engines.engine import Engine

classify = Engine.__call__

def first(engine, tiles):
    if len(tiles) and sys._getframe(1).f_code.co_filename.endswith("segmenting.py"):  # not while the engine is checked
        classify(engine, tiles)
        print("cpu", time.process_time(), [name for name in HEAVY if name in sys.modules], flush=True)
        os._exit(0)
    return classify(engine, tiles)

HEAVY = ("torch", "scipy", "pandas", "matplotlib", "pyarrow")
Engine.__call__ = first
from hviskd.cli.app import main
main()
"""


def main() -> None:
    """Measure both trees, and print one table."""
    options = parse()
    trees = {"before": options.before.resolve(), "after": options.after.resolve()}
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        large = [precision for name, precision in LARGE.items() if name in (options.only or ())]
        data = prepare(Path(work), options, large=bool(large))
        for tree, source in trees.items():
            Tree(source, data, tree).segment(data / "small" / "slide.svs")  # converts the network
            for precision in large:  # so do these, and the last tries which is faster
                Tree(source, data, tree).segment(data / "small" / "slide.svs", precision=precision)
        found: dict[str, dict[str, list[dict]]] = {}
        for name, measure in MEASURES.items():
            if name in LARGE if options.only is None else name not in options.only:
                continue
            for _ in range(options.repeats):
                for tree, source in trees.items():
                    got = measure(Tree(source, data, tree))
                    print(name, tree, got, file=sys.stderr, flush=True)
                    found.setdefault(name, {}).setdefault(tree, []).append(got)
    report = render(found, trees, options)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="the src folder of the commit to compare with")
    parser.add_argument("--after", type=Path, default=Path(__file__).parents[1] / "src")
    parser.add_argument("--network", default="mobilenet_v2")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--slides", type=int, default=MOST_SLIDES, help="how many small slides a cohort has")
    parser.add_argument("--only", nargs="*", choices=MEASURES)
    parser.add_argument("--work", type=Path, help="where there is room for slides and maps")
    parser.add_argument("-o", "--output", type=Path, help="also write the table here")
    return parser.parse_args()


def prepare(work: Path, options: argparse.Namespace, *, large: bool) -> Path:
    """Draw the slides, and write the Models with the code of before: what is older reads no newer card."""
    from cutting import make_slide

    make_slide(work / "section", *SECTION_PX)
    make_slide(work / "small", *SMALL_PX)
    make_slide(work / "core", *CORE_PX)
    write_model(work / "section", options)
    if large:
        make_slide(work / "large", *LARGE_PX)
        write_model(work / "large", options, int8=True)
    for kind, cohort in (("small", "cohort"), ("core", "cores")):
        (work / cohort).mkdir()
        for number in range(options.slides):
            shutil.copyfile(work / kind / "slide.svs", work / cohort / f"slide{number:02d}.svs")
    return work


def write_model(work: Path, options: argparse.Namespace, *, int8: bool = False) -> None:
    """Let `segmentation.py` write a Model beside a slide."""
    code = (
        "import sys; from argparse import Namespace; from pathlib import Path; from segmentation import write_model; "
        "write_model(Namespace(work=Path(sys.argv[1]), network=sys.argv[2], int8=bool(int(sys.argv[3]))))"
    )
    python_path = os.pathsep.join([str(options.before.resolve()), str(Path(__file__).parent)])
    subprocess.run(
        [sys.executable, "-c", code, str(work), options.network, str(int(int8))],
        env=os.environ | {"PYTHONPATH": python_path},
        check=True,
    )


class Tree:
    """One of the source trees, and how to run its command line."""

    def __init__(self, source: Path, data: Path, name: str) -> None:
        self.data = data
        self.environment = os.environ | {"PYTHONPATH": str(source), "HVISKD_CACHE": str(data / f"cache-{name}")}
        self.environment.pop("COLUMNS", None)

    def run(self, *words: object, code: str | None = None) -> dict:
        """Run a verb, and return its CPU seconds, its seconds, its peak in MiB, and what it printed."""
        command = [sys.executable, *(["-m", "hviskd"] if code is None else ["-c", code]), *map(str, words)]
        measured = (
            "import json, resource, subprocess, sys, time; "
            "began = time.perf_counter(); "
            "done = subprocess.run(sys.argv[1:], capture_output=True, text=True); "
            "seconds = time.perf_counter() - began; "
            "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
            "print(json.dumps([done.returncode, used.ru_utime + used.ru_stime, seconds, used.ru_maxrss / 1024, "
            "done.stdout, done.stderr]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", measured, *command],
            env=self.environment,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        code_, cpu, seconds, peak, out, error = json.loads(done.stdout)
        if code_:
            raise SystemExit(f"{' '.join(command)}: {error}")
        return {"cpu": cpu, "seconds": seconds, "peak": peak, "out": out}

    def segment(self, *slides: Path, code: str | None = None, precision: str | None = None) -> dict:
        """Map slides with one thread for the network, or in a precision by the Model that has all, with all cores."""
        output = self.data / "maps"
        shutil.rmtree(output, ignore_errors=True)
        kind, how = ("section", ("--threads", 1)) if precision is None else ("large", ("--precision", precision))
        return self.run("segment", *slides, "-m", self.data / kind / "model", "-o", output, *how, code=code)


def first_tile(tree: Tree) -> dict:
    """Return the CPU seconds until the first batch is classified, and what is loaded by then."""
    found = tree.segment(tree.data / "section" / "slide.svs", code=FIRST_TILE)
    line = next(line for line in found["out"].splitlines() if line.startswith("cpu "))
    seconds, loaded = line.removeprefix("cpu ").split(" ", 1)
    return {"cpu": float(seconds), "loaded": loaded}


def large_slide(tree: Tree, precision: str) -> dict:
    """Map a large slide in a precision, and tell which engine did it."""
    found = tree.segment(tree.data / "large" / "slide.svs", precision=precision)
    summary = json.loads((tree.data / "maps" / "slide" / "summary.json").read_text(encoding="utf-8"))
    return found | {"loaded": summary["map"]["engine"]}


MEASURES = {
    "help": lambda tree: tree.run("--help"),
    "first tile": first_tile,
    "a section of 420 tiles": lambda tree: tree.segment(tree.data / "section" / "slide.svs"),
    "a small slide of 196 tiles": lambda tree: tree.segment(tree.data / "small" / "slide.svs"),
    "small slides of 196 tiles": lambda tree: tree.segment(tree.data / "cohort"),
    "cores of 36 tiles": lambda tree: tree.segment(tree.data / "cores"),
    "slides info": lambda tree: tree.run("slides", "info", tree.data / "small" / "slide.svs"),
    "slides info -o, 6 slides": lambda tree: pictures(tree, 6),
    "slides info -o, all slides": lambda tree: pictures(tree, MOST_SLIDES),
    **{name: partial(large_slide, precision=precision) for name, precision in LARGE.items()},
}


def pictures(tree: Tree, count: int) -> dict:
    """Survey so many slides, with a picture of each."""
    output = tree.data / "pictures"
    shutil.rmtree(output, ignore_errors=True)
    slides = sorted((tree.data / "cohort").iterdir())[:count]
    return tree.run("slides", "info", *slides, "-o", output)


def render(found: dict, trees: dict[str, Path], options: argparse.Namespace) -> str:
    """Put the medians into a Markdown table."""
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {cpu()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"before {commit(trees['before'])}, after {commit(trees['after'])}: "
        f"`{' '.join(['benchmarks/start.py', *sys.argv[1:]])}`",
        "",
        f"Medians of {options.repeats}; {options.network}, one thread for the network; cohorts of {options.slides}.",
        "",
        "| what | CPU s before | CPU s after | ratio | s before | s after | ratio | peak MiB before | after |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, measured in found.items():
        before, after = (middle(measured[tree], "cpu") for tree in trees)
        line = f"| {name} | {before:.2f} | {after:.2f} | {before / after:.2f} "
        if "seconds" in measured["after"][0]:
            seconds, peaks = ([middle(measured[tree], what) for tree in trees] for what in ("seconds", "peak"))
            line += f"| {seconds[0]:.2f} | {seconds[1]:.2f} | {seconds[0] / seconds[1]:.2f} "
            line += f"| {peaks[0]:.0f} | {peaks[1]:.0f} |"
        else:
            line += "| | | | | |"
        lines.append(line)
        if "loaded" in measured["after"][0]:
            told = ", ".join(f"{tree} {measured[tree][0]['loaded']}" for tree in trees)
            lines.append(f"| {'engine' if name in LARGE else 'loaded by then'}: {told} | | | | | | | | |")
    return "\n".join([*lines, ""])


def middle(runs: list[dict], what: str) -> float:
    """Return the median of one number of several runs."""
    return statistics.median(run[what] for run in runs)


def cpu() -> str:
    """Name the processor and those of its instruction sets that networks use."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    entries = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in entries.items()}
    sets = [
        name for name in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8") if name in facts["flags"].split()
    ]
    return f"{facts['model name']} (family {facts['cpu family']}, model {facts['model']}; {', '.join(sets)})"


def commit(source: Path) -> str:
    """Return the commit that a source tree stands at."""
    done = subprocess.run(
        ["/usr/bin/env", "git", "-C", source, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    return done.stdout.strip() or source.parent.name


if __name__ == "__main__":
    main()
