"""Writes small sound annotation files as other programs than QuPath and Labelme do, for `fuzz_seeds.py`."""

import json
from pathlib import Path

import numpy as np
import pydicom

LEVEL_0 = "1.2.3.4"  # the UID of the image that is outlined
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
    (folder / "ndpview.ndpa").write_text(_ndpa(), encoding="utf-8")
    _write_bulk(folder / "px.dcm", in_mm=False)
    _write_bulk(folder / "mm.dcm", in_mm=True)
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


def _ndpa() -> str:
    """Write a file of NDP.view, in nm from the centre of the glass, where a px has 500."""

    def points(shape: str) -> str:
        nm = [((x - 192) * 500, (y - 192) * 500) for x, y in SHAPES[shape]]
        return "".join(f"<point><x>{x}</x><y>{y}</y></point>" for x, y in nm)

    drawn = [
        f'<annotation type="freehand" displayname="AnnotateFreehand" color="#ff0000"><closed>{closed}</closed>'
        f"<pointlist>{points(shape)}</pointlist></annotation>"
        for shape, closed in (("square", 1), ("tie", 1), ("hole", 0))
    ]
    drawn.append('<annotation type="circle" color="#00ff00"><x>20000</x><y>5000</y><radius>9000</radius></annotation>')
    states = "".join(
        f'<ndpviewstate id="{n}"><title>{"abca"[n]}</title><details>é</details><coordformat>nanometers</coordformat>'
        f"{each}</ndpviewstate>"
        for n, each in enumerate(drawn)
    )
    return f'<?xml version="1.0" encoding="utf-8"?><annotations>{states}</annotations>'


def _write_bulk(path: Path, *, in_mm: bool) -> None:
    """Write DICOM bulk annotations in px or, on a glass where a px has 0.0005 mm, in mm."""
    content = pydicom.Dataset()
    content.file_meta = pydicom.dataset.FileMetaDataset()
    content.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    content.SOPClassUID, content.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.91.1", "1.2.3"
    content.AnnotationCoordinateType = "3D" if in_mm else "2D"
    content.ReferencedImageSequence = [pydicom.Dataset()]
    content.ReferencedImageSequence[0].ReferencedSOPInstanceUID = LEVEL_0
    groups = []
    ellipse = [(210, 50), (350, 50), (280, 20), (280, 90)]
    for label, kind, shapes in (
        ("a", "POLYGON", [SHAPES["square"], SHAPES["tie"]]),
        ("b", "ELLIPSE", [ellipse]),
        ("c", "RECTANGLE", [SHAPES["hole"]]),
        ("c", "POINT", [[(9, 9)]]),
    ):
        group = pydicom.Dataset()
        group.AnnotationGroupLabel, group.GraphicType = label, kind
        points = np.array([point for shape in shapes for point in shape], "<f8") * (0.0005 if in_mm else 1)
        group.PointCoordinatesData = points.astype("<f4").tobytes()
        if in_mm:
            group.CommonZCoordinateValue = 0.0
        if kind == "POLYGON":
            first = np.cumsum([0, *(2 * len(shape) for shape in shapes[:-1])]) + 1
            group.LongPrimitivePointIndexList = first.astype("<u4").tobytes()
        groups.append(group)
    content.AnnotationGroupSequence = groups
    content.save_as(path, enforce_file_format=True)


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
