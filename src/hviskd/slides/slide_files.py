"""The files that make up a slide, and fingerprints of slides."""

import hashlib
import os
from pathlib import Path

from hviskd.slides.dicom_files import same_series

_SAMPLE_BYTES = 65_536
_WITH_FOLDER = (".mrxs",)  # the pixels lie in a folder of the slide's name
_WITH_NEIGHBOURS = (".dcm", ".vms", ".vmu")  # the pixels lie in files beside it


def slide_fingerprint(path: Path | str) -> str:
    """Return a digest that identifies a slide, wherever it is: of the size, beginning, middle and end of its files.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for file in _files_of(Path(path)):
        size = file.stat().st_size
        digest.update(str(size).encode())
        with file.open("rb") as stream:
            for start in (0, size // 2, max(0, size - _SAMPLE_BYTES)):
                stream.seek(start)
                digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def changed_at(path: Path) -> int:
    """Return the latest modification time of a slide's files, in ns.

    Raises:
        OSError: A file cannot be read.
    """
    return max(file.stat().st_mtime_ns for file in _files_of(path))


def slide_bytes(path: Path) -> int:
    """Return the size of a slide's files together.

    Raises:
        OSError: A file cannot be read.
    """
    return sum(file.stat().st_size for file in _files_of(path))


def known_bytes(path: Path) -> int:
    """Return the size of a slide's files together; 0 where they cannot be read, which the slide will say itself."""
    try:
        return slide_bytes(path)
    except OSError:
        return 0


def place_digest(path: Path) -> str:
    """Return eight hexadecimal digits that stand for a file's location without revealing it."""
    return hashlib.blake2b(os.fsencode(path.resolve()), digest_size=4).hexdigest()


def _files_of(path: Path) -> list[Path]:
    suffix = path.suffix.lower()
    if suffix in _WITH_FOLDER and path.with_suffix("").is_dir():
        return [path, *sorted(file for file in path.with_suffix("").iterdir() if file.is_file())]
    if suffix in _WITH_NEIGHBOURS:
        beside = sorted(file for file in path.parent.iterdir() if file.is_file() and file != path)
        return [path, *(same_series(path, beside) if suffix == ".dcm" else beside)]
    return [path]
