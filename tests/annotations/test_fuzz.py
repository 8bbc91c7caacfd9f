"""Whatever is in a file, reading it ends in an annotation or in one line that names the file."""

import copy
import io
import json
import random

import numpy as np
import pytest
import tifffile
from PIL import Image

from hviskd.annotations import load_legend, read_annotation
from hviskd.errors import HviskdError
from hviskd.slide_frame import Glass, SlideFrame

from .make import SQUARE, feature, labelme, mask_shape
from .make_xml import (
    aperio,
    aperio_layer,
    aperio_region,
    asap,
    asap_annotation,
    box,
    halo,
    halo_region,
    ndpa,
    ndpa_circle,
    ndpa_freehand,
)

LEGEND = load_legend("ivygap")
MASK = np.array(LEGEND.colours, dtype=np.uint8)[np.arange(40 * 30).reshape(30, 40) // 150]

FRAME = SlideFrame((100, 80), glass=Glass("hamamatsu", (1, 0, 0), (0, 1, 0)))
ODD = [None, True, -1, 0, 1e308, -1e-320, 10**30, "", "x" * 5000, "\ud800", "NaN", [], {}, [[]], [[[[[]]]]], {"a": {}}]
ODD += [[[0, 0], [1, 1], [0, 0]], [[0, 0]] * 5, ["Polygon"], {"type": "Polygon"}, [None, None], [0.5], "Polygon"]


def labelme_document():
    hole = [[0, 0], [20, 0], [20, 20], [0, 20], [0, 0], [5, 5], [5, 9], [9, 9], [5, 5]]
    kinds = {"polygon": hole, "rectangle": [[9, 9], [1, 2]], "circle": [[5, 5], [9, 5]], "line": [[0, 0], [1, 1]]}
    shapes = [{"label": "LE", "shape_type": kind, "points": points, "group_id": 1} for kind, points in kinds.items()]
    return labelme([*shapes, mask_shape(np.eye(6, dtype=bool), label="CT")])


def geojson_document():
    tie = [[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]
    collected = {"type": "GeometryCollection", "geometries": [feature([SQUARE])["geometry"]]}
    return {
        "type": "FeatureCollection",
        "features": [
            feature([SQUARE, tie], classification={"name": "LE", "color": [1, 2, 3]}, name="n"),
            feature([[SQUARE], [tie]], kind="MultiPolygon", classification={"names": ["CT", "x"], "colorRGB": -5}),
            feature([1, 2], kind="Point"),
            {"type": "Feature", "geometry": collected, "properties": {"classification": "IT"}},
        ],
    }


def coco_document():
    text = "n`7d0\\;000000000000000RSU4"  # of 384 × 384 px
    shapes = [[[0, 0, 50, 0, 50, 50], [9, 9, 20, 30, 4, 4]], [], {"size": [80, 100], "counts": [5, 70, 7925]}]
    shapes += [{"size": [384, 384], "counts": text}]
    drawn = [
        {"image_id": n // 3, "category_id": n % 2, "segmentation": shape, "bbox": [1, 2, 30.5, 40]}
        for n, shape in enumerate(shapes)
    ]
    images = [{"id": 0, "file_name": "a/S.svs", "width": 100, "height": 80}]
    return {"images": images, "annotations": drawn, "categories": [{"id": n, "name": "LE"} for n in range(2)]}


def layers() -> dict[str, bytes]:
    square, tie = box(0, 0, 50, 50), [(0, 0), (40, 40), (40, 0), (0, 40)]
    regions = aperio_region(square), aperio_region(square[:3:2], kind="2"), aperio_region(tie, negative=True, text="é")
    negative = halo_region(tie, negative=True)
    texts = {
        "imagescope": aperio(aperio_layer(*regions, name="LE"), aperio_layer(regions[0], name="", number=2)),
        "halo": halo(LE=[halo_region(square), halo_region(square[:3:2], kind="Ellipse"), negative]),
        "asap": asap(asap_annotation(square, group="LE"), asap_annotation(tie, group="_2"), LE="#00ff00"),
        "ndpa": ndpa(ndpa_freehand(square, title="LE"), ndpa_circle(30, 30, 9, title="CT")),
    }
    return {name: text.encode() for name, text in texts.items()}


def places(node, path=()):
    """Give the path to every value inside a document."""
    yield path
    if isinstance(node, dict | list):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from places(child, (*path, key))


def mutated(document, rng):
    document = copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 2, 4])):
        inside = [path for path in places(document) if path]
        if not inside:
            break
        *way, last = rng.choice(inside)
        parent = document
        for step in way:
            parent = parent[step]
        action = rng.random()
        if action < 0.2:
            del parent[last]
        elif action < 0.3 and isinstance(parent, list):
            parent.extend(copy.deepcopy(parent[: rng.randint(1, 3)]) * rng.randint(1, 20))
        elif action < 0.4:
            other = rng.choice(list(places(document)))
            value = document
            for step in other:
                value = value[step]
            parent[last] = copy.deepcopy(value)
        else:
            parent[last] = copy.deepcopy(rng.choice(ODD))
    return document


def damaged(content: bytes, rng) -> bytes:
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 3, 20])):
        place = rng.randrange(len(content))
        action = rng.random()
        if action < 0.5:
            content[place] = rng.choice([0, 1, 127, 255, rng.randrange(256)])
        elif action < 0.7:
            del content[place : place + rng.randint(1, 40)]
        elif action < 0.9:
            content[place:place] = content[place : place + rng.randint(1, 40)]
        else:
            del content[place:]
        if not content:
            break
    return bytes(content)


def encoded(kind, **options) -> bytes:
    stream = io.BytesIO()
    if kind == "TIFF":
        tifffile.imwrite(stream, MASK, photometric="rgb", **options)
    else:
        Image.fromarray(MASK).save(stream, kind, **options)
    return stream.getvalue()


def survives(path) -> bool:
    """Read a file every way; True if one of them gave an annotation."""
    said = []
    for options in ({}, {"legend": LEGEND, "frame": FRAME}, {"legend": LEGEND, "tolerance": 500}):
        try:
            annotation = read_annotation(path, **options)
            assert annotation.rasterise(-5, -5, 50, 50, 1.5).shape == (34, 34)
        except HviskdError as error:
            said.append(str(error))
    assert all(str(path) in line and len(line) < 2000 for line in said)
    return len(said) < 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "document", [labelme_document(), geojson_document(), coco_document()], ids=["labelme", "geojson", "coco"]
)
def test_json_with_values_of_every_wrong_kind(tmp_path, document):
    rng = random.Random(1)
    path = tmp_path / "drawn.json"
    outcomes = set()
    for _ in range(250):
        path.write_text(json.dumps(mutated(document, rng)))
        outcomes.add(survives(path))
    assert outcomes == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize(
    "document", [labelme_document(), geojson_document(), coco_document()], ids=["labelme", "geojson", "coco"]
)
def test_json_with_damaged_bytes(tmp_path, document):
    rng = random.Random(2)
    path = tmp_path / "drawn.json"
    for _ in range(300):
        path.write_bytes(damaged(json.dumps(document).encode(), rng))
        survives(path)


@pytest.mark.parametrize("name", layers())
def test_layers_with_damaged_bytes(tmp_path, name):
    rng = random.Random(5)
    path = tmp_path / "drawn.xml"
    outcomes = set()
    for _ in range(150):
        path.write_bytes(damaged(layers()[name], rng))
        outcomes.add(survives(path))
    assert outcomes == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        encoded("PNG"),
        encoded("JPEG"),
        encoded("JPEG", progressive=True),
        encoded("TIFF"),
        encoded("TIFF", tile=(16, 16), compression="zlib"),
        encoded("TIFF", rowsperstrip=7, compression="lzw"),
        encoded("TIFF", tile=(16, 16), compression="jpeg"),
    ],
    ids=["png", "jpeg", "progressive", "tiff", "tiled", "strips", "tiled-jpeg"],
)
def test_masks_with_damaged_bytes(tmp_path, content):
    rng = random.Random(3)
    path = tmp_path / "mask"
    for _ in range(60):
        path.write_bytes(damaged(content, rng))
        survives(path)


def test_bytes_that_mean_nothing(tmp_path):
    rng = random.Random(4)
    path = tmp_path / "garbage"
    starts = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"{", b"[", b"\xef\xbb\xbf"]
    for _ in range(200):
        path.write_bytes(rng.choice(starts) + rng.randbytes(rng.choice([0, 1, 30, 300])))
        assert not survives(path)
