"""Small files of programs that write XML, as those programs write them."""

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr


def vertices(points, tag: str = "Vertex") -> str:
    return "".join(f'<{tag} X="{x}" Y="{y}" Z="0" />' for x, y in points)


def aperio_region(points, *, kind: str = "0", negative: bool = False, text: str = "") -> str:
    return (
        f'<Region Id="1" Type="{kind}" Zoom="0.25" Selected="0" ImageLocation="" ImageFocus="0" Length="NaN" '
        f'Area="NaN" LengthMicrons="1.#QNAN" Text={quoteattr(text)} NegativeROA="{negative:d}" InputRegionId="0" '
        f'Analyze="1" DisplayId="1"><Attributes/><Vertices>{vertices(points)}</Vertices></Region>'
    )


def aperio_layer(
    *regions: str, name: str | None = "", description: str = "", number: int = 1, colour: int = 65280
) -> str:
    named = "" if name is None else f" Name={quoteattr(name)}"
    return (
        f'<Annotation Id="{number}"{named} ReadOnly="0" NameReadOnly="0" LineColor="{colour}" Visible="1" '
        f'MarkupImagePath=""><Attributes><Attribute Name="Description" Id="0" Value={quoteattr(description)}/>'
        f'</Attributes><Regions><RegionAttributeHeaders><AttributeHeader Id="9999" Name="Region" ColumnWidth="-1"/>'
        f"</RegionAttributeHeaders>{''.join(regions)}</Regions><Plots/></Annotation>"
    )


def aperio(*layers: str) -> str:
    return f'<Annotations MicronsPerPixel="0.252200">{"".join(layers)}</Annotations>'


def halo_region(points, *, kind: str = "Polygon", negative: bool = False) -> str:
    comment = (
        '<Comments><Comment Author="&lt;no user&gt;" Body="a note" CreatedTime="2024-03-20T17:02:03Z"/></Comments>'
    )
    drawn = "".join(f'<V X="{x}" Y="{y}" />' for x, y in points)
    head = f'<Region Type="{kind}" HasEndcaps="0" NegativeROA="{negative:d}">'
    return f"{head}<Vertices>{drawn}</Vertices>{comment}</Region>"


def halo(**layers: Sequence[str]) -> str:
    drawn = "".join(
        f'<Annotation LineColor="5634047" Name="{name}" Visible="True"><Regions>{"".join(regions)}</Regions>'
        "</Annotation>"
        for name, regions in layers.items()
    )
    return f"<Annotations>{drawn}</Annotations>"


def asap_annotation(points, *, group: str = "None", kind: str = "Polygon", name: str = "Annotation 0") -> str:
    drawn = "".join(f'<Coordinate Order="{n}" X="{x}" Y="{y}" />' for n, (x, y) in enumerate(points))
    return (
        f'<Annotation Name="{name}" Type="{kind}" PartOfGroup="{group}" Color="#F4FA58">'
        f"<Coordinates>{drawn}</Coordinates></Annotation>"
    )


def asap(*annotations: str, **groups: str) -> str:
    listed = "".join(
        f'<Group Name="{name}" PartOfGroup="None" Color="{colour}"><Attributes /></Group>'
        for name, colour in groups.items()
    )
    return (
        f'<?xml version="1.0"?>\n<ASAP_Annotations>\n\t<Annotations>{"".join(annotations)}</Annotations>'
        f"<AnnotationGroups>{listed}</AnnotationGroups></ASAP_Annotations>"
    )


def box(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    """The corners of a box, its first one again at the end as most programs write it."""
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
