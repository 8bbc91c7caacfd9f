"""The tables of a map: Parquet for analysis, and a compressed npz to load the map from, without pickle."""

import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from pydantic import ValidationError

from hviskd.errors import DataError, first_problem
from hviskd.segmentation.slide_map import MapCard, SlideMap
from hviskd.storage import atomic_file

if TYPE_CHECKING:
    import pyarrow as pa

MAX_BYTES = 2**31  # of an array unpacked; ten million tiles of eight classes are a sixth of that
_CARD_BYTES = 2**22
_HEADER_BYTES = 4096
_CLOSELY = "looked_closely"  # the array that only a map with a first pass has
_CARD_KEY = b"hviskd.map"
_FAULTS = (  # of damaged files
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
    *(EOFError, OSError, ValueError, SyntaxError, RuntimeError, OverflowError),
)

_Kind = TypeVar("_Kind", bound=np.generic)


class MapArrays(NamedTuple):
    """The content of `map.npz`.

    Attributes:
        card: The map's card as JSON.
        row: int32 (N,), position of each tile on the grid, downwards.
        column: int32 (N,), likewise to the right.
        probabilities: float32 (N, K).
        looked_closely: bool (N,), after a first pass at low power; None without one.
    """

    card: str
    row: NDArray[np.int32]
    column: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    looked_closely: NDArray[np.bool_] | None = None


def write_parquet(slide_map: SlideMap, path: Path) -> Path:
    """Write one row per tile, as `SlideMap.to_dataframe` returns them, with the card in the file's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: _arrow(column) for name, column in slide_map.columns().items()}
    table = pa.table(columns, metadata={_CARD_KEY: slide_map.card.model_dump_json().encode()})
    with atomic_file(path) as partial:
        pq.write_table(table, partial, compression="zstd")
    return path


def _arrow(column: list[str] | NDArray[np.generic]) -> "pa.Array":
    """Return a column for Arrow, built from its parts: `pyarrow.array` would load pandas, which takes half a second."""
    import pyarrow as pa

    if isinstance(column, list):
        texts = [text.encode() for text in column]
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        parts = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
        return pa.Array.from_buffers(pa.large_string(), len(texts), parts)
    is_flag = column.dtype == np.bool_  # of which Arrow packs eight into a byte
    content = np.packbits(column.astype(np.bool_), bitorder="little") if is_flag else np.ascontiguousarray(column)
    return pa.Array.from_buffers(pa.from_numpy_dtype(column.dtype), len(column), [None, pa.py_buffer(content)])


def write_npz(slide_map: SlideMap, path: Path) -> Path:
    """Write a map so that `read_npz` returns it bit for bit; the same map gives the same bytes."""
    card = np.frombuffer(slide_map.card.model_dump_json().encode(), np.uint8)
    closely = slide_map.looked_closely
    with atomic_file(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(
            stream,
            card=card,
            row=slide_map.row.astype("<i4"),
            column=slide_map.column.astype("<i4"),
            probabilities=slide_map.probabilities.astype("<f4"),
            **({} if closely is None else {_CLOSELY: closely}),  # type: ignore[arg-type]
        )
    return path


def read_npz(path: Path) -> SlideMap:
    """Read a map.

    Raises:
        DataError: The file is missing, damaged, or holds no map.
    """
    arrays = read_map_arrays(path)
    try:
        card = MapCard.model_validate_json(arrays.card)
    except ValidationError as error:
        raise DataError(f"{path}: its card is not that of a map ({first_problem(error)}); segment again") from error
    try:
        return SlideMap(card, arrays.column, arrays.row, arrays.probabilities, arrays.looked_closely)
    except ValueError as error:
        raise DataError(f"{path}: not a map ({error}); segment again") from error


def read_map_arrays(path: Path, *, most_bytes: int = MAX_BYTES) -> MapArrays:
    """Read the arrays of a map, checking their sizes before anything is allocated.

    Args:
        path: The file.
        most_bytes: What an array may take in memory.

    Raises:
        DataError: The file is missing, damaged, or holds other arrays.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; segment again")
    try:
        with zipfile.ZipFile(path) as archive:
            card = _read(archive, "card", np.uint8, 1, _CARD_BYTES)
            row, column = (_read(archive, name, np.int32, 1, most_bytes) for name in ("row", "column"))
            probabilities = _read(archive, "probabilities", np.float32, 2, most_bytes)
            closely = None
            if f"{_CLOSELY}.npy" in archive.namelist():
                closely = _read(archive, _CLOSELY, np.bool_, 1, most_bytes)
            if not len(row) == len(column) == len(probabilities) == len(row if closely is None else closely):
                raise ValueError("its arrays have different lengths")
            return MapArrays(card.tobytes().decode(), row, column, probabilities, closely)
    except _FAULTS as error:
        raise DataError(f"{path}: not a readable map ({error}); copy it again or segment again") from error


def _read(archive: zipfile.ZipFile, name: str, kind: type[_Kind], dimensions: int, most_bytes: int) -> NDArray[_Kind]:
    """Read one array whose header must match its size in the archive."""
    try:
        entry = archive.getinfo(f"{name}.npy")
    except KeyError as error:
        raise ValueError(f"it has no {name}") from error
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.file_size > most_bytes:
        raise ValueError(f"{name} claims {entry.file_size} bytes, with compression {entry.compress_type}")
    with archive.open(entry) as stream:
        if npy.read_magic(stream) != (1, 0):
            raise ValueError(f"{name} has an unknown version")
        shape, fortran_order, dtype = npy.read_array_header_1_0(stream, max_header_size=_HEADER_BYTES)
        size = entry.file_size - stream.tell()
        fits = dtype == kind and not fortran_order and len(shape) == dimensions and min(shape) >= 0
        if not fits or math.prod(shape) * dtype.itemsize != size:
            raise ValueError(f"{name} is {dtype} {shape} in {size} bytes")
        content = stream.read()
    if len(content) != size:
        raise ValueError(f"{name} ends early")
    return np.frombuffer(content, kind).reshape(shape)
