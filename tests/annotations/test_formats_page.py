"""The table of annotation formats and shapes in docs/formats.md says what happens to a file of each kind."""

import re
from pathlib import Path

import numpy as np
import pytest

from hviskd.annotations import read_annotation
from hviskd.errors import DataError
from hviskd.slide_frame import Glass, SlideFrame

from .make import feature, labelme, mask_shape, save
from .make_bulk import group, outlined_slide, write_bulk
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
from .test_coco import data_set, drawn, image

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
SHELL, HOLE, OTHER = box(10, 10, 50, 40), box(20, 20, 30, 30), box(60, 50, 80, 60)
SHAPES = {  # what is drawn, and its area in px²
    "polygon": 1200,
    "several parts": 1400,
    "hole": 1100,
    "rectangle": 1200,
    "ellipse or circle": np.pi * 20 * 15,
    "mask": 6,
    "point or line": 0,
}


def lists(points):
    return [list(point) for point in points]


def labelme_shape(kind, points, **more):
    return {"label": "a", "shape_type": kind, "points": lists(points), **more}


def of_labelme(*shapes):
    return labelme(list(shapes))


def of_qupath(rings, kind="Polygon"):
    return feature(rings, kind=kind, classification={"name": "a"})


def of_aperio(*regions):
    return aperio(aperio_layer(*regions, name="a"))


def of_asap(points, kind="Polygon", more=""):
    return asap(asap_annotation(points, group="a", kind=kind), more)


def of_coco(segmentation, **more):
    return data_set(drawn(segmentation, **more), images=[image(size=(100, 80))], categories=("a",))


QUPATH = {
    "polygon": of_qupath([lists(SHELL)]),
    "several parts": of_qupath([[lists(SHELL)], [lists(OTHER)]], "MultiPolygon"),
    "hole": of_qupath([lists(SHELL), lists(HOLE)]),
    "point or line": of_qupath(lists(SHELL[:2]), "LineString"),
}
LABELME = {
    "polygon": of_labelme(labelme_shape("polygon", SHELL)),
    "several parts": of_labelme(*(labelme_shape("polygon", part, group_id=1) for part in (SHELL, OTHER))),
    "rectangle": of_labelme(labelme_shape("rectangle", SHELL[:3:2])),
    "ellipse or circle": of_labelme(labelme_shape("circle", [(30, 25), (30 + 300**0.5, 25)])),
    "mask": of_labelme(mask_shape(np.ones((2, 3), bool), label="a")),
    "point or line": of_labelme(labelme_shape("line", SHELL[:2])),
}
IMAGESCOPE = {
    "polygon": of_aperio(aperio_region(SHELL)),
    "hole": of_aperio(aperio_region(SHELL), aperio_region(HOLE, negative=True)),
    "rectangle": of_aperio(aperio_region(SHELL[:4], kind="1")),
    "ellipse or circle": of_aperio(aperio_region(SHELL[:3:2], kind="2")),
    "point or line": of_aperio(aperio_region(SHELL[:2], kind="4")),
}
ASAP = {
    "polygon": of_asap(SHELL),
    "hole": of_asap(SHELL, more=asap_annotation(HOLE, group="Exclusion")),
    "rectangle": of_asap(SHELL[:4], "Rectangle"),
    "point or line": of_asap(SHELL[:1], "Dot"),
}
HALO = {
    "polygon": halo(a=[halo_region(SHELL)]),
    "hole": halo(a=[halo_region(SHELL), halo_region(HOLE, negative=True)]),
    "rectangle": halo(a=[halo_region(SHELL[:3:2], kind="Rectangle")]),
    "ellipse or circle": halo(a=[halo_region(SHELL[:3:2], kind="Ellipse")]),
    "point or line": halo(a=[halo_region(SHELL[:2], kind="Ruler")]),
}
COCO = {
    "polygon": of_coco([np.ravel(SHELL[:4]).tolist()]),
    "several parts": of_coco([np.ravel(part[:4]).tolist() for part in (SHELL, OTHER)]),
    "rectangle": of_coco([], bbox=[10, 10, 40, 30]),
    "mask": of_coco({"size": [80, 100], "counts": [0, 6, 7994]}),
    "point or line": of_coco([], keypoints=[1, 2, 2]),
}
NDPA = {
    "polygon": ndpa(ndpa_freehand(SHELL)),
    "rectangle": ndpa(ndpa_freehand(SHELL, name="AnnotateRectangle", special="rectangle")),
    "ellipse or circle": ndpa(ndpa_circle(30, 25, 300**0.5)),
    "point or line": ndpa(ndpa_freehand(SHELL[:2], closed="0")),
}
AXES = [(10, 25), (50, 25), (30, 10), (30, 40)]
BULK = {
    "polygon": ("POLYGON", SHELL[:4]),
    "rectangle": ("RECTANGLE", SHELL[:4]),
    "ellipse or circle": ("ELLIPSE", AXES),
    "point or line": ("POLYLINE", SHELL[:2]),
}
FRAME = SlideFrame((100, 80), glass=Glass("hamamatsu", (1, 0, 0), (0, 1, 0)))
FORMATS = {  # documents by shape, and what names the class
    "QuPath GeoJSON": (QUPATH, "classification"),
    "Labelme JSON": (LABELME, "label"),
    "Aperio ImageScope XML": (IMAGESCOPE, "layer"),
    "ASAP XML": (ASAP, "group"),
    "HALO annotations": (HALO, "layer"),
    "NDP.view (Hamamatsu) NDPA": (NDPA, "title"),
    "COCO JSON": (COCO, "category"),
    "DICOM bulk annotations": (BULK, "label of the group"),
}


def write(path, document):
    if not isinstance(document, tuple):
        return save(path, document)
    kind, points = document
    return write_bulk(path, outlined_slide(), [group(1, "a", kind, [points])])


def outcome(path, area: float) -> str:
    """Say what happens to a file with one shape of a known area."""
    try:
        found = read_annotation(path, frame=FRAME)
    except DataError:
        return "refused"
    if area and sum(region.geometry.area for region in found.regions) == pytest.approx(area, rel=5e-3):
        assert found.classes == ("a",)
        return "read"
    assert not found.regions, found.regions
    assert any("left out" in remark for remark in found.remarks)
    return "left out"


def test_the_table_of_annotations_says_what_happens(tmp_path):
    rows = []
    for name, (documents, named_by) in FORMATS.items():
        cells = [
            outcome(write(tmp_path / "drawn", documents[shape]), area) if shape in documents else "–"
            for shape, area in SHAPES.items()
        ]
        rows.append(f"| {' | '.join([name, *cells, named_by])} |")
    section = PAGE.read_text(encoding="utf-8").partition("## Annotations")[2].partition("\n## ")[0]
    head, _, *listed = re.findall(r"^\|.*\|$", section, flags=re.MULTILINE)
    assert head == f"| {' | '.join(['format', *SHAPES, 'name of the class'])} |"
    assert listed == rows, "\n".join(rows)
