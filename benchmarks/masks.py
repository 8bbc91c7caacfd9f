"""Which decoder should read colour masks? Time and memory on large ones, and what each makes of damaged ones.

The masks are regions in the colours of the ivyGAP legend, written by libvips as PNG, JPEG and TIFF. Readers turn every
pixel into a colour code, a band of rows at a time, each in a process of its own: `hviskd` is `MaskPixels`, `libvips`
pyvips with sequential access and warnings as errors, `imagecodecs` a whole JPEG at once. The peak is the process's
largest resident set; pages of a file that is mapped count in it. Then small masks are damaged in four ways: one bit
flipped, 40 bytes blanked, 60 bytes taken out, or all from one place on replaced by the format's end mark. Only bytes
of the packed pixels are damaged, never a header. A reader may refuse the file, or give other pixels without a word.

    python benchmarks/masks.py --work DIR -o benchmarks/results/masks.md  # 20,000 px and 32,000 px a side, 5 GB in DIR
    python benchmarks/masks.py --sides 4000 --repeats 50
"""

import argparse
import io
import json
import logging
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from hviskd.annotations import load_legend
from hviskd.annotations.colours import pack_codes, row_blocks
from hviskd.annotations.pixels import MaskPixels
from hviskd.errors import DataError

BAND_PX, BLOCK_PX, SMALL_PX = 2_000_000, 16, 384
TILED = {"tile": True, "tile_width": 256, "tile_height": 256}
LARGE = {
    "rgb.png": {},
    "plain.jpg": {"Q": 90},
    "lzw_strips.tif": {"compression": "lzw", "bigtiff": True},
    "deflate_tiles.tif": {"compression": "deflate", "bigtiff": True, **TILED},
    "jpeg_tiles.tif": {"compression": "jpeg", "Q": 90, "bigtiff": True, **TILED},
    "raw.tif": {"bigtiff": True},
}
DAMAGES = ("flip", "blank", "take", "cut")

Blocks = Iterator[tuple[int, int, np.ndarray]]


def by_hviskd(path: Path) -> Blocks:
    """Read as hviskd does."""
    return MaskPixels(path).blocks()


def by_libvips(path: Path) -> Blocks:
    """Read by libvips alone."""
    import pyvips

    pyvips.cache_set_max(0)  # else a file that was damaged since is not opened again
    try:
        picture = pyvips.Image.new_from_file(str(path), access="sequential", fail_on="warning")
        rows_at_once = max(1, BAND_PX // picture.width)
        rows_at_once = rows_at_once // 256 * 256 or rows_at_once
        region = pyvips.Region.new(picture)
        for row in range(0, picture.height, rows_at_once):
            rows = min(rows_at_once, picture.height - row)
            samples = np.frombuffer(region.fetch(0, row, picture.width, rows), np.uint8)
            yield row, 0, pack_codes(samples.reshape(rows, picture.width, picture.bands))
    except pyvips.Error as error:
        raise DataError(str(error)) from error


def by_imagecodecs(path: Path) -> Blocks:
    """Unpack a JPEG whole."""
    try:
        yield from row_blocks(imagecodecs.jpeg8_decode(path.read_bytes(), outcolorspace="RGB"))
    except imagecodecs.Jpeg8Error as error:
        raise DataError(str(error)) from error


READERS: dict[str, Callable[[Path], Blocks]] = {
    "hviskd": by_hviskd,
    "libvips": by_libvips,
    "imagecodecs": by_imagecodecs,
}


def readers_of(name: str) -> list[str]:
    """Name the readers that a file is tried with."""
    return [reader for reader in READERS if reader != "imagecodecs" or name.endswith(".jpg")]


def main() -> None:
    """Measure, damage, and print two tables."""
    options = parse()
    logging.getLogger("pyvips").addHandler(logging.NullHandler())
    if options.read:
        print(json.dumps(measure(options.read[0], Path(options.read[1]))))
        return
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        report = "\n\n".join([times(options.sides, Path(work)), damages(options.repeats, Path(work))])
    print(report)
    if options.output:
        options.output.write_text(report + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[20_000, 32_000], help="px a side of the large masks")
    parser.add_argument("--repeats", type=int, default=300, help="damaged files per way and format")
    parser.add_argument("--read", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help="where there is room")
    parser.add_argument("-o", "--output", type=Path, help="also write the tables here")
    return parser.parse_args()


def regions(side_px: int, rng: np.random.Generator) -> np.ndarray:
    """Draw smooth regions in the legend's colours, (side, side, 3) uint8."""
    from scipy.ndimage import zoom

    colours = np.array(load_legend("ivygap").colours, np.uint8)
    fields = [zoom(rng.standard_normal((12, 12)), side_px / 12, order=1)[:side_px, :side_px] for _ in colours]
    return colours[np.argmax(fields, axis=0)]


def times(sides: list[int], work: Path) -> str:
    """Read the large masks, each by each reader, and give a table."""
    import pyvips

    lines = ["| mask | side | " + " | ".join(f"{name}: CPU, peak" for name in READERS) + " |"]
    lines.append("|---|--:|" + "--:|" * len(READERS))
    for side in sides:
        small = pyvips.Image.new_from_array(regions(side // BLOCK_PX, np.random.default_rng(0)), interpretation="srgb")
        picture = small.resize(side / small.width, kernel="nearest")
        for name, options in LARGE.items():
            path = work / name
            picture.write_to_file(str(path), **options)
            cells = dict.fromkeys(READERS, "")
            for reader in readers_of(name):
                print(side, name, reader, file=sys.stderr)
                command = [sys.executable, __file__, "--read", reader, str(path)]
                took = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                cells[reader] = f"{took['cpu_s']:.1f} s, {took['peak_mib']} MiB"
            lines.append(f"| {name} | {side:,} px | {' | '.join(cells.values())} |")
            path.unlink()
    return "\n".join(lines)


def measure(reader: str, path: Path) -> dict[str, float]:
    """Read a mask to its end in this process."""
    start = time.process_time()
    for _ in READERS[reader](path):
        pass
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]
    return {"cpu_s": time.process_time() - start, "peak_mib": int(peak) // 1024}


def damages(repeats: int, work: Path) -> str:
    """Damage small masks in every way, and give a table of what the readers make of them."""
    lines = ["| mask, damaged | files | " + " | ".join(f"{name}: refused, other px" for name in READERS) + " |"]
    lines.append("|---|--:|" + "--:|" * len(READERS))
    for name, content, start, end, mark in small_masks(work):
        cells = {reader: Counter[str]() for reader in readers_of(name)}
        path = work / name
        path.write_bytes(content)
        sound = {reader: whole(reader, path) for reader in cells}
        for number in range(repeats * len(DAMAGES)):
            rng = random.Random(number)  # noqa: S311 - to be repeated, not kept secret
            path.write_bytes(damaged(content, start, end, mark, DAMAGES[number % len(DAMAGES)], rng))
            for reader, counts in cells.items():
                found = whole(reader, path)
                same = found is not None and np.array_equal(found, sound[reader])
                counts["refused" if found is None else "same" if same else "other"] += 1
        row = [f"{c['refused']}, **{c['other']}**" if (c := cells.get(reader)) else "" for reader in READERS]
        lines.append(f"| {name} | {repeats * len(DAMAGES)} | {' | '.join(row)} |")
    return "\n".join(lines)


def small_masks(work: Path) -> Iterator[tuple[str, bytes, int, int, bytes]]:
    """Give name, content, where packed pixels begin and end, and the format's end mark, of small sound masks."""
    pixels = regions(SMALL_PX, np.random.default_rng(0))
    picture = Image.fromarray(pixels)
    for name, options in {
        "rgb.png": {},
        "plain.jpg": {"quality": 90},
        "progressive.jpg": {"progressive": True},
    }.items():
        stream = io.BytesIO()
        picture.save(stream, Image.registered_extensions()[Path(name).suffix], **options)
        content = stream.getvalue()
        if name.endswith("png"):
            yield name, content, content.index(b"IDAT") + 4, len(content) - 16, b"\0\0\0\0IEND\xaeB`\x82"
        else:
            yield name, content, content.index(b"\xff\xda") + 14, len(content) - 2, b"\xff\xd9"
    packings = {"deflate.tif": "deflate", "lzw.tif": "lzw", "packbits.tif": "packbits", "jpeg_tiles.tif": "jpeg"}
    for name, compression in packings.items():
        path = work / name
        shape = {"tile": (SMALL_PX, SMALL_PX)} if compression == "jpeg" else {"rowsperstrip": SMALL_PX}
        tifffile.imwrite(path, pixels, photometric="rgb", compression=compression, metadata=None, **shape)
        with tifffile.TiffFile(path) as tiff:
            (start,), (length,) = tiff.pages.first.dataoffsets, tiff.pages.first.databytecounts
        content = path.read_bytes()
        if compression == "jpeg":
            yield name, content, content.index(b"\xff\xda", start) + 14, start + length - 2, b"\xff\xd9"
        else:
            yield name, content, start, start + length, b""


def damaged(content: bytes, start: int, end: int, mark: bytes, way: str, rng: random.Random) -> bytes:
    """Damage packed pixels in one way."""
    place = rng.randrange(start, end)
    if way == "flip":
        return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
    if way == "blank":
        last = min(place + 40, end)
        return content[:place] + bytes(last - place) + content[last:]
    if way == "take":
        return content[:place] + content[min(place + 60, end) :]
    return content[:place] + mark


def whole(reader: str, path: Path) -> np.ndarray | None:
    """Give all codes of a small mask; None if the reader refuses it."""
    codes = np.full((SMALL_PX, SMALL_PX), -1)
    try:
        for row, column, block in READERS[reader](path):
            codes[row : row + len(block), column : column + block.shape[1]] = block
    except DataError:
        return None
    return codes


if __name__ == "__main__":
    main()
