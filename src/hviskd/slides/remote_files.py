"""Reads from servers by fsspec: what a slide's file is like, parts of it, all of it, and which are in a folder.

What a library says of an error is never passed on, since it may hold addresses with keys in them.
"""

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hviskd.errors import DataError
from hviskd.slides.remote_path import SCHEMES, RemotePath

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_FULL = (errno.ENOSPC, errno.EDQUOT)
_VERSION = ("ETag", "etag", "md5Hash", "crc32c", "generation", "VersionId", "Last-Modified", "LastModified", "updated")
_MODIFIED = ("LastModified", "Last-Modified", "mtime", "updated")
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"use_listings_cache": False},
    "gs": {"use_listings_cache": False},
    "https": {"client_kwargs": {"trust_env": True}},  # proxies, and passwords from ~/.netrc
    "http": {"client_kwargs": {"trust_env": True}},
}


@dataclass(frozen=True)
class RemoteFacts:
    """What a server says of a file.

    Attributes:
        bytes: Its size.
        modified_ns: When it was last changed, in ns; 0 if the server does not say.
        version: A digest that changes when the file does.
    """

    bytes: int
    modified_ns: int
    version: str


def require_reader(path: RemotePath) -> None:
    """Raise if the library is missing that reads from such servers.

    Raises:
        DataError: It is.
    """
    library = SCHEMES[path.scheme]
    if find_spec(library) is None:
        install = "gcsfs" if library == "gcsfs" else "'hviskd[remote]'"
        raise DataError(f"{path}: reading {path.scheme}:// needs {library}; pip install {install}")


def look(path: RemotePath) -> RemoteFacts:
    """Ask the server for a file's size and version.

    Raises:
        OSError: There is no such file, it may not be read, or the server cannot be reached.
        DataError: It is a folder, or the server does not say its size.
    """
    with _reaching(path) as files:
        info = files.info(str(path))
    if info.get("type") == "directory":
        raise DataError(f"{path}: a folder, not a slide")
    if info.get("size") is None:
        raise DataError(f"{path}: the server does not say how large it is; download it yourself")
    told = "\n".join(f"{key} {info[key]}" for key in _VERSION if info.get(key))
    version = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()
    stamps = (_ns(info[key]) for key in _MODIFIED if info.get(key))
    return RemoteFacts(int(info["size"]), next(stamps, 0), version)


def read_range(path: RemotePath, start: int, end: int) -> bytes | None:
    """Read the bytes from `start` to `end` of a file; None if the server only sends whole files.

    Raises:
        OSError: They cannot be read.
    """
    with _reaching(path) as files:
        if path.scheme in ("s3", "gs"):
            return bytes(files.cat_file(str(path), start=start, end=end))
        with files.open(str(path), "rb", cache_type="none") as stream:
            try:
                stream.seek(start)
                return bytes(stream.read(end - start))
            except ValueError:  # raised before more than these bytes are in memory
                return None


def download(path: RemotePath, place: Path) -> None:
    """Copy a file to a place on this computer.

    Raises:
        OSError: It cannot be read, or not be written here.
    """
    with _reaching(path) as files:
        files.get_file(str(path), str(place))


def list_folder(path: RemotePath, *, recursive: bool) -> list[RemotePath]:
    """Return the files in a folder, sorted, except hidden ones.

    Raises:
        OSError: The server cannot be reached.
        DataError: Servers of this kind list no folders.
    """
    if path.scheme not in ("s3", "gs"):
        raise DataError(
            f"{path}: no name of a slide, and folders are listed on s3:// and gs:// alone; list URLs in a CSV"
        )
    with _reaching(path) as files:
        names = files.find(str(path), maxdepth=None if recursive else 1)
    base = len(path.parts) - 1
    parts = [name.split("/") for name in sorted(names)]
    return [
        RemotePath(f"{path.scheme}:/{'/'.join(each)}")
        for each in parts
        if not any(part.startswith(".") for part in each[base:])
    ]


def _ns(stamp: object) -> int:
    try:
        if isinstance(stamp, str):
            stamp = datetime.fromisoformat(stamp) if stamp[:1].isdigit() else parsedate_to_datetime(stamp)
    except ValueError:
        return 0
    seconds = stamp.timestamp() if isinstance(stamp, datetime) else float(str(stamp))
    return round(seconds * 1e9)


@contextmanager
def _reaching(path: RemotePath) -> Iterator["AbstractFileSystem"]:
    """Yield what reads from a server, and turn whatever is raised into one line without addresses and keys."""
    require_reader(path)
    import fsspec

    try:
        yield fsspec.filesystem(path.scheme, **_OPTIONS[path.scheme])
    except Exception as error:  # noqa: BLE001 - each library raises its own, with anything in their words
        raise _told(path, error) from None


def _told(path: RemotePath, error: Exception) -> OSError:
    cause = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error
    status = getattr(cause, "status", None)  # of HTTP
    if isinstance(cause, OSError) and cause.errno in _FULL:
        return OSError(cause.errno, "the disk is full", str(path))
    if status in (401, 403) or isinstance(cause, PermissionError):
        return OSError(errno.EACCES, "access denied; check the credentials in the environment", str(path))
    if "Credentials" in type(cause).__name__:
        return OSError(errno.EACCES, "no complete credentials in the environment (docs/slides.md)", str(path))
    if status in (404, 410) or isinstance(cause, FileNotFoundError) or type(cause).__name__ == "NoSuchBucket":
        return OSError(errno.ENOENT, "no such file on the server", str(path))
    kind = type(cause).__name__
    return OSError(
        errno.EIO, f"the server cannot be read ({kind}); check the network, and repeat the command", str(path)
    )
