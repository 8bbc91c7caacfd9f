"""The files of the viewer's page, read once: what is asked for by name is looked up here, never on the disk."""

from importlib.resources import files
from typing import NamedTuple

from hviskd.colours import PALETTE
from hviskd.errors import DataError

_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_COLOURS = ("black", "blue", "vermilion", "green", "pink", "orange", "sky", "ochre", "yellow")


class PageFile(NamedTuple):
    """A file's content, and its media type."""

    content: bytes
    kind: str


def read_page() -> dict[str, PageFile]:
    """Return the files of the page by name.

    Raises:
        DataError: OpenSeadragon is missing: the package was not installed but taken from a checkout.
    """
    folder = files("hviskd.viewer") / "page"
    library = folder / "openseadragon" / "openseadragon.min.js"
    if not library.is_file():
        raise DataError("this installation lacks OpenSeadragon, which shows slides; install hviskd again with pip")
    found = {"openseadragon.js": PageFile(library.read_bytes(), _KINDS["js"])}
    for entry in folder.iterdir():
        suffix = entry.name.rpartition(".")[2]
        if entry.is_file() and suffix in _KINDS:
            found[entry.name] = PageFile(entry.read_bytes(), _KINDS[suffix])
    palette = "".join(f"--{name}: {colour};" for name, colour in zip(_COLOURS, PALETTE, strict=True))
    found["palette.css"] = PageFile(f":root {{{palette}}}\n".encode(), _KINDS["css"])
    return found
