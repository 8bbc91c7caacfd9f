"""Reads XML annotations of other programs, however large or damaged.

Vertices, which are most of a file, are kept as two numbers each; of the rest only what a reader looks at is kept.
"""

import codecs
from array import array
from pathlib import Path
from xml.parsers import expat

import numpy as np

from hviskd.csv_table import decimal
from hviskd.errors import DataError
from hviskd.guarded_xml import DocumentTypeError, guarded_parser
from hviskd.storage import require_smaller

FILE_LIMIT_BYTES = 256 * 2**20
ELEMENT_LIMIT = 1_000_000  # without the vertices, at about 600 bytes each
POINT_LIMIT = 9_000_000
DEPTH_LIMIT = 30
TEXT_LIMIT = 1000  # characters of a text or a value; what is longer is no label
PIECE_BYTES = 2**20
TAG_LIMIT_BYTES = 8 * PIECE_BYTES  # of one tag or comment, since expat parses it again with each piece until it ends

_TOO_MUCH = "more objects and vertices than memory has room for; export fewer objects at a time"
_POINTS = frozenset(("Vertex", "V", "Coordinate", "point"))  # by attributes X and Y, or by elements x and y within
_UNREAD = frozenset(("AttributeHeader", "RegionAttributeHeaders", "Comment", "Comments", "Plots"))
_READ = frozenset(
    (
        *("Name", "Value", "Type", "Text", "NegativeROA", "LineColor", "Id", "X", "Y"),  # ImageScope, HALO
        "MicronsPerPixel",
        *("PartOfGroup", "Color"),  # ASAP
        *("type", "displayname", "color"),  # NDP.view
    )
)


class _RefusedError(Exception):
    """Raised by the parser's handlers where a file goes beyond what an annotation needs."""


class Element:
    """An element of a document.

    Attributes:
        tag: Its name.
        attributes: Those that a reader looks at, by name, as they are written.
        text: What stands directly in it, at most 1000 characters.
        children: The elements in it, but for vertices.
    """

    __slots__ = ("_points", "attributes", "children", "tag", "text")

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes, self.text = tag, attributes, ""
        self.children: list[Element] = []
        self._points: array[float] | None = None

    def all(self, tag: str) -> list["Element"]:
        """Return the children of a name."""
        return [child for child in self.children if child.tag == tag]

    def within(self, *tags: str) -> list["Element"]:
        """Return the descendants on a path of names: child, grandchild and so on."""
        found = [self]
        for tag in tags:
            found = [child for element in found for child in element.all(tag)]
        return found

    def value(self, tag: str) -> str:
        """Return the text of the first child of a name; empty if there is none."""
        return next((child.text.strip() for child in self.children if child.tag == tag), "")

    def add_point(self, x: str, y: str) -> None:
        """Store a vertex; a coordinate that is not a number becomes NaN."""
        if self._points is None:
            self._points = array("d")
        self._points.extend((decimal(x), decimal(y)))

    @property
    def points(self) -> np.ndarray:
        """(N, 2) float64: the vertices in it or in its children, as they are written."""
        kept = [each._points for each in (self, *self.children) if each._points is not None]
        return np.concatenate([np.empty((0, 2)), *(np.frombuffer(points).reshape(-1, 2) for points in kept)])


def is_xml(start: bytes) -> bool:
    """Return whether a file that begins so is XML, in any encoding."""
    for mark in (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        start = start.removeprefix(mark)
    return start.replace(b"\0", b"").lstrip().startswith(b"<")


def read_xml(path: Path) -> Element:
    """Read an XML file that may be damaged or hostile, and return its root.

    Text that is not in the encoding the file claims is read as UTF-8 if it is that, or else as Windows-1252.

    Raises:
        DataError: The file is over 256 MiB, not XML, has entities or a document type, is nested too deeply, or holds
            more than memory has room for.
    """
    require_smaller(path, FILE_LIMIT_BYTES, "; export fewer objects at a time")
    content = path.read_bytes().lstrip()  # some files begin with a line break before the declaration
    try:
        try:
            return _parse(content)
        except (expat.ExpatError, LookupError) as error:
            code, is_utf8 = getattr(error, "code", None), _is_utf8(content)
            if code not in _OF_ENCODING or (code == _INVALID and is_utf8):
                raise
            return _parse(content, "utf-8" if is_utf8 else "windows-1252")
    except _RefusedError as error:
        raise DataError(f"{path}: {error}") from error
    except DocumentTypeError as error:
        raise DataError(f"{path}: has {error}, which no annotation needs; export it again") from error
    except (expat.ExpatError, ValueError) as error:
        raise DataError(f"{path}: not valid XML ({error}); export it again") from error


_INVALID = expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]
_OF_ENCODING = (
    None,  # Python knows no encoding of that name
    _INVALID,
    expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING],
    expat.errors.codes[expat.errors.XML_ERROR_INCORRECT_ENCODING],
)


def _parse(content: bytes, encoding: str | None = None) -> Element:
    tree = _Tree()
    parser = guarded_parser(start=tree.start, end=tree.end, text=tree.text, encoding=encoding)
    whole = memoryview(content)
    for start in range(0, len(content), PIECE_BYTES):
        parser.Parse(whole[start : start + PIECE_BYTES], False)
        if start + PIECE_BYTES - parser.CurrentByteIndex > TAG_LIMIT_BYTES:
            raise _RefusedError(f"a tag or comment of over {TAG_LIMIT_BYTES // 2**20} MiB, so not an annotation")
    parser.Parse(b"", True)
    assert tree.root is not None  # or the parser would have complained
    return tree.root


def _is_utf8(content: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(content), PIECE_BYTES):
            decoder.decode(content[start : start + PIECE_BYTES])
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return False
    return True


class _Tree:
    """Builds the elements as the parser meets them."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._elements = self._points = 0
        self._vertex = Element("Vertex", {})  # stands for each that is open

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) == DEPTH_LIMIT:
            raise _RefusedError("nested too deeply, so not an annotation")
        if tag in _POINTS and "X" in attributes and self._open:  # the short way, for there are millions
            self._count_point()
            self._open[-1].add_point(attributes["X"], attributes.get("Y", ""))
            self._open.append(self._vertex)
            return
        kept = {name: value[: TEXT_LIMIT + 1] for name, value in attributes.items() if name in _READ}
        self._open.append(Element(tag, kept))

    def text(self, text: str) -> None:
        element = self._open[-1]
        if len(element.text) < TEXT_LIMIT:
            element.text += text[: TEXT_LIMIT - len(element.text)]

    def end(self, _tag: str) -> None:
        element = self._open.pop()
        if element is self._vertex:
            return
        parent = self._open[-1] if self._open else None
        if parent is None:
            self.root = element
        elif element.tag in _POINTS:
            self._count_point()
            parent.add_point(element.value("x"), element.value("y"))
        elif element.tag not in _UNREAD and (parent.tag not in _POINTS or len(parent.children) < 2):
            self._elements += parent.tag not in _POINTS
            parent.children.append(element)
        if self._elements > ELEMENT_LIMIT:
            raise _RefusedError(_TOO_MUCH)

    def _count_point(self) -> None:
        self._points += 1
        if self._points > POINT_LIMIT:
            raise _RefusedError(_TOO_MUCH)
