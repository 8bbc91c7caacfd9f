"""The path of a slide on a server: a URL that passes for a path wherever slides are listed, named and counted."""

import errno
import re
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hviskd.errors import DataError

SCHEMES = {"s3": "s3fs", "gs": "gcsfs", "https": "aiohttp", "http": "aiohttp"}  # and what reads them
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_IN_PARTS = (".mrxs", ".dcm", ".vms", ".vmu")

if TYPE_CHECKING:
    _Base = Path
else:
    _Base = type(Path())


class RemotePath(_Base):
    """A URL as a path: its name, stem, suffix and parent are those of a file, and it prints as the URL.

    The operating system knows no file by this path, until `kept_at` says where a copy of it is.
    """

    _copy: Path | None = None

    def __str__(self) -> str:
        """Return the URL."""
        scheme, *others = self.parts
        return f"{scheme}//{'/'.join(others)}"

    def __fspath__(self) -> str:
        """Return the place of the copy that is kept here."""
        return str(self) if self._copy is None else str(self._copy)

    @property
    def scheme(self) -> str:
        """Which kind of server it is on, one of `SCHEMES`."""
        return self.parts[0].removesuffix(":")

    @property
    def in_parts(self) -> bool:
        """Whether a slide of this name consists of several files."""
        return self.suffix.lower() in _IN_PARTS

    @property
    def has_copy(self) -> bool:
        """Whether readers find a copy of it here."""
        return self._copy is not None

    def kept_at(self, copy: Path) -> Self:
        """Return this path for whoever reads the copy."""
        kept = type(self)(*self.parts)
        kept._copy = copy
        return kept

    def is_absolute(self) -> bool:
        """Return True: it is the same from every folder."""
        return True

    def absolute(self) -> Self:
        """Return the path, which is the same from every folder."""
        return self

    def resolve(self, strict: bool = False) -> Self:
        """Return the path, which is no link."""
        return self

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Refuse: nothing is ever written to a server.

        Raises:
            OSError: Always.
        """
        raise OSError(errno.EROFS, "nothing is written to servers", str(self))


def as_remote(path: Path | str) -> RemotePath | None:
    """Return the path of a URL, which may have lost a slash by passing for a path; None for a file of this computer.

    Raises:
        DataError: The URL is of another kind, or carries what must not be written to any output.
    """
    if isinstance(path, RemotePath):
        return path
    found = _SCHEME.match(str(path))
    if found is None or Path(found[0]).exists():  # a folder here, called so
        return None
    scheme = found[1].lower()
    if scheme not in SCHEMES:
        raise DataError(f"{scheme}://…: slides are read from {', '.join(each + '://' for each in SCHEMES)} or files")
    place = str(path)[found.end() :].lstrip("/")
    host, _, rest = place.partition("/")
    shown = f"{scheme}://{re.split('[?#]', host.rpartition('@')[2])[0]}/…"
    if "@" in host:
        raise DataError(f"{shown}: remove user name and password, and give them in the environment (docs/slides.md)")
    if "?" in place or "#" in place:
        raise DataError(
            f"{shown}: remove what follows the name, from ? or # on, and give credentials in the environment "
            "(docs/slides.md); signed links are not accepted, since paths of slides are written to results"
        )
    if not rest.strip("/") and scheme not in ("s3", "gs"):
        raise DataError(f"{shown}: names no file")
    return RemotePath(f"{scheme}:/{place}")
