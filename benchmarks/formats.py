"""Are OME-TIFFs, and TIFFs of other compressions, read as fast as a plain pyramid of the same picture?

One picture of synthetic tissue is written as a plain pyramid in JPEG tiles, as an OME-TIFF whose levels lie below the
scan, and as OME-TIFFs of other compressions, all in tiles of 256 px. Of each, a thumbnail of 1,024 px is made and a
field read at its own µm/px, both from opening the file on; the files take turns, and the medians are compared with the
plain pyramid's. `OpenSlide alone` makes the same thumbnail of the same files by its own `get_thumbnail`: it knows no
levels below a scan.

A scanner's SVS in JPEG 2000, drawn or given, is read in tiles of 150 px by one and by two threads, by OpenSlide's own
`read_region` and as `hviskd segment` reads it.

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
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import imagecodecs
import numpy as np
import openslide
import tifffile

from hviskd.slides import open_slide
from hviskd.slides.tile_reading import read_tiles

TILE_PX, LEVELS, THUMBNAIL_PX, FIELD_PX, READ_PX = 256, 5, 1024, 1024, 150
OTHERS = ("zlib", "lzw", "zstd", "webp", "jpeg2000")


def main() -> None:
    """Write the files, read them in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=8000, help="px a side")
    parser.add_argument("--repeats", type=int, default=5, help="how often each file is read")
    parser.add_argument("--jpeg-2000", type=Path, help="a slide of Aperio's in JPEG 2000; one is drawn if not given")
    parser.add_argument("--work", type=Path, help="where there is room for the files, 1 GB at the default side")
    parser.add_argument("-o", "--output", type=Path, help="also write the table here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        image = tissue(options.side)
        files = write_files(Path(work), image)
        sizes = {name: path.stat().st_size for name, path in files.items()}
        report = render(sizes, measure(files, options.repeats), options.side)
        report += render_tiles(
            measure_tiles(options.jpeg_2000 or write_jpeg_2000(Path(work) / "aperio.svs", image), options.repeats)
        )
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


def write_jpeg_2000(path: Path, image: np.ndarray) -> Path:
    """Write the picture as Aperio's scanners do, in JPEG 2000 at a tenth of its size."""
    whole = image[: len(image) // TILE_PX * TILE_PX, : image.shape[1] // TILE_PX * TILE_PX]
    rows = (whole[top : top + TILE_PX] for top in range(0, len(whole), TILE_PX))
    tiles = (
        imagecodecs.jpeg2k_encode(np.ascontiguousarray(row[:, left : left + TILE_PX]), level=38, codecformat="j2k")
        for row in rows
        for left in range(0, whole.shape[1], TILE_PX)
    )
    note = f"Aperio Image Library v11.0.37\r\n{whole.shape[1]}x{len(whole)} (256x256) J2K/KDU Q=70|MPP = 0.5"
    stored = {"shape": whole.shape, "dtype": np.uint8, "tile": (TILE_PX, TILE_PX), "photometric": "rgb"}
    tifffile.imwrite(path, tiles, **stored, compression=33005, description=note, metadata=None, software=False)
    return path


def measure_tiles(path: Path, repeats: int) -> dict[str, list[tuple[float, float, int]]]:
    """Read all tiles of a slide in turn; seconds on the clock, of the CPUs, and tiles, by who read."""
    readers = {"OpenSlide": tiles_by_openslide, "hviskd": tiles_by_hviskd}
    taken: dict[str, list[tuple[float, float, int]]] = {}
    for _ in range(repeats):
        for name, read in readers.items():
            for threads in (1, 2):
                began, spent = time.perf_counter(), time.process_time()
                count = read(path, threads)
                seconds = time.perf_counter() - began, time.process_time() - spent, count
                taken.setdefault(f"{name}, {threads} thread{'s' * (threads > 1)}", []).append(seconds)
    return taken


def tiles_by_openslide(path: Path, threads: int) -> int:
    """Read tile by tile, row by row."""
    with openslide.OpenSlide(path) as slide, ThreadPoolExecutor(threads) as pool:
        width, height = (side // READ_PX for side in slide.dimensions)

        def read(number: int) -> None:
            corner = number % width * READ_PX, number // width * READ_PX
            np.asarray(slide.read_region(corner, 0, (READ_PX, READ_PX)).convert("RGB"))

        return len(list(pool.map(read, range(width * height))))


def tiles_by_hviskd(path: Path, threads: int) -> int:
    """Read as a map is made."""
    with open_slide(path, slide_mpp=0.5) as slide:
        width, height = (side // READ_PX for side in slide.size)
        row, column = (axis.ravel() * READ_PX for axis in np.indices((height, width)))
        options = {"tile_px": READ_PX, "mpp": slide.mpp, "threads": threads}
        return sum(read_tiles(slide, column, row, **options, then=lambda which, _: len(which)))


def render_tiles(taken: dict[str, list[tuple[float, float, int]]]) -> str:
    """Put the medians into a Markdown table, beside those of OpenSlide with as many threads."""
    lines = [
        "",
        "| JPEG 2000 of Aperio | tiles/s | OpenSlide's × | CPU ms a tile | OpenSlide's / |",
        "|---|--:|--:|--:|--:|",
    ]
    middle = {
        name: [statistics.median(values) for values in zip(*((s / n, c / n) for s, c, n in runs), strict=True)]
        for name, runs in taken.items()
    }
    for name, (seconds, spent) in middle.items():
        theirs = middle[f"OpenSlide, {name.partition(', ')[2]}"]
        ratios = f"{theirs[0] / seconds:.2f}", f"{theirs[1] / spent:.2f}"
        lines.append(f"| {name} | {1 / seconds:.0f} | {ratios[0]} | {1000 * spent:.2f} | {ratios[1]} |")
    return "\n".join([*lines, ""])


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
