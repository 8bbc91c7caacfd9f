"""The files of the viewer's page, read once: what is asked for by name is looked up here, never on the disk."""

import hashlib
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
_NAMED = ("openseadragon.js", "main.js")  # scripts that the page itself names
_COLOURS = ("black", "blue", "vermilion", "green", "pink", "orange", "sky", "ochre", "yellow")


class PageFile(NamedTuple):
    """A file's content, and its media type."""

    content: bytes
    kind: str


class Page(NamedTuple):
    """The page.

    Attributes:
        html: What a browser opens. It names its files by version, so that a browser may keep them, and all its
            modules at once: those that others import would otherwise be asked for one wave after another.
        files: All others by name.
        version: Of them all; it changes with any of them.
    """

    html: PageFile
    files: dict[str, PageFile]
    version: str


def read_page() -> Page:
    """Return the page.

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
    html = found.pop("index.html")
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(found):
        digest.update(name.encode() + b"\0" + found[name].content)
    version = digest.hexdigest()
    modules = sorted(name for name in found if name.endswith(".js") and name not in _NAMED)
    early = "".join(f'  <link rel="modulepreload" href="/page/{name}">\n' for name in modules)
    text = html.content.decode().replace("</head>", f"{early}</head>").replace('"/page/', f'"/page/{version}/')
    return Page(PageFile(text.encode(), html.kind), found, version)
