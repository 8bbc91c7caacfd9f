"""What one distillation step costs: HVisKD against KD, and against HVisKD with the authors' full linear adapters.

For each pair of the paper one process steps the arms in turn (KD, HVisKD, linear, KD, …), so that a drift of the
machine's speed meets all alike; the ratio is the median over pairs of neighbouring steps. Peak memory is that of a
process of its own for each arm, less what the process held before its networks: resident memory on a CPU, the
device's allocations on a GPU. Synthetic images; nothing is read from a disk.

    python benchmarks/training_step.py                        # the ten pairs; on a GPU batch 64 at 150 px
    python benchmarks/training_step.py --pairs vgg19-shufflenet_v1 --batch-size 8 --repeats 3
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ARMS = {
    "kd": {"cross_entropy": {}, "kd": {}},
    "hviskd": {"cross_entropy": {}, "kd": {}, "hviskd": {}},
    "linear": {"cross_entropy": {}, "kd": {}, "hviskd": {"region_adapter": "linear"}},
}
CLASSES = 8

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does


def main() -> None:
    """Measure every pair and write one table."""
    options = parse()
    if options.arm:
        print(json.dumps(measure_memory(options.pairs[0], options.arm, options)))
        return
    if options.timing:
        print(json.dumps(measure_time(options.pairs[0], options)))
        return
    rows = [measure_pair(pair, options) for pair in options.pairs]
    report = render(rows, options)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line; batch and repeats follow the device."""
    import torch

    from hviskd.training import built_in_recipes

    paper_pairs = [name for name in built_in_recipes() if "-" in name]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs="+", default=paper_pairs)
    parser.add_argument("--tile-px", type=int, default=150)
    parser.add_argument("--batch-size", type=int, help="64 on a GPU, 8 on a CPU")
    parser.add_argument("--repeats", type=int, help="counted steps of each arm: 30 on a GPU, 5 on a CPU")
    parser.add_argument("-o", "--output", type=Path, help="also write the table here")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--timing", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.device = "cuda" if torch.cuda.is_available() else "cpu"
    on_gpu = options.device == "cuda"
    options.batch_size = options.batch_size or (64 if on_gpu else 8)
    options.repeats = options.repeats or (30 if on_gpu else 5)
    return options


def measure_pair(pair: str, options: argparse.Namespace) -> dict:
    """Give times, ratios, adapter sizes and memory of one pair, each measurement in a fresh process."""
    row = {"pair": pair, **child(["--timing"], pair, options)}
    row["memory"] = {arm: child(["--arm", arm], pair, options) for arm in ARMS}
    print(f"{pair}: HVisKD / KD {row['ratio']['hviskd']:.3f}", file=sys.stderr, flush=True)
    return row


def child(arguments: list[str], pair: str, options: argparse.Namespace) -> dict:
    """Run this file again for one measurement."""
    command = [sys.executable, __file__, "--pairs", pair, "--tile-px", str(options.tile_px)]
    command += ["--batch-size", str(options.batch_size), "--repeats", str(options.repeats), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def build(pair: str, arm: str, options: argparse.Namespace):
    """Give a function that makes one step, and the number of the adapters' weights by level."""
    import torch

    from hviskd.distillation import Batch, Objective, Setting, build_methods, resolve_methods
    from hviskd.networks import create_network
    from hviskd.training import load_recipe

    torch.manual_seed(0)
    teacher, student = (
        create_network(recipe.network, CLASSES, recipe.head)
        for recipe in (load_recipe(pair, "teacher"), load_recipe(pair, "alone"))
    )
    shapes = [network.shapes(options.tile_px) for network in (student, teacher)]
    methods = build_methods(resolve_methods(ARMS[arm]), Setting(*shapes, CLASSES, torch.zeros(1)))
    objective = Objective(student, methods, teacher).to(options.device, memory_format=torch.channels_last)
    learned = [weight for weight in objective.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=0.005, momentum=0.9, weight_decay=5e-4)
    images = torch.randn(options.batch_size, 3, options.tile_px, options.tile_px, device=options.device)
    images = images.to(memory_format=torch.channels_last)
    labels = torch.arange(options.batch_size, device=options.device) % CLASSES
    batch = Batch(images, labels, labels)

    def step() -> float:
        started = time.perf_counter()
        objective(batch).total.backward()
        optimizer.step()
        optimizer.zero_grad()
        if options.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    adapters = {
        level: sum(w.numel() for name, w in methods.named_parameters() if f"{level}_adapters" in name)
        for level in ("sample", "region")
    }
    return step, adapters


def measure_time(pair: str, options: argparse.Namespace) -> dict:
    """Step the arms in turn and give their median seconds and the median ratios to KD."""
    steps, adapters = {}, {}
    for arm in ARMS:
        steps[arm], adapters[arm] = build(pair, arm, options)
        steps[arm]()
    if options.device == "cuda":
        for step in steps.values():
            for _ in range(5):
                step()
    seconds: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for _ in range(options.repeats):
        for arm, step in steps.items():
            seconds[arm].append(step())
    ratio = {arm: statistics.median(a / b for a, b in zip(seconds[arm], seconds["kd"], strict=True)) for arm in ARMS}
    return {
        "seconds": {arm: statistics.median(values) for arm, values in seconds.items()},
        "ratio": ratio,
        "region_adapters": {arm: adapters[arm]["region"] for arm in ARMS},
    }


def measure_memory(pair: str, arm: str, options: argparse.Namespace) -> dict:
    """Give the peak memory in MB of three steps of one arm."""
    import torch

    if options.device == "cuda":
        step, _ = build(pair, arm, options)
        for _ in range(3):
            step()
        return {"peak_mb": torch.cuda.max_memory_allocated() / 1e6}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step, _ = build(pair, arm, options)
    for _ in range(3):
        step()
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
        f"{options.tile_px} px, float32, {options.repeats} counted steps of each arm in turn.",
        f"Command: `python benchmarks/training_step.py {' '.join(sys.argv[1:])}`",
        "",
        "`linear` is HVisKD with the authors' full linear region adapters. Ratios are medians over neighbouring steps.",
        "",
        "| pair | KD, s | HVisKD / KD | linear / KD | region adapters | linear's | KD, MB | HVisKD, MB | linear, MB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        memory = [f"{row['memory'][arm]['peak_mb']:,.0f}" for arm in ARMS]
        cells = [
            row["pair"],
            f"{row['seconds']['kd']:.3f}",
            f"{row['ratio']['hviskd']:.3f}",
            f"{row['ratio']['linear']:.3f}",
            f"{row['region_adapters']['hviskd']:,}",
            f"{row['region_adapters']['linear']:,}",
            *memory,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    worst = max(rows, key=lambda row: row["ratio"]["hviskd"])
    lines += ["", f"Dearest pair: {worst['pair']}, HVisKD at {worst['ratio']['hviskd']:.3f} times a step of KD."]
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
