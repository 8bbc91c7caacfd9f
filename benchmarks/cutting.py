"""What cutting costs: `cut_slides` against plain loops that read one tile after the other in one process.

The slide is an Aperio SVS with JPEG tiles, a mosaic of one synthetic region of 1500 px, mirrored; its mask is the
region's map of classes. A loop finds the same candidates and writes the same TileSet, but draws no picture and keeps
no parts. There are two: one reads each tile with OpenSlide's own `read_region`, as one would without this package, the
other with `slide.read`, which decodes JPEG tiles itself. Each runs in a process of its own, loops and cutting in turn;
a ratio is that of the medians. Peak memory is the process's largest resident set. CPU time is that of all threads,
imports included: where others use the machine too, it says more than the ratio of times. Macenko's share is of the CPU
time of a cutting with it; the fit of the slide is in it, that of the reference, once for any number of slides, is not.
All is done again for a slide of twice the area.

    python benchmarks/cutting.py                          # 15,000 × 12,000 px
    python benchmarks/cutting.py --width-px 6000 --height-px 6000 --repeats 1
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from hviskd.processor import let_threads_sleep

REGION_PX, TILE_PX, MPP, JPEG_TILE_PX = 1500, 150, 0.5, 256
LOOP_CACHE_BYTES = 128 * 2**20  # OpenSlide's own 32 MiB would not hold two rows of the wider slide's tiles


def main() -> None:
    """Measure both areas and print one table."""
    options = parse()
    if options.child:
        print(json.dumps(CHILDREN[options.child](options.work)))
        return
    if options.draw:
        make_slide(options.work, options.width_px, options.height_px)
        return
    let_threads_sleep()  # those of the processes to come, as the command line does
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        rows = []
        for factor in (1, 2):
            folder, size = Path(work) / str(factor), (options.width_px * factor, options.height_px)
            px = "{} × {}".format(*size)
            print(f"drawing a slide of {px} px", file=sys.stderr)
            # Not drawn here: a process counts what the one that started it held as its own peak.
            sides = ["--width-px", str(size[0]), "--height-px", str(size[1])]
            subprocess.run([sys.executable, __file__, "--draw", "--work", str(folder), *sides], check=True)
            rows.append(measure(folder, options.repeats) | {"px": px})
    report = render(rows)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width-px", type=int, default=15_000)
    parser.add_argument("--height-px", type=int, default=12_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, help="where there is room for slides and tiles")
    parser.add_argument("-o", "--output", type=Path, help="also write the table here")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--draw", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def make_slide(folder: Path, width_px: int, height_px: int) -> None:
    """Write slide, mask and legend; of the slide only a row of JPEG tiles is in memory at a time."""
    from hviskd.slides import stain_reference, write_stain
    from hviskd.synthesis import draw_patient, draw_tissue

    (folder / "masks").mkdir(parents=True)
    classes = np.zeros((REGION_PX, REGION_PX), np.int64)
    classes[:, REGION_PX // 2 :] = 3
    classes[REGION_PX // 3 : 2 * REGION_PX // 3, : REGION_PX // 2] = 6
    region = draw_tissue(classes, draw_patient(0), mpp=MPP, rng=np.random.default_rng(0))
    regions, maps = [region], [classes]
    for factor in (1, 4):
        regions.append(region if factor == 1 else regions[0].reshape(375, 4, 375, 4, 3).mean((1, 3)).astype(np.uint8))
    colours = np.array([(200, 0, 0), (0, 0, 0), (0, 0, 0), (0, 160, 0), (0, 0, 0), (0, 0, 0), (0, 0, 200)], np.uint8)
    mask = colours[mirrored(maps[0][::2, ::2], np.arange(height_px // 2), width_px // 2)]
    Image.fromarray(mask).save(folder / "masks" / "slide_L.png", compress_level=1)
    listed = [{"name": f"c{place}", "colours": [colours[place].tolist()]} for place in (0, 3, 6)]
    (folder / "legend.yaml").write_text(json.dumps({"name": "benchmark", "classes": listed}), encoding="utf-8")

    note = f"Aperio Image Library v12\r\n{width_px}x{height_px} (256x256) of benchmark|AppMag = 20|MPP = {MPP}"
    with tifffile.TiffWriter(folder / "slide.svs") as writer:
        for reduction, small in ((1, regions[1]), (4, regions[2])):
            shape = height_px // reduction, width_px // reduction
            writer.write(
                jpeg_tiles(small, shape),
                shape=(*shape, 3),
                dtype=np.uint8,
                tile=(JPEG_TILE_PX, JPEG_TILE_PX),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": 80},
                description=note,
                subfiletype=int(reduction > 1),
                metadata=None,
            )
    write_stain(folder / "stain.json", stain_reference(folder / "slide.svs"))


def mirrored(region, rows, width_px):
    """Give some rows of the endless mosaic of a region and its mirror images."""
    side = len(region)
    row, column = (np.abs((places + side) % (2 * side) - side) for places in (rows, np.arange(width_px)))
    return region[np.minimum(row, side - 1)[:, None], np.minimum(column, side - 1)]


def jpeg_tiles(region, shape):
    """Give the tiles of a mosaic row by row."""
    for top in range(0, shape[0], JPEG_TILE_PX):
        band = mirrored(region, np.arange(top, top + JPEG_TILE_PX), -(-shape[1] // JPEG_TILE_PX) * JPEG_TILE_PX)
        for left in range(0, shape[1], JPEG_TILE_PX):
            yield np.ascontiguousarray(band[:, left : left + JPEG_TILE_PX])


def cut(work: Path, stain: str = "none") -> dict:
    """Cut the slide with all cores; a reference was fitted before, as for the other slides of a cohort."""
    from hviskd.cutting import CutSettings, cut_slides
    from hviskd.slides import stain_reference

    reference = None if stain == "none" else stain_reference(work / "stain.json", method=stain)
    began = time.perf_counter()
    tileset = cut_slides(
        [work / "slide.svs"],
        work / "tiles",
        annotations=work / "masks",
        legend=work / "legend.yaml",
        settings=CutSettings(tile_px=TILE_PX, mpp=MPP, cap=None, stain=reference),
        overwrite=True,
    )
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "cpu": time.process_time(), "tiles": len(tileset), "peak_mib": peak_mib()}


def plain(work: Path, *, with_openslide: bool = False) -> dict:
    """Do the same in the plainest way, and compare the tiles with those that were cut."""
    import openslide

    from hviskd.annotations import load_legend, read_annotation
    from hviskd.cutting import CutSettings
    from hviskd.cutting.candidates import find_candidates
    from hviskd.slides import open_slide, tissue_mask
    from hviskd.tiles import Origin, TileSet, TileSetWriter, new_card

    legend = load_legend(work / "legend.yaml")
    began = time.perf_counter()
    with (
        open_slide(work / "slide.svs") as slide,
        openslide.OpenSlide(work / "slide.svs") as handle,
        TileSetWriter(
            work / "plain", new_card(legend.names, tile_px=TILE_PX, origin=Origin(verb="plain")), overwrite=True
        ) as writer,
    ):
        handle.set_cache(openslide.OpenSlideCache(LOOP_CACHE_BYTES))
        drawn = read_annotation(work / "masks" / "slide_L.png", legend=legend, frame=slide.frame())
        found = find_candidates(slide, drawn, tissue_mask(slide), CutSettings(tile_px=TILE_PX, mpp=MPP))
        for x_px, y_px, label in zip(found.x_px.tolist(), found.y_px.tolist(), found.label, strict=True):
            if with_openslide:
                tile = np.asarray(handle.read_region((x_px, y_px), 0, (TILE_PX, TILE_PX)).convert("RGB"))
            else:
                tile = slide.read(x_px, y_px, TILE_PX, TILE_PX, MPP)
            writer.add(tile, file=f"{x_px} {y_px}", class_name=legend.names[label])
    seconds, cpu, peak = time.perf_counter() - began, time.process_time(), peak_mib()
    same = TileSet.open(work / "plain").fingerprint == TileSet.open(work / "tiles").fingerprint
    return {"seconds": seconds, "cpu": cpu, "identical": same, "peak_mib": peak}


CHILDREN = {
    "cut": cut,
    "openslide": lambda work: plain(work, with_openslide=True),
    "read": plain,
    "macenko": lambda work: cut(work, "macenko"),
}
LOOPS = ("openslide", "read")


def measure(folder: Path, repeats: int) -> dict:
    """Run cutting and loops in turn, each in a fresh process."""
    runs: dict[str, list[dict]] = {name: [] for name in CHILDREN}
    for _ in range(repeats):
        for name, some in runs.items():  # the loops after the cutting, for they look at what it cut
            some.append(child(name, folder))
            print(f"{name}: {some[-1]}", file=sys.stderr, flush=True)
    seconds = {name: statistics.median(run["seconds"] for run in some) for name, some in runs.items()}
    cpu = {name: statistics.median(run["cpu"] for run in some) for name, some in runs.items()}
    return {
        "tiles": runs["cut"][0]["tiles"],
        "seconds": seconds,
        "cpu": cpu,
        "macenko": 1 - cpu["cut"] / cpu["macenko"],
        "identical": all(run["identical"] for loop in LOOPS for run in runs[loop]),
        "peak": {name: max(run["peak_mib"] for run in some) for name, some in runs.items()},
    }


def child(name: str, folder: Path) -> dict:
    """Run one measurement in a fresh process."""
    command = [sys.executable, __file__, "--child", name, "--work", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def peak_mib() -> float:
    """Give this process's largest resident set so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def render(rows: list[dict]) -> str:
    """Put the measurements into a Markdown table."""
    heads = (
        "slide | tiles | loop with OpenSlide (CPU) | loop with slide.read (CPU) | cut (CPU) | "
        "times OpenSlide's | times slide.read's | identical | peak of cut | Macenko's share of CPU"
    )
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}: `{' '.join(['benchmarks/cutting.py', *sys.argv[1:]])}`",
        "",
        f"| {heads} |",
        "|" + "---|" * (heads.count("|") + 1),
    ]
    for row in rows:
        seconds, cpu = row["seconds"], row["cpu"]
        cells = [
            f"{row['px']} px",
            f"{row['tiles']:,}",
            *(f"{seconds[name]:.1f} s ({cpu[name]:.1f} s)" for name in (*LOOPS, "cut")),
            *(f"{seconds[loop] / seconds['cut']:.2f}" for loop in LOOPS),
            "yes" if row["identical"] else "NO",
            f"{row['peak']['cut']:.0f} MiB",
            f"{row['macenko']:.0%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
