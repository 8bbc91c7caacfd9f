"""Finds the files of CIFAR-100 in a folder or an archive, and limits how much is read."""

import gzip
import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hviskd.errors import DataError

if TYPE_CHECKING:
    from typing_extensions import Buffer

_EDITIONS = {
    "cifar-100-python": ("meta", "test", "train"),
    "cifar-100-binary": ("coarse_label_names.txt", "fine_label_names.txt", "test.bin", "train.bin"),
}
_FILES = [name for names in _EDITIONS.values() for name in names]
_LIMIT_BYTES = 256 * 2**20  # unpacked; the original is 178 MiB
_GZIP_MAGIC = b"\x1f\x8b"


class _Limited(io.RawIOBase):
    """A stream that raises an error beyond the size that a genuine archive can have."""

    def __init__(self, stream: io.BufferedIOBase, archive: Path) -> None:
        self._stream, self._archive, self._left = stream, archive, _LIMIT_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        count = self._stream.readinto(buffer)
        self._left -= count
        if self._left < 0:
            raise _too_large(self._archive)
        return count


def read_cifar_files(archive: Path) -> dict[str, bytes]:
    """Read the files of CIFAR-100's Python or binary version, from its archive or from a folder.

    Returns:
        `train`, `test` and `meta`, or `train.bin`, `test.bin`, `fine_label_names.txt` and `coarse_label_names.txt`.

    Raises:
        DataError: The archive is damaged or far too large, or a file is missing.
    """
    files = _from_folder(archive) if archive.is_dir() else _from_tar(archive)
    edition = max(_EDITIONS.values(), key=lambda names: sum(name in files for name in names))
    missing = [name for name in edition if name not in files]
    if missing:
        raise DataError(
            f"{archive}: lacks {' and '.join(missing)}; give cifar-100-python.tar.gz or the folder it unpacks to"
        )
    return {name: files[name] for name in edition}


def _from_folder(folder: Path) -> dict[str, bytes]:
    inner = next((folder / name for name in _EDITIONS if (folder / name).is_dir()), folder)
    paths = [path for name in _FILES if (path := inner / name).is_file()]
    if sum(path.stat().st_size for path in paths) > _LIMIT_BYTES:
        raise _too_large(folder)
    return {path.name: path.read_bytes() for path in paths}


def _from_tar(archive: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with archive.open("rb") as packed:
            magic = packed.read(2)
            packed.seek(0)
            with (
                gzip.open(packed) if magic == _GZIP_MAGIC else packed as unpacked,
                tarfile.open(fileobj=_Limited(unpacked, archive), mode="r|") as members,
            ):
                for member in members:
                    stream = members.extractfile(member) if member.isreg() else None
                    name = PurePosixPath(member.name).name
                    if stream is not None and name in _FILES:
                        files.setdefault(name, stream.read())
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{archive}: not a readable archive ({error}); give cifar-100-python.tar.gz") from error
    return files


def _too_large(archive: Path) -> DataError:
    return DataError(f"{archive}: more than {_LIMIT_BYTES // 2**20} MiB unpacked, so not CIFAR-100")
