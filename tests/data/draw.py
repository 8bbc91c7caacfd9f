"""Draws the files of this folder; `python -m tests.data.draw` in the repository's root draws them again.

They have the form of files met in the wild and no picture of anybody's tissue, so that they may lie in the repository.
"""

import csv
import json
import uuid
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hviskd.synthesis import draw_patient, draw_tile, draw_tissue, lay_out_section
from hviskd.synthesis.layout import GLASS
from tests.slides.make import reduce_by

HERE = Path(__file__).parent
CHECK_TILES = HERE.parents[1] / "src" / "hviskd" / "models" / "check_tiles.png"
RGB = NDArray[np.uint8]
SIZE = (1210, 967)  # of the section in px: no whole number of tiles, and odd
MPP = 0.998  # of a 10× scan


def draw_section() -> RGB:
    """Draw a section, and its tissue as a mask."""
    rng = np.random.default_rng(11)
    classes = lay_out_section(*SIZE, mpp=MPP, rng=rng)
    Image.fromarray(classes != GLASS).save(HERE / "section_tissue.png")
    return draw_tissue(classes, draw_patient(11), mpp=MPP, rng=rng)


def write_check_tiles(path: Path) -> None:
    """Write the tissue on which whatever runs a Model is checked: six patients, 160 px, one below the other."""
    rng = np.random.default_rng(0)
    scales = (0.25, 0.5, 0.5, 1.0, 1.0, 2.0)
    tiles = [draw_tile(n, draw_patient(n), tile_px=160, mpp=mpp, rng=rng) for n, mpp in enumerate(scales)]
    Image.fromarray(np.concatenate(tiles)).save(path, optimize=True)


def write_scan(path: Path, pixels: RGB) -> None:
    """Write one level as RGB in JPEG tiles of 240 px, as an old Aperio scanner: with thumbnail, label and macro."""
    width, height = SIZE
    head = f"Aperio Image Library v11.2.1\r\n{width}x{height}"
    with tifffile.TiffWriter(path) as writer:
        jpeg = {"photometric": "rgb", "compression": "jpeg", "metadata": None, "software": False}
        jpeg["compressionargs"] = {"level": 60, "outcolorspace": "RGB", "subsampling": "444"}
        said = f"{head} (240x240) JPEG/RGB Q=30|AppMag = 10|StripeWidth = 2040|ScanScope ID = drawn|MPP = {MPP}"
        writer.write(pixels, tile=(240, 240), description=said, **jpeg)
        thumbnail = np.asarray(Image.fromarray(pixels).resize((240, 192)))
        writer.write(thumbnail, rowsperstrip=16, description=f"{head} -> 240x192 - |AppMag = 10", **jpeg)
        label = np.full((90, 80, 3), 235, np.uint8)
        writer.write(
            label,
            photometric="rgb",
            compression="lzw",
            subfiletype=1,
            description="Aperio Image Library v11.2.1\r\nlabel 80x90",
            metadata=None,
        )
        writer.write(
            label.repeat(3, axis=1), subfiletype=9, description="Aperio Image Library v11.2.1\r\nmacro 240x90", **jpeg
        )


def write_scan_in_jpeg_2000(path: Path, pixels: RGB) -> None:
    """Write two levels in JPEG 2000 tiles of 256 px as some archives keep them: without µm/px and magnification."""
    with tifffile.TiffWriter(path) as writer:
        for number in range(2):
            level = reduce_by(pixels, 2**number)
            rows, columns = (-(-length // 256) for length in level.shape[:2])
            short = [(0, 256 * count - length) for count, length in zip((rows, columns), level.shape, strict=False)]
            padded = np.pad(level, (*short, (0, 0)), mode="edge")
            tiles = [
                imagecodecs.jpeg2k_encode(
                    np.ascontiguousarray(padded[y : y + 256, x : x + 256]), level=32, codecformat="j2k", mct=True
                )
                for y in range(0, 256 * rows, 256)
                for x in range(0, 256 * columns, 256)
            ]
            coding = f"{SIZE[0]}x{SIZE[1]} (256x256) J2K/KDU Q=70"
            writer.write(
                iter(tiles),
                shape=level.shape,
                dtype=np.uint8,
                tile=(256, 256),
                photometric="rgb",
                compression=33005,
                description=f"Aperio Image Library v11.0.37\r\n{coding}",
                metadata=None,
                software=False,
            )


def write_levels_of_absurd_size(path: Path, pixels: RGB) -> None:
    """Write four levels without loss whose resolution was made up by a program that knew none."""
    with tifffile.TiffWriter(path) as writer:
        for number in range(4):
            writer.write(
                reduce_by(pixels, 2**number),
                tile=(64, 64),
                photometric="rgb",
                compression="deflate",
                subfiletype=int(number > 0),
                resolution=(72, 72),
                resolutionunit="INCH",
                metadata=None,
            )


def write_nuclei(side: int = 256, count: int = 70) -> None:
    """Write outlines of nuclei as QuPath and as Labelme write them, and as a mask of one tile.

    The points were float32 once, as most that a network or a plugin outlined.
    """
    rng = np.random.default_rng(12)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rings = []
    for _ in range(count):
        centre, radii = rng.uniform(12, side - 12, 2), rng.uniform(6, 11, 2)
        turn, wobble = rng.uniform(0, np.pi), 1 + 0.12 * np.sin(3 * angle + rng.uniform(0, 6))
        x, y = radii[0] * np.cos(angle) * wobble, radii[1] * np.sin(angle) * wobble
        points = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], axis=1) + centre
        rings.append([[round(float(value), 12) for value in point] for point in points.astype(np.float32)])
    properties = {"objectType": "annotation", "classification": {"name": "nucleus", "color": [200, 0, 0]}}
    features = [
        {
            "type": "Feature",
            "id": str(uuid.UUID(bytes=rng.bytes(16), version=4)),
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
            "properties": properties,
        }
        for ring in rings
    ]
    (HERE / "nuclei.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    shape = {"label": "nucleus", "group_id": None, "description": "", "shape_type": "polygon", "flags": {}}
    labelme = {
        "version": "5.4.1",
        "flags": {},
        "shapes": [shape | {"points": ring} for ring in rings],
        "imagePath": "nuclei.png",
        "imageData": None,
        "imageHeight": side,
        "imageWidth": side,
    }
    (HERE / "nuclei.json").write_text(json.dumps(labelme))
    mask = Image.new("L", (150, 150))
    for ring in rings:
        ImageDraw.Draw(mask).polygon([tuple(point) for point in ring], fill=255)
    mask.save(HERE / "nuclei_mask.png")


def write_tiles(folder: Path) -> None:
    """Write tiles of eight patients in a folder a class, and a table that names them as their authors would."""
    rows = []
    for patient in range(8):
        name = ("GBM", "LGG")[patient % 2]
        look = draw_patient(20 + patient)
        for number in range(3):
            rng = np.random.default_rng([patient, number])
            tile = draw_tile(3 if name == "GBM" else 2, look, tile_px=64, mpp=0.5, rng=rng)
            file = f"TCGA-{patient:02d}_({64 * number},0)"
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(tile).save(folder / name / f"{file}.png")
            rows.append((name, file, f"TCGA-{patient:02d}"))
    with (folder.parent / "tiles.csv").open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([("class", "name", "group"), *sorted(rows)])


def main() -> None:
    section = draw_section()
    write_scan(HERE / "scan.svs", section)
    (HERE / "broken.svs").write_bytes((HERE / "scan.svs").read_bytes()[:1001])
    write_scan_in_jpeg_2000(HERE / "scan_jpeg2000.svs", section)
    write_levels_of_absurd_size(HERE / "levels.tiff", section[:125, 500:650])
    write_nuclei()
    write_tiles(HERE / "tiles")
    write_check_tiles(CHECK_TILES)


if __name__ == "__main__":
    main()
