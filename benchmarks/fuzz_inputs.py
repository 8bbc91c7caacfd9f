"""Does damaged input ever end in anything but a result or one clear line? Thousands of damaged files try it.

Small sound slides of many formats, flat pictures, colour masks, outlines (QuPath, Labelme), legends and µm/px tables
are damaged at random: bytes flipped, pieces cut off, repeated or moved, TIFF tags, values of OME-XML, PNG chunks, JSON
values and numbers replaced by impossible ones, pictures that unpack to far more than they say. Each file is then used
as a user would: a slide is opened, verified, read and searched for tissue; an annotation is read, rasterised, counted
and converted; and in every tenth case slide and annotation are cut into tiles. Processes with limits on time and memory
do it. Linux only.

    python benchmarks/fuzz_inputs.py --count 2400 -o benchmarks/results/fuzz_inputs.md
    python benchmarks/fuzz_inputs.py --seed 3 --only 17 230  # these files again

The exit status is 1 if any file ended in another way than well or in one clear line; those files are kept.
"""

import argparse
import contextlib
import ctypes
import faulthandler
import json
import multiprocessing
import os
import platform
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
from fuzz_layers import LEVEL_0
from fuzz_mutations import damaged
from fuzz_seeds import OFTEN, SIDE_PX, Seed, make_seeds
from PIL import Image

from hviskd.slide_frame import Glass, SlideFrame

GOOD = ("fine", "clear line")
FAULTS = ("unclear line", "traceback", "crash", "hang", "over memory", "half-written")
GROUPS = ("sound", *OFTEN, "cut", "all")
MAX_LINE = 800  # characters
ADDRESS_SPACE = 8 * 2**30  # bytes a process may map
CUT_EVERY, UNCUT = 10, "flat slide"


class Case(NamedTuple):
    """A file to be used: its group, its place, whether to cut tiles with it, and where the sound files lie."""

    group: str
    path: Path
    cut: bool
    seeds: Path


class Outcome(NamedTuple):
    """What became of one damaged file: a word of `GOOD` or `FAULTS`, what was said, and what it took."""

    kind: str
    said: str
    seconds: float
    peak_mib: float


def main() -> None:
    """Damage and use the files, print the table, and keep what went wrong."""
    options = parse()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        seeds = [seed for seed in make_seeds(Path(work) / "seeds") if any(map(seed.path.match, options.files))]
        results = run(seeds, Path(work), options)
    report = render(results, options)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")
    sys.exit(any(outcome.kind in FAULTS for _, outcome in results))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2400, help="how many files to damage")
    parser.add_argument("--seed", type=int, default=0, help="the same seed damages in the same way")
    parser.add_argument("--only", type=int, nargs="+", metavar="NUMBER", help="only the files of these numbers")
    parser.add_argument(
        "--files", nargs="+", default=["*"], metavar="PATTERN", help="damage only sound files of such names"
    )
    parser.add_argument("--limit-s", type=float, default=30, help="longer is a hang")
    parser.add_argument("--limit-mib", type=float, default=1280, help="more resident memory is too much")
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzz_inputs"), help="where to keep what went wrong")
    parser.add_argument("--work", type=Path, help="where there is room for small files")
    parser.add_argument("-o", "--output", type=Path, help="also write the table here")
    return parser.parse_args()


def run(seeds: list[Seed], work: Path, options: argparse.Namespace) -> list[tuple[str, Outcome]]:
    """Use the files sound, then damaged, one after the other in one process that is replaced when it ends or hangs."""
    results: list[tuple[str, Outcome]] = []
    worker = None
    once = () if options.only else dict.fromkeys(seeds)
    jobs = [("sound", None, seed, cut) for seed in once for cut in (False, True) if seed.group != UNCUT or not cut]
    for number in options.only or range(options.count):
        seed = seeds[number % len(seeds)]
        cut = seed.group != UNCUT and number // len(seeds) % CUT_EVERY == 0
        jobs.append(("cut" if cut else seed.group, number, seed, cut))
    for name, number, seed, cut in jobs:
        folder = Path(tempfile.mkdtemp(dir=work))
        path = folder / seed.path.name
        content = seed.path.read_bytes()
        if number is not None:
            rng = random.Random(f"{options.seed}:{number}")  # noqa: S311 - to be repeated, not kept secret
            content = damaged(content, rng)
        path.write_bytes(content)
        worker = worker or Worker(work, options)
        outcome = worker.use(Case(seed.group, path, cut, work / "seeds"))
        if outcome.kind in ("crash", "hang", "over memory"):
            worker.end()
            worker = None
        if outcome.kind in FAULTS:
            keep(number, path, outcome, options)
        results.append((name, outcome))
        if len(results) % 100 == 0:
            print(f"{len(results)} of {len(jobs)}", file=sys.stderr, flush=True)
        shutil.rmtree(folder)
    if worker:
        worker.end()
    return results


def keep(number: int | None, path: Path, outcome: Outcome, options: argparse.Namespace) -> None:
    """Keep a file that something went wrong with, beside what was said of it."""
    options.keep.mkdir(parents=True, exist_ok=True)
    kept = options.keep / f"{options.seed}-{number}-{path.name}"
    shutil.copyfile(path, kept)
    kept.with_name(f"{kept.name}.txt").write_text(f"{outcome.kind}\n{outcome.said}\n", encoding="utf-8")
    print(f"{kept}: {outcome.kind}: {outcome.said.strip().splitlines()[-1][:300]}", file=sys.stderr, flush=True)


class Worker:
    """A process that uses one damaged file after the other."""

    def __init__(self, work: Path, options: argparse.Namespace) -> None:
        self._limit_s, self._limit_mib, self._log = options.limit_s, options.limit_mib, work / "worker.log"
        self._connection, other = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=serve, args=(other, self._log), daemon=True)
        self._process.start()
        other.close()
        self._connection.recv()  # it has loaded what it needs

    def use(self, case: Case) -> Outcome:
        """Have one file used, and tell how it ended."""
        began = time.perf_counter()
        self._connection.send(case)
        try:
            if not self._connection.poll(self._limit_s):
                return Outcome("hang", f"over {self._limit_s:g} s", self._limit_s, 0)
            outcome = Outcome(*self._connection.recv())
        except (EOFError, ConnectionError):
            self._process.join()
            tail = self._log.read_text(errors="replace")[-3000:]
            said = f"{tail}\nended with {self._process.exitcode}"
            return Outcome("crash", said, time.perf_counter() - began, 0)
        if outcome.peak_mib > self._limit_mib and outcome.kind in GOOD:
            return outcome._replace(kind="over memory", said=f"{outcome.peak_mib:.0f} MiB; {outcome.said}")
        return outcome

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def serve(connection: Connection, log: Path) -> None:
    """Use files until there are no more; what libraries say on the way goes to a file."""
    import hviskd.annotations.conversion
    import hviskd.cutting.cutting  # noqa: F401 - loaded before the first file, whose time it would count as

    with log.open("wb") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    connection.send("ready")
    while True:
        try:
            case = connection.recv()
        except EOFError:
            return
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before counts no more
        Path("/proc/self/clear_refs").write_text("5")  # and the peak of resident memory begins anew
        began = time.perf_counter()
        kind, said = judge(case)
        seconds = time.perf_counter() - began
        left = "" if kind == "over memory" else half_written(case.path.parent)
        if left:
            kind, said = "half-written", f"{left}; {said}"
        connection.send((kind, said, seconds, peak_mib()))


def judge(case: Case) -> tuple[str, str]:
    """Use a file, and give a word of `GOOD` or `FAULTS` and what was said."""
    from hviskd.errors import HviskdError

    try:
        (use_whole if case.cut else USES[case.group])(case)
    except MemoryError:
        return "over memory", traceback.format_exc()
    except (HviskdError, OSError) as error:
        line = str(error)
        clear = line.isprintable() and len(line) <= MAX_LINE and str(case.seeds.parent) in line  # it names a file
        if isinstance(error, HviskdError) and not clear:
            return "unclear line", repr(line)[:5000]
        known = isinstance(error, HviskdError) or error.errno is not None
        return ("clear line", line) if known else ("traceback", traceback.format_exc())
    except Exception:  # noqa: BLE001 - this is what is looked for
        return "traceback", traceback.format_exc()
    return "fine", ""


def use_slide(case: Case) -> None:
    """Open, verify and read a slide at several powers, and find its tissue."""
    from hviskd.slides import open_slide, tissue_mask

    plain = case.group in ("slide", "flat slide") and case.path.suffix != ".svs"  # of which some record none
    given = 0.5 if plain else None
    with open_slide(case.path, slide_mpp=given) as slide:
        slide.verify()
        width_px, height_px = slide.size
        slide.read(-20, -20, 150, 150)
        slide.read(width_px - 100.5, height_px / 2, 100, 100, slide.mpp * 1.7)
        slide.thumbnail(256)
        tissue_mask(slide).share(np.arange(5) * 50, 0, 50)
        json.dumps(slide.facts(), allow_nan=False)


def use_annotation(case: Case) -> None:
    """Read an annotation with and without what it belongs to, rasterise, count and convert it."""
    from hviskd.annotations import convert, find_masks, load_legend, read_annotation, take_census
    from hviskd.errors import HviskdError

    legend = load_legend(case.seeds / "legend" / "good.yaml")
    with contextlib.suppress(HviskdError):
        read_annotation(case.path, legend=legend, tolerance=60).rasterise(-5, -5, 300, 200, 7 / 3)
    if case.group == "mask":
        counted = take_census(find_masks(case.path), legend)
        counted.class_areas()
        counted.write_csv(case.path.parent / "census.csv")
    else:
        with contextlib.suppress(HviskdError):
            read_annotation(case.path)
    annotation = read_annotation(case.path, legend=legend, frame=frame_for(case.path))
    annotation.rasterise(0, 0, SIDE_PX, SIDE_PX, 1)
    for name in ("converted.geojson", "converted.json", "converted.png"):
        written = convert(annotation, case.path.parent / name, legend=legend)
        read_annotation(written, legend=legend)


def frame_for(path: Path) -> SlideFrame:
    """Give the frame of a slide of 0.5 µm/px on which the sound annotation that a file was made of lies."""
    maker = {".ndpa": "hamamatsu", ".dcm": "dicom"}.get(path.suffix)
    unit, corner_px = (500, SIDE_PX / 2) if maker == "hamamatsu" else (0.0005, 0)
    glass = Glass(maker, (1 / unit, 0, corner_px), (0, 1 / unit, corner_px), LEVEL_0) if maker else None
    return SlideFrame((SIDE_PX, SIDE_PX), glass=glass)


def use_legend(case: Case) -> None:
    """Load a legend, and read and count a sound mask with it."""
    from hviskd.annotations import load_legend, read_annotation, take_census

    legend = load_legend(case.path)
    mask = case.seeds / "mask" / "good_mask.png"
    take_census([mask], legend).class_areas()
    read_annotation(mask, legend=legend).rasterise(0, 0, 100, 100, 1)


def use_table(case: Case) -> None:
    """Look slides up in a table of µm/px."""
    from hviskd.slides import mpp_of, open_slide, read_mpp_csv

    given = mpp_of(case.seeds / "slide" / "good.svs", read_mpp_csv(case.path))
    with open_slide(case.seeds / "slide" / "good.svs", slide_mpp=given) as slide:
        slide.read(0, 0, 50, 50, 2)


USES = {
    "slide": use_slide,
    "other slide": use_slide,
    "flat slide": use_slide,
    "mask": use_annotation,
    "outlines": use_annotation,
}
USES |= {"legend": use_legend, "table": use_table}


def use_whole(case: Case) -> None:
    """Cut tiles, with the damaged file among sound ones."""
    from hviskd.cutting import CutSettings, cut_slides
    from hviskd.slides import find_cohort

    work = case.path.parent
    slide = case.path
    if case.group not in ("slide", "other slide"):
        slide = Path(shutil.copyfile(case.seeds / "slide" / "good.svs", work / "good.svs"))
    drawn = work / "drawn"
    drawn.mkdir()
    source = case.path if case.group in ("mask", "outlines") else case.seeds / "mask" / "good_mask.png"
    suffix = source.suffix if case.group == "outlines" else f"_mask{source.suffix}"
    shutil.copyfile(source, drawn / f"{slide.stem}{suffix}")
    table = case.path if case.group == "table" else None
    cut_slides(
        find_cohort(slide, slide_mpp=None if slide.suffix == ".svs" else 0.5, mpp_csv=table),
        work / "tiles",
        annotations=drawn,
        legend=case.path if case.group == "legend" else case.seeds / "legend" / "good.yaml",
        patients=table,
        settings=CutSettings(tile_px=32, min_tissue=0.2, cap=20, workers=1),
    )


def half_written(folder: Path) -> str:
    """Name what stands under a final name and cannot be read; empty if nothing."""
    from hviskd.annotations import read_annotation
    from hviskd.cutting.report import read_report
    from hviskd.errors import HviskdError
    from hviskd.tiles import TileSet

    try:
        if (folder / "tiles").exists():
            TileSet.open(folder / "tiles").check_pixels()
        if (folder / "tiles-qc").exists():
            read_report(folder / "tiles-qc")
        for picture in [*folder.glob("tiles-qc/*.png"), *folder.glob("converted.png")]:
            with Image.open(picture) as opened:
                opened.load()
        for name in ("converted.geojson", "converted.json"):
            if (folder / name).exists():
                read_annotation(folder / name)
    except (HviskdError, OSError, ValueError) as error:
        return str(error)
    return ", ".join(map(str, folder.rglob(".partial-*")))


def peak_mib() -> float:
    """Give the largest resident set since it was last set back, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def render(results: list[tuple[str, Outcome]], options: argparse.Namespace) -> str:
    """Put the outcomes into a Markdown table, a row a group."""
    heads = ["damaged", "files", *GOOD, *FAULTS, "longest", "peak memory"]
    command = " ".join(["benchmarks/fuzz_inputs.py", *sys.argv[1:]])
    lines = [
        "# Damaged input",
        "",
        f"{processor()}, {os.cpu_count()} cores shared with other programs, {datetime.now(UTC):%Y-%m-%d}: `{command}`",
        "",
        f"| {' | '.join(heads)} |",
        "|---|" + "--:|" * (len(heads) - 1),
    ]
    for group in GROUPS:
        outcomes = [outcome for name, outcome in results if group in (name, "all")]
        if outcomes:
            counts = Counter(outcome.kind for outcome in outcomes)
            cells = [group, len(outcomes), *(counts[kind] for kind in (*GOOD, *FAULTS))]
            cells += [f"{max(o.seconds for o in outcomes):.1f} s", f"{max(o.peak_mib for o in outcomes):.0f} MiB"]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    notes = [
        "Sound files of 16 bits a sample, and masks in CMYK, are refused in a clear line. A hang takes over "
        f"{options.limit_s:g} s.",
        f"Over memory is over {options.limit_mib:g} MiB resident, of which libraries and kept tiles take some 600, or "
        f"over {ADDRESS_SPACE // 2**30} GiB mapped.",
    ]
    return "\n".join([*lines, "", *notes, ""])


def processor() -> str:
    """Name the processor."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith("model name")).split(":")[1].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    main()
