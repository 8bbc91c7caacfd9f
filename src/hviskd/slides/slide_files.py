"""The files that make up a slide, and fingerprints of slides."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from hviskd.errors import DataError
from hviskd.slides.dicom_files import same_series
from hviskd.slides.remote_path import RemotePath, as_remote

_SAMPLE_BYTES = 65_536
_WITH_FOLDER = (".mrxs",)  # the pixels lie in a folder of the slide's name
_WITH_NEIGHBOURS = (".dcm", ".vms", ".vmu")  # the pixels lie in files beside it


def slide_fingerprint(path: Path | str) -> str:
    """Return a digest that identifies a slide, wherever it is: of the size, beginning, middle and end of its files.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    remote = as_remote(path)
    if remote is not None and not remote.has_copy:
        for part in _remote_samples(remote):
            digest.update(part)
        return digest.hexdigest()
    for file in _files_of(remote or Path(path)):
        size = file.stat().st_size
        digest.update(str(size).encode())
        with file.open("rb") as stream:
            for start in _sampled_at(size):
                stream.seek(start)
                digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _sampled_at(size: int) -> tuple[int, int, int]:
    return 0, size // 2, max(0, size - _SAMPLE_BYTES)


def _remote_samples(path: RemotePath) -> Iterator[bytes]:
    """Yield what the fingerprint of a slide on a server is of: the bytes that its copy would give."""
    from hviskd.slides.remote_files import look, read_range
    from hviskd.slides.slide_cache import borrow

    size = look(path).bytes
    yield str(size).encode()
    spans = [(start, min(start + _SAMPLE_BYTES, size)) for start in _sampled_at(size)]
    parts = [read_range(path, *spans[0])]
    if parts[0] is not None:
        parts += [read_range(path, *span) for span in spans[1:]]
    if None not in parts:
        yield from (part for part in parts if part is not None)
        return
    copy, give_back = borrow(path)
    try:
        with copy.open("rb") as stream:
            for start, end in spans:
                stream.seek(start)
                yield stream.read(end - start)
    finally:
        give_back()


def changed_at(path: Path) -> int:
    """Return the latest modification time of a slide's files, in ns.

    Raises:
        OSError: A file cannot be read.
    """
    return slide_state(path)[1]


def slide_bytes(path: Path) -> int:
    """Return the size of a slide's files together.

    Raises:
        OSError: A file cannot be read.
    """
    return slide_state(path)[0]


def slide_state(path: Path) -> tuple[int, int]:
    """Return the size of a slide's files together, and their latest modification time in ns.

    Raises:
        OSError: A file cannot be read.
    """
    if (remote := as_remote(path)) is not None and not remote.has_copy:
        from hviskd.slides.remote_files import look

        facts = look(remote)
        return facts.bytes, facts.modified_ns
    states = [file.stat() for file in _files_of(path)]
    return sum(state.st_size for state in states), max(state.st_mtime_ns for state in states)


def known_bytes(path: Path) -> int:
    """Return the size of a slide's files together; 0 where they cannot be read, which the slide will say itself."""
    try:
        return slide_bytes(path)
    except (DataError, OSError):
        return 0


def place_digest(path: Path) -> str:
    """Return eight hexadecimal digits that stand for a file's location without revealing it."""
    return hashlib.blake2b(os.fsencode(str(path.resolve())), digest_size=4).hexdigest()


def _files_of(path: Path) -> list[Path]:
    suffix = path.suffix.lower()
    if suffix in _WITH_FOLDER and path.with_suffix("").is_dir():
        return [path, *sorted(file for file in path.with_suffix("").iterdir() if file.is_file())]
    if suffix in _WITH_NEIGHBOURS:
        beside = sorted(file for file in path.parent.iterdir() if file.is_file() and file != path)
        return [path, *(same_series(path, beside) if suffix == ".dcm" else beside)]
    return [path]
