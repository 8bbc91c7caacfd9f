"""Makes the XML parser of annotations and of OME-XML: one that no short file can have grow, or read other files."""

from collections.abc import Callable
from xml.parsers import expat


class DocumentTypeError(ValueError):
    """The XML has a document type or entities, by which a short file can grow without end or name other files."""

    def __init__(self) -> None:
        super().__init__("a document type or entities")


def guarded_parser(
    *,
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None],
    text: Callable[[str], None],
    encoding: str | None = None,
) -> expat.XMLParserType:
    """Return a parser that raises `DocumentTypeError` at a document type and at entities.

    How many elements are kept, and how deep, is for its handlers to bound.

    Args:
        start: Called with the tag and the attributes of each element.
        end: Called with its tag when it ends.
        text: Called with what stands in it, perhaps in parts.
        encoding: Goes before what the XML says of itself.
    """
    parser = expat.ParserCreate(encoding)
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = _refuse
    return parser


def _refuse(*_: object) -> None:
    raise DocumentTypeError
