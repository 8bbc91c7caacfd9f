"""What one step of each way of training costs: time and memory against KD's or the student's alone, for any pair.

For each arm a process of its own steps the reference and the arm in turn, so that a drift of the machine's speed meets
both alike; the ratio is the median over pairs of neighbouring steps. Peak memory is that of another process, less what
it held before its networks: resident memory on a CPU, the device's allocations on a GPU. Synthetic tiles. Where a stage
comes before the main one, the main one is measured.

`ARM+cache` reads what it needs of the teacher from a cache on disk, which a process before it filled, and has no
teacher in memory; every step reads other tiles in other views. `plain` is the student alone.

    python benchmarks/training_step.py                        # HVisKD on the ten pairs; on a GPU batch 64 at 150 px
    python benchmarks/training_step.py --against plain --arms kd hviskd hviskd+cache --pairs vgg19-shufflenet_v1
    python benchmarks/training_step.py --arms all --pairs resnet32x4-resnet8x4 vgg19-shufflenet_v1
    python benchmarks/training_step.py --pairs laptop --arms dkd crd --tile-px 64 --batch-size 8 --repeats 3
    python benchmarks/training_step.py --profile --pairs laptop --arms plain kd --tile-px 32 --batch-size 64
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from hviskd.processor import keep_freed_memory, let_threads_sleep

LINEAR = "hviskd-linear"  # HVisKD with the authors' full linear region adapters
OWN = {LINEAR: {"cross_entropy": {}, "kd": {}, "hviskd": {"region_adapter": "linear"}}}
CLASSES, TRAIN_TILES, PROGRESS = 8, 20_000, 0.6
CACHED = "+cache"
KINDS = {  # by parts of the names that torch gives its operations
    "convolutions": ("conv",),
    "batch norms": ("batch_norm",),
    "ReLUs": ("relu", "threshold"),
    "optimizer": ("_foreach", "optimizer", "Optimizer"),
}

let_threads_sleep()  # as the command line does
keep_freed_memory()  # as a training does


def main() -> None:
    """Measure every pair and arm, and write one table."""
    options = parse()
    if options.profile:
        print("\n".join(profile(pair, arm, options) for pair in options.pairs for arm in options.arms))
        return
    if options.child:
        measure = {"time": measure_time, "memory": measure_memory, "fill": fill}[options.child]
        print(json.dumps(measure(options.arms[0], options)))
        return
    with tempfile.TemporaryDirectory() as work:
        options.work = Path(work)
        rows = [row for pair in options.pairs for row in measure_pair(pair, options)]
    report = render(rows, options)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line; batch and repeats follow the device."""
    import torch

    from hviskd.distillation import PRESETS
    from hviskd.training import built_in_recipes

    paper_pairs = [name for name in built_in_recipes() if "-" in name]
    every = [LINEAR, *(name for name in PRESETS if name not in ("kd", "plain"))]
    known = [name + stored for name in ("plain", "kd", *every) for stored in ("", CACHED)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs="+", default=paper_pairs)
    parser.add_argument("--arms", nargs="+", default=["hviskd", LINEAR], choices=["all", *known], metavar="ARM")
    parser.add_argument("--against", default="kd", choices=("kd", "plain"), help="the reference")
    parser.add_argument("--tile-px", type=int, default=150)
    parser.add_argument("--batch-size", type=int, help="64 on a GPU, 8 on a CPU")
    parser.add_argument("--repeats", type=int, help="counted steps of each arm: 30 on a GPU, 5 on a CPU")
    parser.add_argument("-o", "--output", type=Path, help="also write the table here")
    parser.add_argument("--stored-tiles", type=int, default=32, help="tiles of a cache; each has eight views")
    parser.add_argument("--profile", action="store_true", help="only print where a step's seconds go")
    parser.add_argument("--child", choices=("time", "memory", "fill"), help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.arms = every if options.arms == ["all"] else options.arms
    options.device = "cuda" if torch.cuda.is_available() else "cpu"
    on_gpu = options.device == "cuda"
    options.batch_size = options.batch_size or (64 if on_gpu else 8)
    options.repeats = options.repeats or (30 if on_gpu else 5)
    return options


def measure_pair(pair: str, options: argparse.Namespace) -> list[dict]:
    """Give time, memory and what each arm learns beside the student, each measurement in a fresh process."""
    reference_mb = child("memory", pair, options.against, options).get("peak_mb", float("nan"))
    rows = []
    for arm in options.arms:
        row = {"pair": pair, "arm": arm, "reference_mb": reference_mb}
        row |= child("fill", pair, arm, options) if arm.endswith(CACHED) else {}
        row |= child("time", pair, arm, options)
        if "unfit" not in row:
            row |= child("memory", pair, arm, options)
            print(f"{pair} {arm}: {row['ratio']:.3f}", file=sys.stderr, flush=True)
        rows.append(row)
    return rows


def child(what: str, pair: str, arm: str, options: argparse.Namespace) -> dict:
    """Run this file again for one measurement."""
    command = [sys.executable, __file__, "--child", what, "--pairs", pair, "--arms", arm]
    command += ["--tile-px", str(options.tile_px), "--batch-size", str(options.batch_size)]
    command += ["--repeats", str(options.repeats), "--against", options.against, "--work", str(options.work)]
    command += ["--stored-tiles", str(options.stored_tiles)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def build(pair: str, arm: str, options: argparse.Namespace):
    """Give a function that makes one step, how many weights learn beside the student, and the forward passes a tile."""
    import torch

    from hviskd.distillation import METHODS, Batch, Objective, Setting, build_methods, resolve_methods

    torch.manual_seed(0)
    teacher, student = networks(pair)
    arm, cached, _ = arm.partition(CACHED)
    chosen = resolve_methods(OWN.get(arm, arm))
    for name, method_options in chosen.items():
        if "teacher_head" in METHODS[name].needs:
            student.put_projector(teacher.head.classifier.in_features, method_options.reduction)
            student.head.classifier.requires_grad_(requires_grad=False)
    labels = torch.arange(TRAIN_TILES) % CLASSES
    shapes = [network.shapes(options.tile_px) for network in (student, teacher)]
    methods = build_methods(chosen, Setting(*shapes, CLASSES, labels))
    alone = all("teacher" not in METHODS[name].needs for name in chosen)
    objective = Objective(student, methods, None if cached or alone else teacher, chosen)
    objective.to(options.device, memory_format=torch.channels_last)
    objective.progress = PROGRESS
    learned = [weight for weight in objective.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=1e-4, momentum=0.9, weight_decay=5e-4)
    images = torch.randn(options.batch_size, 3, options.tile_px, options.tile_px, device=options.device)
    images = images.to(memory_format=torch.channels_last)
    index = torch.arange(options.batch_size, device=options.device)
    read = reader(pair, objective, options) if cached else lambda: None
    del teacher  # of what is stored no network is needed

    def step() -> float:
        started = time.perf_counter()
        batch = Batch(images, labels.to(options.device)[index], index, teacher=read())
        objective(batch).total.backward()
        optimizer.step()
        optimizer.zero_grad()
        if options.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    beside = sum(weight.numel() for weight in methods.parameters())
    passes = 1 + sum(len(view) for method in methods.values() for view in method.views(images[:2]).values()) / 2
    return step, beside, passes


def networks(pair: str):
    """Give a pair's teacher and student, untrained."""
    from hviskd.networks import create_network
    from hviskd.training import load_recipe

    recipes = (load_recipe(pair, role="teacher"), load_recipe(pair, role="student"))
    return [create_network(recipe.network, CLASSES, "gap") for recipe in recipes]


def cache_of(pair: str, reads, options: argparse.Namespace):
    """Give the cache of a pair's teacher for synthetic tiles; both are written on the first call."""
    import numpy as np
    import torch

    from hviskd.models import NetworkChoice, load_model, save_model
    from hviskd.models.card import untrained_card
    from hviskd.tiles import TileSet, TileSetWriter, TileSource, new_card
    from hviskd.tiles.card import Origin
    from hviskd.training import load_recipe
    from hviskd.training.teacher_cache import Source, TeacherCache
    from hviskd.training.varied_views import told_views, views_of

    names = [f"class {number}" for number in range(CLASSES)]
    tiles, teacher = options.work / f"tiles-{options.tile_px}", options.work / f"teacher-{pair}"
    if not tiles.is_dir():
        rng = np.random.default_rng(0)
        card = new_card(tuple(names), tile_px=options.tile_px, mpp=None, origin=Origin(verb="benchmark", licence="CC0"))
        with TileSetWriter(tiles, card, split_record={"by": "tile"}) as writer:
            for number in range(options.stored_tiles):
                tile = rng.integers(256, size=(options.tile_px, options.tile_px, 3), dtype=np.uint8)
                source = TileSource(patient=str(number))
                writer.add(tile, file=f"{number}", class_name=names[number % CLASSES], source=source, split="train")
    if not teacher.is_dir():
        torch.manual_seed(0)
        recipe = load_recipe(pair, role="teacher")
        choice = NetworkChoice(name=recipe.network, head="gap")
        save_model(networks(pair)[0], untrained_card(choice, names, options.tile_px), teacher)
    tileset, recipe = TileSet.open(tiles), load_recipe(pair, role="distilled student")
    rows = tileset.rows("train")
    source = Source(tileset, rows, views_of(recipe, len(rows)), told_views(recipe))
    return TeacherCache(options.work / "cache", load_model(teacher), source, reads, "float32")


def reader(pair: str, objective, options: argparse.Namespace):
    """Give a function that reads a random batch of a filled cache, which the methods may remember as a whole."""
    import torch

    cache = cache_of(pair, objective.reads(), options)
    assert not cache.missing
    cache.prepare(torch.device("cpu"))
    objective.remember(cache.means)
    generator = torch.Generator().manual_seed(0)

    def read():
        index = torch.randint(options.stored_tiles, (options.batch_size,), generator=generator)
        view = torch.randint(cache.views, (options.batch_size,), generator=generator)
        return cache.read(index, view, torch.device(options.device))

    return read


def fill(arm: str, options: argparse.Namespace) -> dict:
    """Fill the cache of one arm, and give its size, the seconds it took and the peak memory in MB."""
    import torch

    from hviskd.distillation import METHODS, Objective, Setting, build_methods, resolve_methods
    from hviskd.progress import silent

    teacher, student = networks(options.pairs[0])
    chosen = resolve_methods(OWN.get(arm.partition(CACHED)[0], arm.partition(CACHED)[0]))
    shapes = [network.shapes(options.tile_px) for network in (student, teacher)]
    methods = build_methods(chosen, Setting(*shapes, CLASSES, torch.arange(TRAIN_TILES) % CLASSES))
    reads = Objective(student, methods, None).reads()
    assert reads is not None, f"{arm}: its methods need the teacher at every step: {sorted(METHODS.keys() & chosen)}"
    cache = cache_of(options.pairs[0], reads, options)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    size = cache.missing_bytes
    cache.prepare(torch.device(options.device), silent)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"stored_mb": size / 1e6, "fill_seconds": time.perf_counter() - started, "fill_mb": peak * 1024 / 1e6}


def measure_time(arm: str, options: argparse.Namespace) -> dict:
    """Step the reference and the arm in turn and give the arm's median seconds and the median ratio."""
    from hviskd.errors import RecipeError

    try:
        step, beside, passes = build(options.pairs[0], arm, options)
    except RecipeError as error:
        return {"unfit": str(error)}
    reference, _, _ = build(options.pairs[0], options.against, options)
    for _ in range(5 if options.device == "cuda" else 1):
        reference(), step()
    pairs = [(step(), reference()) for _ in range(options.repeats)]
    return {
        "seconds": statistics.median(ours for ours, _ in pairs),
        "ratio": statistics.median(ours / theirs for ours, theirs in pairs),
        "fastest": min(ours for ours, _ in pairs) / min(theirs for _, theirs in pairs),
        "beside": beside,
        "passes": passes,
    }


def measure_memory(arm: str, options: argparse.Namespace) -> dict:
    """Give the peak memory in MB of three steps of one arm."""
    import torch

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step, _, _ = build(options.pairs[0], arm, options)
    for _ in range(3):
        step()
    if options.device == "cuda":
        return {"peak_mb": torch.cuda.max_memory_allocated() / 1e6}
    return {"peak_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e6}


def profile(pair: str, arm: str, options: argparse.Namespace) -> str:
    """Say what share of the time of an arm's steps each kind of operation takes."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as recorded

    step, _, _ = build(pair, arm, options)
    for _ in range(3):
        step()
    with recorded(activities=[ProfilerActivity.CPU]) as steps:
        for _ in range(options.repeats):
            step()
    spent: dict[str, float] = {}
    for event in steps.key_averages():
        kind = next((name for name, parts in KINDS.items() if any(part in event.key for part in parts)), "other")
        spent[kind] = spent.get(kind, 0.0) + event.self_cpu_time_total
    total = sum(spent.values())
    shares = ", ".join(f"{kind} {spent.get(kind, 0.0) / total:.0%}" for kind in (*KINDS, "other"))
    return f"{pair} {arm}: {total / 1e6 / options.repeats:.3f} s a step; {shares}"


def render(rows: list[dict], options: argparse.Namespace) -> str:
    """Give the table as Markdown, with machine, date and command."""
    import torch

    machine = torch.cuda.get_device_name() if options.device == "cuda" else _processor()
    threads = f", {torch.get_num_threads()} threads" if options.device == "cpu" else ""
    reference = {"kd": "KD", "plain": "student alone"}[options.against]
    lines = [
        "# One distillation step",
        "",
        f"{machine}{threads}; torch {torch.__version__}; {datetime.now(UTC):%Y-%m-%d}; batch {options.batch_size}, "
        f"{options.tile_px} px, float32, {options.repeats} counted steps of each arm, the reference's between them.",
        f"Command: `python benchmarks/training_step.py {' '.join(sys.argv[1:])}`",
        "",
        f"Reference: {reference}. Ratios are medians over neighbouring steps; fastest: ratio of the fastest steps. "
        "passes: forward passes of the student a tile. MB: peak memory.",
        "",
        f"| pair | arm | time / {reference} | fastest | passes | learned beside the student | MB | {reference} MB |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        if "unfit" in row:
            lines.append(f"| {row['pair']} | {row['arm']} | {row['unfit']} | | | | | |")
            continue
        cells = [row["pair"], row["arm"], f"{row['ratio']:.2f}", f"{row['fastest']:.2f}", f"{row['passes']:g}"]
        cells += [f"{row['beside']:,}", f"{row['peak_mb']:,.0f}", f"{row['reference_mb']:,.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [""] + [
        f"{row['pair']}, {row['arm']}: {options.stored_tiles} tiles in 8 views are {row['stored_mb']:,.0f} MB, stored "
        f"in {row['fill_seconds']:.0f} s with at most {row['fill_mb']:,.0f} MB of memory beside the teacher's weights."
        for row in rows
        if row.get("stored_mb")
    ]
    return "\n".join(lines) + "\n"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
