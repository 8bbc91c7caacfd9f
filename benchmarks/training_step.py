"""What one step of each way of training costs: time and memory against KD's, for any pair.

For each arm a process of its own steps KD and the arm in turn, so that a drift of the machine's speed meets both
alike; the ratio is the median over pairs of neighbouring steps. Peak memory is that of another process, less what it
held before its networks: resident memory on a CPU, the device's allocations on a GPU. Synthetic images; nothing is
read from a disk. Where a stage comes before the main one, the main one is measured.

    python benchmarks/training_step.py                        # HVisKD on the ten pairs; on a GPU batch 64 at 150 px
    python benchmarks/training_step.py --arms all --pairs resnet32x4-resnet8x4 vgg19-shufflenet_v1
    python benchmarks/training_step.py --pairs laptop --arms dkd crd --tile-px 64 --batch-size 8 --repeats 3
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from hviskd.processor import keep_freed_memory, let_threads_sleep

LINEAR = "hviskd-linear"  # HVisKD with the authors' full linear region adapters
OWN = {LINEAR: {"cross_entropy": {}, "kd": {}, "hviskd": {"region_adapter": "linear"}}}
CLASSES, TRAIN_TILES, PROGRESS = 8, 20_000, 0.6

let_threads_sleep()  # as the command line does
keep_freed_memory()  # as a training does


def main() -> None:
    """Measure every pair and arm, and write one table."""
    options = parse()
    if options.child:
        arm = options.arms[0]
        measured = measure_time(arm, options) if options.child == "time" else measure_memory(arm, options)
        print(json.dumps(measured))
        return
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs="+", default=paper_pairs)
    parser.add_argument("--arms", nargs="+", default=["hviskd", LINEAR], choices=["all", "kd", *every])
    parser.add_argument("--tile-px", type=int, default=150)
    parser.add_argument("--batch-size", type=int, help="64 on a GPU, 8 on a CPU")
    parser.add_argument("--repeats", type=int, help="counted steps of each arm: 30 on a GPU, 5 on a CPU")
    parser.add_argument("-o", "--output", type=Path, help="also write the table here")
    parser.add_argument("--child", choices=("time", "memory"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.arms = every if options.arms == ["all"] else options.arms
    options.device = "cuda" if torch.cuda.is_available() else "cpu"
    on_gpu = options.device == "cuda"
    options.batch_size = options.batch_size or (64 if on_gpu else 8)
    options.repeats = options.repeats or (30 if on_gpu else 5)
    return options


def measure_pair(pair: str, options: argparse.Namespace) -> list[dict]:
    """Give time, memory and what each arm learns beside the student, each measurement in a fresh process."""
    kd_mb = child("memory", pair, "kd", options).get("peak_mb", float("nan"))
    rows = []
    for arm in options.arms:
        row = {"pair": pair, "arm": arm, "kd_mb": kd_mb, **child("time", pair, arm, options)}
        if "unfit" not in row:
            row |= child("memory", pair, arm, options)
            print(f"{pair} {arm}: {row['ratio']:.3f}", file=sys.stderr, flush=True)
        rows.append(row)
    return rows


def child(what: str, pair: str, arm: str, options: argparse.Namespace) -> dict:
    """Run this file again for one measurement."""
    command = [sys.executable, __file__, "--child", what, "--pairs", pair, "--arms", arm]
    command += ["--tile-px", str(options.tile_px), "--batch-size", str(options.batch_size)]
    done = subprocess.run([*command, "--repeats", str(options.repeats)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def build(pair: str, arm: str, options: argparse.Namespace):
    """Give a function that makes one step, how many weights learn beside the student, and the forward passes a tile."""
    import torch

    from hviskd.distillation import METHODS, Batch, Objective, Setting, build_methods, resolve_methods
    from hviskd.networks import create_network
    from hviskd.training import load_recipe

    torch.manual_seed(0)
    teacher, student = (
        create_network(recipe.network, CLASSES, "gap")
        for recipe in (load_recipe(pair, role="teacher"), load_recipe(pair, role="student"))
    )
    chosen = resolve_methods(OWN.get(arm, arm))
    for name, method_options in chosen.items():
        if "teacher_head" in METHODS[name].needs:
            student.put_projector(teacher.head.classifier.in_features, method_options.reduction)
            student.head.classifier.requires_grad_(requires_grad=False)
    labels = torch.arange(TRAIN_TILES) % CLASSES
    shapes = [network.shapes(options.tile_px) for network in (student, teacher)]
    methods = build_methods(chosen, Setting(*shapes, CLASSES, labels))
    objective = Objective(student, methods, teacher, chosen).to(options.device, memory_format=torch.channels_last)
    objective.progress = PROGRESS
    learned = [weight for weight in objective.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=1e-4, momentum=0.9, weight_decay=5e-4)
    images = torch.randn(options.batch_size, 3, options.tile_px, options.tile_px, device=options.device)
    images = images.to(memory_format=torch.channels_last)
    index = torch.arange(options.batch_size, device=options.device)
    batch = Batch(images, labels.to(options.device)[index], index)

    def step() -> float:
        started = time.perf_counter()
        objective(batch).total.backward()
        optimizer.step()
        optimizer.zero_grad()
        if options.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    beside = sum(weight.numel() for weight in methods.parameters())
    passes = 1 + sum(len(view) for method in methods.values() for view in method.views(images[:2]).values()) / 2
    return step, beside, passes


def measure_time(arm: str, options: argparse.Namespace) -> dict:
    """Step KD and the arm in turn and give the arm's median seconds and the median ratio."""
    from hviskd.errors import RecipeError

    try:
        step, beside, passes = build(options.pairs[0], arm, options)
    except RecipeError as error:
        return {"unfit": str(error)}
    reference, _, _ = build(options.pairs[0], "kd", options)
    for _ in range(5 if options.device == "cuda" else 1):
        reference(), step()
    pairs = [(step(), reference()) for _ in range(options.repeats)]
    return {
        "seconds": statistics.median(ours for ours, _ in pairs),
        "ratio": statistics.median(ours / theirs for ours, theirs in pairs),
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


def render(rows: list[dict], options: argparse.Namespace) -> str:
    """Give the table as Markdown, with machine, date and command."""
    import torch

    machine = torch.cuda.get_device_name() if options.device == "cuda" else _processor()
    threads = f", {torch.get_num_threads()} threads" if options.device == "cpu" else ""
    lines = [
        "# One distillation step",
        "",
        f"{machine}{threads}; torch {torch.__version__}; {datetime.now(UTC):%Y-%m-%d}; batch {options.batch_size}, "
        f"{options.tile_px} px, float32, {options.repeats} counted steps of each arm, KD's between them.",
        f"Command: `python benchmarks/training_step.py {' '.join(sys.argv[1:])}`",
        "",
        "Ratios are medians over neighbouring steps. passes: forward passes of the student a tile (KD: 1).",
        "",
        "| pair | arm | time / KD | passes | learned beside the student | peak MB | KD's |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        if "unfit" in row:
            lines.append(f"| {row['pair']} | {row['arm']} | {row['unfit']} | | | | |")
            continue
        cells = [row["pair"], row["arm"], f"{row['ratio']:.2f}", f"{row['passes']:g}", f"{row['beside']:,}"]
        lines.append(f"| {' | '.join([*cells, format(row['peak_mb'], ',.0f'), format(row['kd_mb'], ',.0f')])} |")
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
