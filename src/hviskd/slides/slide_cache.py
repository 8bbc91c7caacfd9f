"""Keeps copies of slides from servers in the user's cache folder, within a bounded size, shared by all processes.

A slide is copied whole before it is opened. Each copy is a folder of its own, named after URL, version and size: what
changes on the server is copied again. Whoever has it open holds a claim in it, and what is claimed is never deleted.
"""

import errno
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from hviskd.claims import Claims, any_claimed
from hviskd.errors import DataError
from hviskd.slides.remote_files import download, look
from hviskd.slides.remote_path import RemotePath
from hviskd.storage import atomic_file, cache_folder, fingerprint

SIZE_VARIABLE = "HVISKD_SLIDE_CACHE_GB"
DEFAULT_GB = 50.0
_CLAIMS, _IN_USE, _ROOM = ".claims", ".in-use", "room"


def borrow(path: RemotePath) -> tuple[RemotePath, Callable[[], None]]:
    """Return a slide's path for readers of its copy, and what to call when they are done.

    Raises:
        OSError: The slide cannot be read, or its copy not be written.
        DataError: It consists of several files, or there is no room for it.
    """
    if path.in_parts:
        raise DataError(
            f"{path}: consists of several files, which are not read from servers; copy them to this computer"
        )
    facts = look(path)
    if not facts.bytes:
        raise DataError(f"{path}: empty; copy or download it again")
    limit = limit_bytes()
    entry = slides_folder() / f"{fingerprint(str(path), facts.version)}-{facts.bytes}"
    copy = entry / f"slide{path.suffix}"
    with ExitStack() as held:
        with _writing(path), Claims(entry.parent / _CLAIMS) as turns:
            with turns.holding(_ROOM):
                _make_room(entry, path, limit)
                held.enter_context(Claims(entry / _IN_USE)).take(uuid4().hex)
                os.utime(entry)
            with turns.holding(entry.name):  # whoever wants the same slide waits for the one who copies it
                if not copy.is_file():
                    _fetch(path, copy, facts.bytes)
        return path.kept_at(copy), held.pop_all().close


def slides_folder() -> Path:
    """Return the folder of the copies."""
    return cache_folder() / "slides"


def limit_bytes() -> int:
    """Return how many bytes all copies may take, as HVISKD_SLIDE_CACHE_GB says.

    Raises:
        DataError: It is not a positive number.
    """
    said = os.environ.get(SIZE_VARIABLE) or str(DEFAULT_GB)
    try:
        size_gb = float(said)
    except ValueError:
        size_gb = math.nan
    if not 0 < size_gb < math.inf:
        raise DataError(f"{SIZE_VARIABLE}={said}: must be a positive number of gigabytes")
    return round(size_gb * 1e9)


def _fetch(path: RemotePath, copy: Path, expected: int) -> None:
    with atomic_file(copy) as partial:
        download(path, partial)
        if partial.stat().st_size != expected:
            raise OSError(errno.EIO, "changed or cut off while it was copied; repeat the command", str(path))


def _make_room(entry: Path, path: RemotePath, limit: int) -> None:
    """Delete what was used least recently until a slide fits; what is in use stays."""
    size = _bytes_of(entry)
    others = []
    for each in entry.parent.iterdir():
        if each == entry or each.name.startswith("."):
            continue
        if any_claimed(each / _IN_USE):
            others.append((math.inf, each))
        elif any(each.glob("slide*")):
            others.append((each.stat().st_mtime, each))
        else:
            shutil.rmtree(each)  # the process that copied it was killed
    taken = sum(_bytes_of(each) for _, each in others)
    here = any(entry.glob("slide*"))
    for used, each in sorted(others):
        fits_disk = here or shutil.disk_usage(entry.parent).free >= size
        if (taken + size <= limit and fits_disk) or used == math.inf:
            break
        shutil.rmtree(each)
        taken -= _bytes_of(each)
    if taken + size > limit and not here:
        raise DataError(
            f"{path}: no room for its {size / 1e9:.2g} GB: copies of slides may take {limit / 1e9:g} GB, of which "
            f"{taken / 1e9:.2g} GB are open; raise {SIZE_VARIABLE}"
        )
    entry.mkdir(exist_ok=True)


def _bytes_of(entry: Path) -> int:
    size = entry.name.rpartition("-")[2]
    return int(size) if size.isdigit() else 0


@contextmanager
def _writing(path: RemotePath) -> Iterator[None]:
    """Say of errors of the cache folder where it is and what to do."""
    try:
        yield
    except OSError as error:
        if error.filename == str(path) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise  # of the server
        advice = f"free disk space, lower {SIZE_VARIABLE}, or set HVISKD_CACHE to another folder"
        said = f"cannot be copied to {slides_folder()} ({os.strerror(error.errno or errno.EIO)}); {advice}"
        raise OSError(error.errno or errno.EIO, said, str(path)) from None
