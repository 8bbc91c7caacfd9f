"""Are OME-TIFFs, and TIFFs of other compressions, read as fast as a plain pyramid of the same picture?

One picture of synthetic tissue is written as a plain pyramid in JPEG tiles, as an OME-TIFF whose levels lie below the
scan, and as OME-TIFFs of other compressions, all in tiles of 256 px. Of each, a thumbnail of 1,024 px is made and a
field read at its own µm/px, both from opening the file on; the files take turns, and the medians are compared with the
plain pyramid's. `OpenSlide alone` makes the same thumbnail of the same files by its own `get_thumbnail`: it knows no
levels below a scan.

    python benchmarks/formats.py --work DIR -o benchmarks/results/formats.md
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import openslide
import tifffile

from hviskd.slides import open_slide

TILE_PX, LEVELS, THUMBNAIL_PX, FIELD_PX = 256, 5, 1024, 1024
OTHERS = ("zlib", "lzw", "zstd", "webp", "jpeg2000")


def main() -> None:
    """Write the files, read them in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=8000, help="px a side")
    parser.add_argument("--repeats", type=int, default=5, help="how often each file is read")
    parser.add_argument("--work", type=Path, help="where there is room for the files, 1 GB at the default side")
    parser.add_argument("-o", "--output", type=Path, help="also write the table here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        files = write_files(Path(work), tissue(options.side))
        sizes = {name: path.stat().st_size for name, path in files.items()}
        report = render(sizes, measure(files, options.repeats), options.side)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


def tissue(side: int) -> np.ndarray:
    """Draw a square of tissue, in repeated fields of 1,000 px."""
    from hviskd.synthesis import draw_patient, draw_tissue

    classes = np.full((1000, 1000), 3, np.int64)
    classes[:, 500:] = 6
    field = draw_tissue(classes, draw_patient(0), mpp=0.5, rng=np.random.default_rng(0))
    repeats = -(-side // 1000)
    return np.tile(field, (repeats, repeats, 1))[:side, :side]


def write_files(folder: Path, image: np.ndarray) -> dict[str, Path]:
    """Write the picture in every format."""
    levels = [image]
    for _ in range(LEVELS - 1):
        levels.append(np.ascontiguousarray(levels[-1][::2, ::2]))
    tiled = {"tile": (TILE_PX, TILE_PX), "photometric": "rgb"}
    plain = folder / "plain.tif"
    with tifffile.TiffWriter(plain) as writer:
        for number, level in enumerate(levels):
            scale = {"resolution": (20_000 / 2**number,) * 2, "resolutionunit": "CENTIMETER"}
            kind = {"subfiletype": int(number > 0), "compression": "jpeg", "metadata": None}
            writer.write(level, **tiled, **scale, **kind)
    files = {"plain pyramid, jpeg": plain}
    for compression in ("jpeg", *OTHERS):
        path = folder / f"{compression}.ome.tif"
        with tifffile.TiffWriter(path, ome=True, bigtiff=True) as writer:
            for number, level in enumerate(levels):
                said = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5} if number == 0 else None
                below = {"subifds": LEVELS - 1} if number == 0 else {"subfiletype": 1}
                writer.write(level, **tiled, **below, compression=compression, metadata=said)
        files[f"OME-TIFF, {compression}"] = path
    return files


def measure(files: dict[str, Path], repeats: int) -> dict[str, dict[str, list[float]]]:
    """Read all files in turn; seconds by name and by what was done."""
    doings = {"thumbnail": by_hviskd, "field": field, "OpenSlide alone": by_openslide}
    seconds = {name: {doing: [] for doing in doings} for name in files}
    for number in range(repeats + 1):
        for name, path in files.items():
            for doing, read in doings.items():
                taken = timed(read, path)
                if number:  # the first time, files are loaded and libraries imported
                    seconds[name][doing].append(taken)
    return seconds


def timed(read: Callable[[Path], object], path: Path) -> float:
    """Return the seconds it takes; not a number if the file is not read."""
    began = time.perf_counter()
    try:
        read(path)
    except openslide.OpenSlideError:
        return float("nan")
    return time.perf_counter() - began


def by_hviskd(path: Path) -> object:
    """Make a thumbnail as hviskd does."""
    with open_slide(path) as slide:
        return slide.thumbnail(THUMBNAIL_PX)


def field(path: Path) -> object:
    """Read a field in the middle of the slide."""
    with open_slide(path) as slide:
        side = slide.size[0] // 2
        return slide.read(side - FIELD_PX // 2 + 37, side - FIELD_PX // 2 + 37, FIELD_PX, FIELD_PX)


def by_openslide(path: Path) -> object:
    """Make a thumbnail by OpenSlide alone."""
    with openslide.OpenSlide(path) as slide:
        return slide.get_thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))


def render(sizes: dict[str, int], seconds: dict[str, dict[str, list[float]]], side: int) -> str:
    """Put the medians into a Markdown table, beside those of the plain pyramid."""
    doings = list(next(iter(seconds.values())))
    heads = ["file", "MB", *(f"{doing} (times the plain pyramid's)" for doing in doings)]
    lines = [
        "# Reading other TIFFs",
        "",
        f"{processor()}, {os.cpu_count()} cores shared with other programs, {datetime.now(UTC):%Y-%m-%d}; {side:,} px a"
        f" side: `{' '.join(['benchmarks/formats.py', *sys.argv[1:]])}`",
        "",
        f"| {' | '.join(heads)} |",
        f"|---|{'--:|' * (len(heads) - 1)}",
    ]
    first = next(iter(seconds.values()))
    for name, taken in seconds.items():
        cells = [name, f"{sizes[name] / 1e6:.0f}"]
        for doing in doings:
            median = statistics.median(taken[doing])
            plain = statistics.median(first[doing])
            cells.append("not read" if median != median else f"{1000 * median:,.0f} ms ({median / plain:.2f})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def processor() -> str:
    """Name the processor."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    named = [line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return named[0] if named else platform.processor()


if __name__ == "__main__":
    main()
