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


def _view_state(annotation: str, title: str, details: str) -> str:
    return (
        f'<ndpviewstate id="1"><title>{title}</title><details>{details}</details><coordformat>nanometers</coordformat>'
        f"<lens>1.7</lens><x>0</x><y>0</y><z>0</z><showtitle>0</showtitle>{annotation}</ndpviewstate>"
    )


def ndpa_freehand(
    points,
    *,
    title: str = "a",
    details: str = "",
    closed: str = "1",
    name: str = "AnnotateFreehand",
    special: str = "",
    colour: str = "#000000",
) -> str:
    drawn = "".join(f"<point><x>{x}</x><y>{y}</y></point>" for x, y in points)
    last = f"<specialtype>{special}</specialtype>" if special else ""
    inner = f"<measuretype>0</measuretype><closed>{closed}</closed><pointlist>{drawn}</pointlist>{last}"
    head = f'<annotation type="freehand" displayname="{name}" color="{colour}">'
    return _view_state(f"{head}{inner}</annotation>", title, details)


def ndpa_circle(x, y, radius, *, title: str = "a") -> str:
    inner = f"<x>{x}</x><y>{y}</y><radius>{radius}</radius><measuretype>0</measuretype>"
    head = '<annotation type="circle" displayname="AnnotateCircle" color="#000000">'
    return _view_state(f"{head}{inner}</annotation>", title, "")


def ndpa(*states: str) -> str:
    return f'<?xml version="1.0" encoding="utf-8" standalone="yes"?><annotations>{"".join(states)}</annotations>'
