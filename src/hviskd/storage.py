"""Writes files and folders so that nothing incomplete is ever left under its final name.

Whatever is written stands beside its place under a temporary name, is flushed to the disk, and is moved
into place in one step. A process killed at any moment leaves the old content, the new content, or stray
`.partial-…` names that nothing reads; where a full folder is replaced, for a moment neither stands under its name.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hviskd.errors import DataError, OutputError

JSON_LIMIT_BYTES = 64 * 2**20  # our own cards are kilobytes; more is damage or malice
_UMASK = os.umask(0)  # it can only be read by setting it, which is no thing to do beside other threads
os.umask(_UMASK)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; if the block ends without an error, it is renamed to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path):
        handle, name = tempfile.mkstemp(prefix=f".partial-{path.name}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o666 & ~_UMASK)  # mkstemp's 0600 would shut out the rest of a group
        _flush(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _flush(path.parent)


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False, replaces: tuple[str, str] | None = None) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; if the block ends without an error, it is renamed to `path`.

    What makes a folder free, and what is raised where it is not: `require_free`.
    """
    require_free(path, overwrite=overwrite, replaces=replaces)
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path):
        partial = Path(tempfile.mkdtemp(prefix=f".partial-{path.name}-", dir=path.parent))
    try:
        yield partial
        partial.chmod(0o777 & ~_UMASK)
        for entry in partial.rglob("*"):
            _flush(entry)
        _flush(partial)
        if path.is_dir() and any(path.iterdir()):
            old = Path(tempfile.mkdtemp(prefix=f".partial-{path.name}-", dir=path.parent))
            path.replace(old)
            partial.replace(path)
            shutil.rmtree(old)
        else:
            partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _flush(path.parent)


@contextmanager
def naming(place: Path) -> Iterator[None]:
    """Let an OSError about a temporary name tell of the place that it stands for, which the user knows."""
    try:
        yield
    except OSError as error:
        error.filename = str(place)
        raise


def require_free(path: Path, *, overwrite: bool = False, replaces: tuple[str, str] | None = None) -> None:
    """Raise if a folder may not be written; also for use before long work.

    Args:
        path: The folder; it may be written if it does not exist or is empty.
        overwrite: Whether its content may be replaced.
        replaces: The file that identifies a folder that may be replaced, and the name of its content. Other folders
            are a user's own work and are never replaced.

    Raises:
        DataError: `path` is a file, or is not empty and `overwrite` is not set or it lacks the identifying file.
        OSError: Nothing can be written there.
    """
    if path.is_file():
        raise DataError(f"{path}: is a file; choose another folder")
    _require_writable(path)
    if not path.is_dir() or not any(path.iterdir()):
        return
    if not overwrite:
        raise DataError(f"{path}: already exists; choose another folder or pass `overwrite=True`")
    if replaces is not None and not (path / replaces[0]).is_file():
        raise DataError(f"{path}: contains no {replaces[1]}, so it is not replaced; choose another folder")


def require_free_file(path: Path, *, overwrite: bool = False) -> None:
    """Raise if a file may not be written; also for use before long work.

    Raises:
        DataError: `path` is a folder, or a file and `overwrite` is not set.
        OSError: Nothing can be written there.
    """
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name a file")
    if path.exists() and not overwrite:
        raise DataError(f"{path}: already exists; choose another name or pass `overwrite=True`")
    _require_writable(path)


def _require_writable(path: Path) -> None:
    """Try to write into a folder, or where it or a file will stand; permissions alone say too little on many disks."""
    there = next(place for place in (path.absolute(), *path.absolute().parents) if place.is_dir())
    with naming(path), tempfile.TemporaryFile(dir=there):
        pass


@contextmanager
def writing_to(place: Path, advice: str) -> Iterator[None]:
    """Distinguish a full disk from unreadable input.

    Args:
        place: The file or folder being written.
        advice: What to do, for the message.

    Raises:
        OutputError: The block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"{place}: cannot be written to ({error.strerror or error}); {advice}") from error


def cache_folder() -> Path:
    """Return the user's cache folder: HVISKD_CACHE, or the platform's usual place."""
    if os.environ.get("HVISKD_CACHE"):
        return Path(os.environ["HVISKD_CACHE"])
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "hviskd" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "hviskd"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "hviskd"


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text in one step; characters that UTF-8 cannot encode become `?`."""
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="replace")


def write_json(path: Path, content: Any) -> None:
    """Write JSON in one step; NaN and infinity are rejected, since JSON cannot represent them."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_once(path: Path, text: str) -> None:
    """Write UTF-8 text in one step unless the file is there; of several processes on any computers, the first does.

    Where the file system knows no hard links, the last of those that begin together does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".partial-{path.name}-"
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=prefix) as partial:
        partial.write(text)
        partial.flush()
        os.fsync(partial.fileno())
        Path(partial.name).chmod(0o666 & ~_UMASK)
        try:
            os.link(partial.name, path)
        except FileExistsError:
            return
        except OSError:
            write_text(path, text)


def read_json(path: Path) -> Any:
    """Read a JSON file of limited size.

    Raises:
        DataError: The file is missing, larger than 64 MiB, or not JSON.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    require_smaller(path, JSON_LIMIT_BYTES, ", so not a card written by hviskd")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON ({error}); copy or make it again") from error


def require_smaller(path: Path, limit_bytes: int, otherwise: str) -> None:
    """Check the size of a file before it is read.

    Args:
        path: The file.
        limit_bytes: Largest size, in whole MiB.
        otherwise: What it cannot be, or what to do, for the message.

    Raises:
        DataError: The file is larger.
    """
    if path.stat().st_size > limit_bytes:
        raise DataError(f"{path}: larger than {limit_bytes // 2**20} MiB{otherwise}")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, as lower-case hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(*content: object) -> str:
    """Return a fingerprint of 32 hexadecimal digits for a JSON value."""
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def _flush(path: Path) -> None:
    """Flush a file or a folder's entries to disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # Windows flushes what may be written to
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
