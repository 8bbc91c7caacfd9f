"""Writes small sound annotation files as ImageScope, ASAP, HALO and programs for COCO do, for `fuzz_seeds.py`."""

import json
from pathlib import Path

SHAPES = {
    "square": [(0, 0), (192, 0), (192, 192), (0, 192), (0, 0)],
    "hole": [(20, 20), (60.5, 20), (60, 60), (20, 60)],
    "tie": [(200, 200), (300, 300), (300, 200), (200, 300)],
    "box": [(210, 20), (350, 90)],
}


def write_layers(folder: Path) -> None:
    """Write one file of each program, with layers a, b and c."""
    (folder / "imagescope.xml").write_text(_layers("0", "1", "2", "Vertex"), encoding="utf-8")
    (folder / "halo.annotations").write_text(_layers("Polygon", "Rectangle", "Ellipse", "V"), encoding="utf-8")
    drawn = "".join(
        f'<Annotation Name="é {group}" Type="{kind}" PartOfGroup="{group}" Color="#F4FA58"><Coordinates>'
        f"{_points('Coordinate', shape)}</Coordinates></Annotation>"
        for shape, kind, group in [
            ("square", "Polygon", "a"),
            ("tie", "Spline", "b"),
            ("hole", "Polygon", "Exclusion"),
            ("box", "Rectangle", "c"),
            ("box", "PointSet", "None"),
        ]
    )
    (folder / "coco.json").write_text(json.dumps(_coco()), encoding="utf-8")
    groups = "".join(f'<Group Name="{name}" PartOfGroup="None" Color="#00ff00"/>' for name in "abc")
    text = f"<ASAP_Annotations><Annotations>{drawn}</Annotations><AnnotationGroups>{groups}</AnnotationGroups>"
    (folder / "asap.xml").write_text(f"{text}</ASAP_Annotations>", encoding="utf-8")


def _coco() -> dict[str, object]:
    """Make a COCO data set with polygons, a box and masks of both kinds: 9 columns of 20 px."""
    runs = [20 * 384 + 30, 20, *[364, 20] * 8]
    runs.append(384 * 384 - sum(runs))
    shapes = [
        [[value for point in SHAPES[shape] for value in point] for shape in ("square", "tie")],
        [],
        {"size": [384, 384], "counts": runs},
        {"size": [384, 384], "counts": "n`7d0\\;000000000000000RSU4"},
    ]
    drawn = [
        {"id": n, "image_id": 1, "category_id": n % 3, "segmentation": shape, "bbox": [10, 20, 30.5, 40], "iscrowd": 0}
        for n, shape in enumerate(shapes)
    ]
    images = [{"id": 1, "file_name": "train/good.svs", "width": 384, "height": 384}]
    return {"images": images, "annotations": drawn, "categories": [{"id": n, "name": "abc"[n]} for n in range(3)]}


def _layers(polygon: str, rectangle: str, ellipse: str, vertex: str) -> str:
    """Write a file of ImageScope's kind; the programs call types of regions and vertices differently."""
    layers = {
        "a": [("square", polygon, 0), ("hole", polygon, 1)],
        "b": [("tie", polygon, 0), ("box", rectangle, 0), ("box", "5", 0)],
        "c": [("box", ellipse, 0), ("hole", ellipse, 1)],
    }
    written = ""
    for name, regions in layers.items():
        drawn = "".join(
            f'<Region Id="1" Type="{kind}" Text="é" NegativeROA="{negative}">'
            f"<Vertices>{_points(vertex, shape)}</Vertices></Region>"
            for shape, kind, negative in regions
        )
        written += f'<Annotation Id="1" Name="{name}" LineColor="65280"><Regions>{drawn}</Regions></Annotation>'
    return f'<Annotations MicronsPerPixel="0.5">{written}</Annotations>'


def _points(tag: str, shape: str) -> str:
    return "".join(f'<{tag} Order="{n}" X="{x}" Y="{y}"/>' for n, (x, y) in enumerate(SHAPES[shape]))
