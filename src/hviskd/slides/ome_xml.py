"""Reads the OME-XML of a TIFF: the names, channels, µm/px and planes of its images.

The schema is that of the Open Microscopy Environment, 2016-06.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from hviskd.guarded_xml import guarded_parser

_MOST_ELEMENTS = 500_000
_MOST_DEPTH = 30
_MOST_PLANES = 100_000
_SHOWN_CHARACTERS = 60
_STARTS = re.compile(r"<(\w+:)?OME[\s>]")
_KEPT = frozenset(
    (
        *("OME", "Image", "Pixels", "Channel", "TiffData", "UUID", "BinaryOnly"),
        *("Instrument", "Objective", "ObjectiveSettings"),
    )
)
_UM = {
    "µm": 1,
    "μm": 1,
    "um": 1,
    "nm": 1e-3,
    "pm": 1e-6,
    "Å": 1e-4,
    "mm": 1e3,
    "cm": 1e4,
    "dm": 1e5,
    "m": 1e6,
    "in": 25_400,
    "thou": 25.4,
    "mil": 25.4,
    "ft": 304_800,
    "pt": 25_400 / 72,
    "\ufffdm": 1,
    "Âµm": 1,  # what becomes of µ in other encodings
    "micron": 1,  # in full, some are met that the schema does not know
    "micrometer": 1,
    "micrometre": 1,
    "nanometer": 1e-3,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "inch": 25_400,
}  # of the units that are lengths; "pixel" and "reference frame" are none


@dataclass(frozen=True)
class OmeChannel:
    """A channel: name, samples per px, colour (0xRRGGBB) if given, and whether it is fluorescence."""

    name: str = ""
    samples: int = 1
    colour: int | None = None
    emits: bool = False


@dataclass(frozen=True)
class OmeImage:
    """An image as described by the XML.

    Attributes:
        name: What it is called.
        size: Width and height in px.
        channels: In their order.
        stack: How many focal planes and points in time there are.
        mpp: µm/px along x and y, either not a number if it is not given.
        planes: The number of the page of each channel, at the first focal plane and time; None where it is elsewhere.
        magnification: Of the objective.
    """

    name: str
    size: tuple[int, int]
    channels: tuple[OmeChannel, ...]
    stack: tuple[int, int]
    mpp: tuple[float, float]
    planes: tuple[int | None, ...]
    magnification: float | None = None

    @property
    def shown_name(self) -> str:
        """Its name as a message may show it."""
        return " ".join(self.name.split())[:_SHOWN_CHARACTERS] or "without a name"


def is_ome(text: str) -> bool:
    """Return whether the description of a TIFF is OME-XML."""
    return text.lstrip("\ufeff \r\n\t").startswith("<") and _STARTS.search(text[:10_000]) is not None


def read_ome(text: str) -> list[OmeImage]:
    """Read OME-XML.

    Raises:
        ValueError: It is damaged, has entities or a document type, or leaves the description to another file.
    """
    root = _parse(text)
    if next(root.all("BinaryOnly"), None) is not None:
        raise ValueError("the description of its images lies in another file")
    powers = {
        objective.get("ID"): objective.number("NominalMagnification")
        for instrument in root.all("Instrument")
        for objective in instrument.all("Objective")
    }
    images: list[OmeImage] = []
    for image in root.all("Image"):
        for pixels in image.all("Pixels"):
            # Files by the usual recipe of libvips do not say where planes are: they follow each other.
            start = sum(len(before.planes) * math.prod(before.stack) for before in images)
            images.append(_image(image, pixels, root.get("UUID"), powers, start))
    return images


@dataclass
class _Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: "list[_Element]" = field(default_factory=list)

    def all(self, tag: str) -> "Iterator[_Element]":
        return (child for child in self.children if child.tag == tag)

    def get(self, name: str) -> str:
        return self.attributes.get(name, "")

    def number(self, name: str) -> float:
        try:
            return float(self.get(name))
        except ValueError:
            return math.nan

    def whole(self, name: str, default: int) -> int:
        number = self.number(name)
        return int(number) if 0 <= number < 2**31 else default


def _image(image: _Element, pixels: _Element, own: str, powers: dict[str, float], start: int) -> OmeImage:
    channels = tuple(_channel(channel) for channel in pixels.all("Channel"))
    declared = max(1, pixels.whole("SizeC", 1))
    if sum(channel.samples for channel in channels) != declared:  # of a file that lists no channels, or not all
        channels = (OmeChannel(),) * min(declared, _MOST_DEPTH)
    stack = max(1, pixels.whole("SizeZ", 1)), max(1, pixels.whole("SizeT", 1))
    power = next((powers.get(used.get("ID"), math.nan) for used in image.all("ObjectiveSettings")), math.nan)
    return OmeImage(
        name=image.get("Name"),
        size=(pixels.whole("SizeX", 0), pixels.whole("SizeY", 0)),
        channels=channels,
        stack=stack,
        mpp=(_um(pixels, "PhysicalSizeX"), _um(pixels, "PhysicalSizeY")),
        planes=_planes(pixels, len(channels), stack, own, start),
        magnification=power if 0 < power < 1000 else None,
    )


def _channel(channel: _Element) -> OmeChannel:
    colour = channel.number("Color")  # RGBA, as a whole number with a sign
    emits = any(channel.get(name) for name in ("Fluor", "EmissionWavelength"))
    return OmeChannel(
        name=channel.get("Name"),
        samples=max(1, channel.whole("SamplesPerPixel", 1)),
        colour=None if math.isnan(colour) or not abs(colour) < 2**33 else (int(colour) >> 8) & 0xFFFFFF,
        emits=emits or channel.get("ContrastMethod") == "Fluorescence",
    )


def _um(pixels: _Element, name: str) -> float:
    size = pixels.number(name) * _UM.get(pixels.get(f"{name}Unit") or "µm", math.nan)
    return size if size > 0 else math.nan


def _planes(pixels: _Element, channels: int, stack: tuple[int, int], own: str, start: int) -> tuple[int | None, ...]:
    """Find the page of each channel by the blocks of TiffData, each of which lists planes that follow each other.

    Without any, they are all planes, from page `start` on.
    """
    sizes = {"Z": stack[0], "C": channels, "T": stack[1]}
    order = [axis for axis in pixels.get("DimensionOrder")[2:] if axis in sizes]
    order += [axis for axis in "CZT" if axis not in order]
    found: dict[int, int] = {}
    every = {"IFD": str(start), "PlaneCount": str(channels * math.prod(stack))}
    for block in list(pixels.all("TiffData")) or [_Element("TiffData", every)]:
        of = next((uuid.text.strip() for uuid in block.all("UUID")), own)
        if of != own and own:
            continue  # a plane in another file
        place, step = 0, 1
        for axis in order:
            place += block.whole(f"First{axis}", 0) * step
            step *= sizes[axis]
        page = block.whole("IFD", 0)
        count = block.whole("PlaneCount", 1 if "IFD" in block.attributes else step)
        for number in range(min(count, step - place, _MOST_PLANES)):
            at = _position(place + number, order, sizes)
            if at["Z"] == at["T"] == 0:
                found.setdefault(at["C"], page + number)
    return tuple(found.get(channel) for channel in range(channels))


def _position(place: int, order: list[str], sizes: dict[str, int]) -> dict[str, int]:
    at = {}
    for axis in order:
        place, at[axis] = divmod(place, sizes[axis])
    return at


def _parse(text: str) -> _Element:
    document = _Element("", {})
    within, elements = [document], 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal elements
        elements += 1
        if elements > _MOST_ELEMENTS or len(within) > _MOST_DEPTH:
            raise ValueError("too much of it")
        element = _Element(tag.rpartition(":")[2], attributes)
        if element.tag in _KEPT:
            within[-1].children.append(element)
        within.append(element)

    def end(_tag: str) -> None:
        within.pop()

    def data(text: str) -> None:
        if len(within[-1].text) < 1000:
            within[-1].text += text[:1000]

    parser = guarded_parser(start=start, end=end, text=data, encoding="utf-8")
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise ValueError(f"not valid XML: {error}") from error
    root = next(document.all("OME"), None)
    if root is None:
        raise ValueError("no OME element")
    return root
