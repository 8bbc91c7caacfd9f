"""Arrays on disk, written row by row so that a killed writer goes on, and read entry by entry without a memory map."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hviskd.errors import DataError

_PARTIAL = ".partial"


class GrowingArray:
    """A `.npy` file of known shape that gets its rows one after another, and its name with the last.

    Args:
        path: Its final name; until then it is called `….partial`.
        shape: (N, …) of the complete array.
        dtype: Of its entries.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._path, self._partial = path, path.with_name(path.name + _PARTIAL)
        self._row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        self._stream = self._partial.open("a+b")
        self._dtype = dtype
        self._stream.seek(0)
        header = _header(shape, dtype)
        if self._stream.read(len(header)) != header:
            self._stream.truncate(0)
            self._stream.write(header)
        self._start = len(header)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    @property
    def rows(self) -> int:
        """Number of complete rows."""
        return (self._stream.seek(0, os.SEEK_END) - self._start) // self._row_bytes

    def tidy(self) -> None:
        """Forget a row that a killed writer left incomplete."""
        self._stream.truncate(self._start + self.rows * self._row_bytes)

    def append(self, content: NDArray[Any]) -> None:
        """Write the next rows (n, …)."""
        self._stream.write(np.ascontiguousarray(content, self._dtype).tobytes())
        self._stream.flush()

    def finish(self) -> None:
        """Give the complete array its name."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._partial.replace(self._path)


class RowReader:
    """Reads entries of a `.npy` array (N, V, …) by tile and view.

    Raises:
        DataError: The file is not the array it should be, or is cut off.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        header = _header(shape, dtype)
        self._path, self._shape, self._dtype, self._start = path, shape, dtype, len(header)
        self._entry_bytes = int(np.prod(shape[2:], dtype=np.int64)) * dtype.itemsize
        self._stream = path.open("rb", buffering=0)
        whole = len(header) + shape[0] * shape[1] * self._entry_bytes
        if self._stream.read(len(header)) != header or path.stat().st_size != whole:
            self._stream.close()
            raise DataError(f"{path}: is damaged; delete the folder it is in")

    def read(self, places: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """Return the entries (B, …) at (tile, view) places, as float32."""
        found = np.empty((len(places), *self._shape[2:]), self._dtype)
        for entry, (tile, view) in zip(found.reshape(len(places), -1), places, strict=True):
            self._stream.seek(self._start + (tile * self._shape[1] + view) * self._entry_bytes)
            if self._stream.readinto(entry.view(np.uint8).data) != self._entry_bytes:
                raise DataError(f"{self._path}: was cut off while it was in use; delete the folder it is in")
        return found.astype(np.float32, copy=False)

    def chunks(self, rows: int = 256) -> Iterator[NDArray[np.float32]]:
        """Return all entries in order, (n, …) at a time, as float32; those of `rows` tiles and all their views."""
        tiles, views = self._shape[:2]
        for start in range(0, tiles, rows):
            yield self.read([(tile, view) for tile in range(start, min(start + rows, tiles)) for view in range(views)])

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def partial_bytes(path: Path) -> int:
    """Return how much of an array is on disk while it is not complete."""
    partial = path.with_name(path.name + _PARTIAL)
    return partial.stat().st_size if partial.is_file() else 0


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return what a `.npy` file of this array begins with."""
    from io import BytesIO

    stream = BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()
