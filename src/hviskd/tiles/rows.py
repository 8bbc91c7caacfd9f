"""The table of a TileSet as a Parquet file, with the record of its split in the file's metadata.

Tiles and split stand in one file so that a new split is one atomic replacement.
"""

import json
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from hviskd.errors import DataError

TABLE_FILE = "tiles.parquet"
SPLITS = ("train", "val", "test")
COLUMNS = ("file", "class", "slide", "patient", "x_px", "y_px", "side_px", "split", "digest")
SplitRecord = dict[str, JsonValue]

_WHOLE_NUMBERS = ("x_px", "y_px", "side_px")
_NEVER_NULL = ("file", "digest")
_RECORD_KEY = b"hviskd.split"


class TileSource(NamedTuple):
    """From which slide and patient a tile is, and from where on the slide; None where that is not known.

    Attributes:
        slide: Name of the slide.
        patient: Name of the patient.
        x_px: Left edge in level-0 px of the slide.
        y_px: Upper edge in level-0 px of the slide.
        side_px: Side in level-0 px of the slide.
    """

    slide: str | None = None
    patient: str | None = None
    x_px: int | None = None
    y_px: int | None = None
    side_px: int | None = None

    def or_else(self, other: "TileSource") -> "TileSource":
        """Fill in from another source what this one does not tell."""
        return self._replace(**{name: told for name, told in other._asdict().items() if getattr(self, name) is None})


UNKNOWN_SOURCE = TileSource()


def write_rows(path: Path, table: pd.DataFrame, split_record: SplitRecord | None) -> None:
    """Write `table` (the columns `COLUMNS`) and the record of its split to a Parquet file at `path`."""
    record = {} if split_record is None else {_RECORD_KEY: json.dumps(split_record, allow_nan=False).encode()}
    table = table.astype(dict.fromkeys(_WHOLE_NUMBERS, "Int64"))
    rows = pa.Table.from_pandas(table, schema=_schema(), preserve_index=False)
    pq.write_table(rows.replace_schema_metadata(record), path, compression="zstd")


def read_rows(path: Path, *, count: int, labelled: bool = True) -> tuple[pd.DataFrame, SplitRecord | None]:
    """Read the table of `count` tiles, which all have a class or all have none, and the record of their split.

    Strings are pandas' default strings with its default missing value; `x_px`, `y_px` and `side_px` are `Int64`.

    Raises:
        DataError: The file is missing, damaged, has other columns, another number of rows, a missing value
            where none may be, or an unknown split.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; the TileSet is incomplete, create it again")
    try:
        with pq.ParquetFile(path) as stream:
            if stream.metadata.num_rows != count:
                raise DataError(f"{path}: {stream.metadata.num_rows} rows for {count} tiles; create it again")
            _check_columns(stream.schema_arrow, path)
            rows = stream.read()
        metadata = rows.schema.metadata or {}
        table = rows.cast(_schema()).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        record = json.loads(metadata[_RECORD_KEY]) if _RECORD_KEY in metadata else None
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a readable table of tiles ({error}); create it again") from error
    _check_values(table, path, labelled=labelled)
    if record is not None and not isinstance(record, dict):
        raise DataError(f"{path}: the record of the split is not an object; split again")
    return table, record


def _schema() -> pa.Schema:
    kinds = {name: pa.int64() if name in _WHOLE_NUMBERS else pa.string() for name in COLUMNS}
    return pa.schema([pa.field(name, kind) for name, kind in kinds.items()])


def _check_columns(schema: pa.Schema, path: Path) -> None:
    if tuple(schema.names) != COLUMNS:
        raise DataError(f"{path}: its columns are {', '.join(schema.names)}, not {', '.join(COLUMNS)}; create it again")


def _check_values(table: pd.DataFrame, path: Path, *, labelled: bool) -> None:
    if not labelled and table["class"].notna().any():
        raise DataError(f"{path}: has classes, but the card says that the tiles have no labels; create it again")
    for name in (*_NEVER_NULL, *(("class",) if labelled else ())):
        if table[name].isna().any():
            raise DataError(f"{path}: column {name!r} has missing values; create it again")
    unknown = set(table["split"].dropna()) - set(SPLITS)
    if unknown:
        raise DataError(f"{path}: unknown split {min(unknown)!r}; splits are {', '.join(SPLITS)}: split again")
    if (table["side_px"] < 1).any():
        raise DataError(f"{path}: a tile has a side_px below 1; create it again")
