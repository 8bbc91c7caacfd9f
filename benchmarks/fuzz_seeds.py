"""Writes small sound files of every kind that hviskd reads; `fuzz_inputs.py` damages them."""

import base64
import io
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from fuzz_layers import write_layers
from fuzz_slides import write_other_slides
from PIL import Image

COLOURS = [(200, 0, 0), (0, 160, 0), (0, 0, 200)]
SIDE_PX = 384
# How often a group's files are used in a round.
OFTEN = {"slide": 4, "other slide": 1, "flat slide": 1, "mask": 1, "outlines": 10, "legend": 6, "table": 4}


class Seed(NamedTuple):
    """A sound file to be damaged, and what kind of input it is."""

    group: str
    path: Path


def make_seeds(folder: Path) -> list[Seed]:
    """Write sound files of every kind; `good.svs`, `good_mask.png`, `good.yaml` and `good.csv` serve the others."""
    from hviskd.slides import write_svs
    from hviskd.synthesis import draw_patient, draw_tissue

    for group in OFTEN:
        (folder / group).mkdir(parents=True)
    classes = np.zeros((SIDE_PX, SIDE_PX), np.int64)
    classes[:, SIDE_PX // 2 :] = 3
    classes[: SIDE_PX // 4] = 6
    tissue = draw_tissue(classes, draw_patient(0), mpp=0.5, rng=np.random.default_rng(0))
    mask = np.array(COLOURS, np.uint8)[classes // 3]
    places = (classes // 3).astype(np.uint8)

    write_svs(folder / "slide" / "good.svs", tissue, mpp=0.5)
    Image.fromarray(mask).save(folder / "mask" / "good_mask.png")
    listed = [{"name": name, "colours": [list(rgb)]} for name, rgb in zip("abc", COLOURS, strict=True)]
    legend = folder / "legend" / "good.yaml"
    lines = "".join(f"  - {{name: {c['name']}, colours: {c['colours']}}}\n" for c in listed)
    legend.write_text(f"name: three\nclasses:\n{lines}merge:\n  c: a\n", encoding="utf-8")
    (folder / "table" / "good.csv").write_text("slide,mpp,patient\ngood,0.5,P1\nother.svs,0.25,P2\n", encoding="utf-8")

    _write_tiffs(folder / "slide", tissue)
    write_other_slides(folder / "other slide", tissue)
    _write_pictures(folder / "flat slide", tissue, places)
    _write_pictures(folder / "mask", mask, places)
    _write_outlines(folder / "outlines")
    write_layers(folder / "outlines")
    return [
        Seed(group, path)
        for group, often in OFTEN.items()
        for path in sorted((folder / group).iterdir())
        for _ in range(often)
    ]


def _write_tiffs(folder: Path, tissue: np.ndarray) -> None:
    """Write tiled pyramids as scanners and converters do: Aperio without loss, plain, large, and of the other order."""
    said = f"Aperio Image Library v12\r\n{SIDE_PX}x{SIDE_PX} (128x128) of fuzz|AppMag = 20|MPP = 0.5"
    levels = [tissue, tissue[::2, ::2], tissue[::4, ::4]]
    shapes = {
        "deflate.svs": ({}, {"compression": "deflate", "description": said}),
        "plain.tiff": ({}, {"compression": "jpeg", "resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}),
        "large.tiff": ({"bigtiff": True}, {"compression": "lzw"}),
        "swapped.tif": ({"byteorder": ">"}, {"compression": None}),
    }
    for name, (whole, each) in shapes.items():
        with tifffile.TiffWriter(folder / name, **whole) as writer:
            for level in levels:
                writer.write(np.ascontiguousarray(level), tile=(128, 128), photometric="rgb", metadata=None, **each)


def _write_pictures(folder: Path, pixels: np.ndarray, places: np.ndarray) -> None:
    """Write a flat picture in every usual way; `places` are the same pixels as indices into three colours."""
    rgb, indexed = Image.fromarray(pixels), Image.fromarray(places)
    indexed.putpalette([value for colour in COLOURS for value in colour])
    rgb.save(folder / "rgb.png")
    indexed.save(folder / "palette.png", bits=2, transparency=2)
    rgb.convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(places * np.uint16(20_000)).save(folder / "deep.png")
    rgb.save(folder / "plain.jpg", quality=90)
    rgb.save(folder / "progressive.jpg", progressive=True)
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    for name, kept in {"lzw": "tiff_lzw", "deflate": "tiff_adobe_deflate", "jpeg": "jpeg", "bits": "packbits"}.items():
        rgb.save(folder / f"{name}.tif", compression=kept)
    indexed.save(folder / "palette.tif", compression="tiff_lzw")
    tifffile.imwrite(folder / "raw.tif", pixels, photometric="rgb", bigtiff=True, metadata=None)
    tifffile.imwrite(folder / "tiled.tif", pixels, photometric="rgb", tile=(64, 64), compression="jpeg", metadata=None)
    tifffile.imwrite(folder / "deep.tif", places.astype(np.uint16), photometric="minisblack", byteorder=">")


def _write_outlines(folder: Path) -> None:
    """Write what QuPath and Labelme write, with holes, parts, crossings, circles and a mask shape."""
    from hviskd.annotations import load_legend, read_annotation, to_outlines

    half = SIDE_PX // 2
    square = [[0, 0], [half, 0], [half, half], [0, half], [0, 0]]
    hole = [[20, 20], [60, 20], [60, 60.5], [20, 60], [20, 20]]
    tie = [[half, half], [300, 300], [300, half], [half, 300], [half, half]]
    shapes = [("Polygon", [square, hole]), ("MultiPolygon", [[tie], [square]]), ("Point", [1, 2])]
    features = [
        {
            "type": "Feature",
            "id": str(number),
            "geometry": {"type": kind, "coordinates": coordinates},
            "properties": {"name": "é", "classification": {"name": "abc"[number], "color": [1, 2, 3]}},
        }
        for number, (kind, coordinates) in enumerate(shapes)
    ]
    text = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False)
    (folder / "qupath.geojson").write_text(text, encoding="utf-8")
    legend = load_legend(folder.parent / "legend" / "good.yaml")
    traced = to_outlines(read_annotation(folder.parent / "mask" / "good_mask.png", legend=legend), legend)
    drawn = [
        {"label": "abc"[number], "points": part.exterior.coords[:-1], "shape_type": "polygon", "group_id": number}
        for number, part in enumerate(region.geometry for region in traced.regions)
    ]
    drawn.append({"label": "b", "points": [[9, 9], [90, 70]], "shape_type": "rectangle", "description": "é"})
    drawn.append({"label": "c", "points": [[99, 99], [130, 99]], "shape_type": "circle", "group_id": None})
    drawn.append({"label": "a", "points": [[0, 0], [23, 15]], "shape_type": "mask", "mask": _small_picture()})
    sides = {"imageWidth": SIDE_PX, "imageHeight": SIDE_PX, "imagePath": "good.png", "imageData": None}
    text = json.dumps({"version": "5.4.1", "flags": {}, "shapes": drawn, **sides})
    (folder / "labelme.json").write_text(text, encoding="utf-8")


def _small_picture() -> str:
    stream = io.BytesIO()
    Image.fromarray(np.indices((16, 24)).sum(0) % 5 > 0).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()
