"""Writes small sound annotation files as ImageScope, ASAP and HALO do, for `fuzz_seeds.py`."""

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
    groups = "".join(f'<Group Name="{name}" PartOfGroup="None" Color="#00ff00"/>' for name in "abc")
    text = f"<ASAP_Annotations><Annotations>{drawn}</Annotations><AnnotationGroups>{groups}</AnnotationGroups>"
    (folder / "asap.xml").write_text(f"{text}</ASAP_Annotations>", encoding="utf-8")


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
