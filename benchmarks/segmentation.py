"""What a map of a slide costs: `segment_cohort` against a plain loop, with the same weights on the same tiles.

The slide is an Aperio SVS with JPEG tiles, the mosaic of `cutting.py`: tissue everywhere. The network's weights are
random, but its normalisations and its last layer are fitted to the slide, so that all classes occur. (Such a network
does not keep its classes in int8, as a trained one does: there the share of equal classes says nothing.)

The loop is what one would write first: for each tile one `read_region` of OpenSlide and a NumPy normalisation, then
torch, eager, in batches of 128. It does every `--every`-th row of tiles, and its time for all is extrapolated from
those. The map's time is from the call to the last file written; the conversion of the network, once a Model, is not in
it. Each measurement runs in a process of its own, so that its peak of resident memory is its own. CPU time is that of
all threads: where others use the machine too, it says more than the ratio of times.

    python benchmarks/segmentation.py                                    # resnet20, 15,000 × 12,000 px
    python benchmarks/segmentation.py --network mobilenet_v2 --int8
    python benchmarks/segmentation.py --width-px 6000 --height-px 4500 --every 5 --large 0
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from cutting import MPP, TILE_PX, make_slide

CLASSES = ("LE", "IT", "CT", "CTne", "CThbv", "CTpan", "CTmvp", "BG")
PLAIN_BATCH, ENGINE_SECONDS = 128, 20


def main() -> None:
    """Measure, and print one table."""
    options = parse()
    if options.child:
        print(json.dumps(CHILDREN[options.child](options)))
        return
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        os.environ.setdefault("HVISKD_CACHE", str(Path(work) / "cache"))
        options.work = Path(work)
        child("draw", options)
        child("model", options)
        child("engine", options)  # converts the network
        found = {name: child(name, options) for name in ("segment", "plain", "engine", "reading", "first_line")}
        if options.large:
            large = argparse.Namespace(**vars(options) | {"work": options.work / "large"})
            for side in ("width_px", "height_px"):
                setattr(large, side, round(getattr(options, side) * options.large**0.5))
            child("draw", large)
            (large.work / "model").symlink_to(options.work / "model")
            found["large"] = child("segment", large)
    report = render(found, options)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width-px", type=int, default=15_000)
    parser.add_argument("--height-px", type=int, default=12_000)
    parser.add_argument("--network", default="resnet20")
    parser.add_argument("--int8", action="store_true", help="also make the int8 variant, and measure that")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps; the plain loop stays on the CPU")
    parser.add_argument("--every", type=int, default=20, help="the plain loop does every n-th row of tiles")
    parser.add_argument("--large", type=float, default=4.0, help="area of the second slide; 0 for none")
    parser.add_argument("--work", type=Path, help="where there is room for slides and maps")
    parser.add_argument("-o", "--output", type=Path, help="also write the table here")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    return parser.parse_args()


def child(name: str, options: argparse.Namespace) -> dict:
    """Run one step in a fresh process."""
    given = {"child": name, **{key: value for key, value in vars(options).items() if key not in ("child", "output")}}
    command = [sys.executable, __file__]
    for key, value in given.items():
        flag = f"--{key.replace('_', '-')}"
        command += [flag] if value is True else [] if value is False else [flag, str(value)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {found}", file=sys.stderr, flush=True)
    return found


def draw(options: argparse.Namespace) -> dict:
    """Write the slide."""
    make_slide(options.work, options.width_px, options.height_px)
    return {}


def write_model(options: argparse.Namespace) -> dict:
    """Write a Model with random weights that tells its classes apart, and its int8 variant if asked for."""
    import torch

    from hviskd.models import IMAGENET, InputStep, NetworkChoice, save_model
    from hviskd.models.card import untrained_card
    from hviskd.networks import create_network
    from hviskd.slides import open_slide

    with open_slide(options.work / "slide.svs") as slide:
        places = np.random.default_rng(0).integers(0, np.array(slide.size) - TILE_PX, (256, 2))
        tiles = np.stack([slide.read(x, y, TILE_PX, TILE_PX) for x, y in places])
    torch.manual_seed(0)
    network = create_network(options.network, len(CLASSES))
    images = InputStep(IMAGENET)(torch.from_numpy(tiles))
    with torch.no_grad():
        show_to_normalisations(network, images[:128])
        logits = network(images)
        last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
        scale = 4 / logits.std(dim=0)
        last.weight *= scale[:, None]
        last.bias.copy_((last.bias - logits.mean(dim=0)) * scale)
    card = untrained_card(NetworkChoice(name=options.network), CLASSES, TILE_PX, MPP)
    float_model = save_model(network, card, options.work / ("float" if options.int8 else "model"))
    if options.int8:
        quantize_on(tiles, float_model, options.work)
    return {}


def show_to_normalisations(network, images) -> None:
    """Let drawn weights normalise by what they see in some images (B, 3, H, W), as if trained; for evaluation then."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # take this batch's mean and variance as they are
    with torch.no_grad():
        network.train()(images)
    network.eval()


def quantize_on(tiles, model, work: Path) -> None:
    """Add the int8 variant, calibrated on tiles of the slide, whose classes are those that the Model gives them."""
    from hviskd.models import QuantizeSettings, quantize
    from hviskd.tiles import Origin, TileSet, TileSetWriter, new_card
    from hviskd.tiles.rows import SplitRecord

    record: SplitRecord = {"by": "random"}
    card = new_card(CLASSES, tile_px=TILE_PX, mpp=MPP, origin=Origin(verb="benchmark"))
    with TileSetWriter(work / "tiles", card, split_record=record) as writer:
        for place, (tile, label) in enumerate(zip(tiles, model.predict(tiles).argmax(axis=1), strict=True)):
            split = "val" if place % 4 == 0 else "train"
            writer.add(tile, file=str(place), class_name=CLASSES[label], split=split)
    quantize(model, TileSet.open(work / "tiles"), work / "model", settings=QuantizeSettings(tolerance_points=100))


def segment(options: argparse.Namespace) -> dict:
    """Segment the slide and write every file."""
    from hviskd.models import Compute
    from hviskd.segmentation import segment_cohort

    began = time.perf_counter()
    (outcome,) = segment_cohort(
        options.work / "model",
        [options.work / "slide.svs"],
        options.work / "maps",
        compute=Compute(options.engine, precision(options), options.device),
    )
    seconds, cpu = time.perf_counter() - began, time.process_time()
    if outcome.summary is None:
        raise SystemExit(outcome.problem)
    return {
        "seconds": seconds,
        "cpu": cpu,
        "stages": outcome.summary.seconds,
        "tiles": outcome.summary.tiles,
        "engine": outcome.summary.map.engine,
        "peak_mib": peak_mib(),
    }


def plain(options: argparse.Namespace) -> dict:
    """Classify every n-th row of tiles in the plainest way, and compare with the map."""
    import openslide
    import torch

    from hviskd.models import load_model
    from hviskd.segmentation import load_slide_map

    expected = load_slide_map(options.work / "maps" / "slide")
    sampled = np.flatnonzero(expected.row % options.every == 0)
    began = time.perf_counter()
    model = load_model(options.work / "model")
    network, slide = model.network.eval(), openslide.OpenSlide(options.work / "slide.svs")
    mean, deviation = (np.array(values, np.float32) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    set_up, cpu_set_up = time.perf_counter() - began, time.process_time()
    classes = []
    began = time.perf_counter()
    for start in range(0, len(sampled), PLAIN_BATCH):
        images = []
        for place in sampled[start : start + PLAIN_BATCH]:
            corner = int(expected.x_px[place]), int(expected.y_px[place])
            tile = slide.read_region(corner, 0, (TILE_PX, TILE_PX)).convert("RGB")
            image = (np.asarray(tile, np.float32) / 255 - mean) / deviation
            images.append(image.transpose(2, 0, 1))
        with torch.no_grad():
            logits = network(torch.from_numpy(np.ascontiguousarray(np.stack(images))))
        classes += torch.softmax(logits, dim=1).argmax(dim=1).tolist()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_set_up
    return {
        "tiles": len(sampled),
        "cpu_for_all": cpu_set_up + len(expected) * cpu / len(sampled),
        "rate": len(sampled) / seconds,
        "seconds_for_all": set_up + len(expected) * seconds / len(sampled),
        "same_class": float(np.mean(np.array(classes) == expected.class_index[sampled])),
        "classes": len(set(classes)),
        "peak_mib": peak_mib(),
    }


def engine(options: argparse.Namespace) -> dict:
    """Measure the engine alone, on tiles that lie in memory."""
    from hviskd.models import load_model
    from hviskd.models.engines import open_engine
    from hviskd.slides import open_slide

    model = load_model(options.work / "model")
    run = open_engine(model, options.engine, precision=precision(options), device=options.device)
    with open_slide(options.work / "slide.svs") as slide:
        tiles = np.stack([slide.read(TILE_PX * place, 0, TILE_PX, TILE_PX) for place in range(run.tiles_per_call)])
    run(tiles)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < ENGINE_SECONDS:
        run(tiles)
        done += len(tiles)
    return {"rate": done / (time.perf_counter() - began)}


def reading(options: argparse.Namespace) -> dict:
    """Measure the reading alone, in as many threads as a map has."""
    from hviskd.models import Compute, load_model
    from hviskd.segmentation import MapSettings
    from hviskd.segmentation.preparing import prepare_slide
    from hviskd.segmentation.settings import Request

    compute = Compute(options.engine, precision(options), options.device)
    card = load_model(options.work / "model").card
    request = Request.of(card, MapSettings())
    prepared = prepare_slide(options.work / "slide.svs", request)
    with prepared.slide:
        began = time.perf_counter()
        done = sum(len(places) for places, _ in prepared.batches(64, compute.readers))
        return {"rate": done / (time.perf_counter() - began)}


def precision(options: argparse.Namespace) -> str:
    """Give what the network calculates with: on a GPU what is chosen there without asking."""
    return "int8" if options.int8 else "float32" if options.device == "cpu" else "auto"


def first_line(options: argparse.Namespace) -> dict:
    """Measure how long a user looks at nothing."""
    command = [sys.executable, "-m", "hviskd", "segment", str(options.work / "slide.svs")]
    command += ["-m", str(options.work / "model"), "-o", str(options.work / "again")]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = time.perf_counter() - began
        process.kill()
    return {"seconds": seconds}


CHILDREN = {
    "draw": draw,
    "model": write_model,
    "segment": segment,
    "plain": plain,
    "engine": engine,
    "reading": reading,
    "first_line": first_line,
}


def peak_mib() -> float:
    """Give this process's largest resident set so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def render(found: dict[str, dict], options: argparse.Namespace) -> str:
    """Put the measurements into a Markdown table."""
    ours, loop = found["segment"], found["plain"]
    stages = ours["stages"]
    rate = ours["tiles"] / (stages["read"] + stages["network"])
    rows = [
        ("slide", f"{options.width_px} × {options.height_px} px, {ours['tiles']:,} tiles of {TILE_PX} px"),
        ("network", f"{options.network}, {ours['engine']}"),
        (
            "plain loop",
            f"{loop['rate']:.1f} tiles/s on {loop['tiles']:,} tiles (every {options.every}th row), "
            f"{loop['seconds_for_all']:.0f} s for all by extrapolation",
        ),
        ("map, all files written", f"{ours['seconds']:.1f} s"),
        ("**end-to-end ratio**", f"**{loop['seconds_for_all'] / ours['seconds']:.2f}**"),
        ("the same in CPU time", f"{loop['cpu_for_all'] / ours['cpu']:.2f} ({ours['cpu']:.0f} s)"),
        ("same class as the loop", f"{loop['same_class']:.3%} of the loop's tiles ({loop['classes']} classes occur)"),
        ("reading alone", f"{found['reading']['rate']:.1f} tiles/s"),
        ("engine on tiles in memory", f"{found['engine']['rate']:.1f} tiles/s"),
        ("reading and classifying", f"{rate:.1f} tiles/s, {rate / found['engine']['rate']:.0%} of that"),
        ("of that the engine waits", f"{stages['read'] / (stages['read'] + stages['network']):.0%} of the time"),
        ("stages", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in stages.items())),
        ("peak memory", f"{ours['peak_mib']:.0f} MiB; of the plain loop {loop['peak_mib']:.0f} MiB"),
        ("first line on screen", f"{found['first_line']['seconds']:.1f} s"),
    ]
    if "large" in found:
        large = found["large"]
        rows.append(
            (f"the same, {options.large:g} × the area", f"{large['seconds']:.1f} s, peak {large['peak_mib']:.0f} MiB")
        )
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
            f"load {os.getloadavg()[0]:.1f}: `{' '.join(['benchmarks/segmentation.py', *sys.argv[1:]])}`",
            "",
            "| what | measured |",
            "|---|---|",
            *(f"| {what} | {measured} |" for what, measured in rows),
            "",
        ]
    )


if __name__ == "__main__":
    main()
