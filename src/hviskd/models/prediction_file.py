"""Writes class probabilities to a Parquet or CSV file row by row, so that any number of tiles takes little memory."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from hviskd.arrays import Floats32
from hviskd.errors import DataError
from hviskd.storage import atomic_file, require_free_file, writing_to

SUFFIXES = (".parquet", ".csv")
_ROWS = 10_000  # in memory, and in a row group of Parquet
_RECORD_KEY = "hviskd.predictions"


def require_writable(path: Path, *, overwrite: bool) -> None:
    """Refuse a file that is neither Parquet nor CSV, or that may not be replaced; before anything is computed.

    Raises:
        DataError: It is.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"`output={str(path)!r}`: must end in {' or '.join(SUFFIXES)}")
    require_free_file(path, overwrite=overwrite)


class PredictionFile:
    """Takes rows and writes them in groups; made by `open_prediction_file`.

    The columns are those that say what was classified, then `probability_NAME` of each class, `class` (the most
    probable), `confidence` (its probability) and, with a threshold, `unsure` (whether that is below it).
    """

    def __init__(
        self, stream: Any, place: Path, schema: pa.Schema, classes: Sequence[str], unsure_below: float | None
    ) -> None:
        self._stream = stream
        self._place = place
        self._schema = schema
        self._classes = np.array(classes, dtype=object)
        self._unsure_below = unsure_below
        self._sources: list[Sequence[object]] = []
        self._probabilities: list[Floats32] = []

    def add(self, sources: Sequence[Sequence[object]], probabilities: Floats32) -> None:
        """Add rows: what each is of, and its probabilities (N, K), in the order of the classes."""
        self._sources += sources
        self._probabilities.append(probabilities)
        if len(self._sources) >= _ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are in memory."""
        if not self._sources:
            return
        probabilities = np.concatenate(self._probabilities)
        confidence = probabilities.max(axis=1)
        columns = [*zip(*self._sources, strict=True), *probabilities.T]
        columns += [self._classes[probabilities.argmax(axis=1)], confidence]
        columns += [] if self._unsure_below is None else [confidence < self._unsure_below]
        self._sources, self._probabilities = [], []
        arrays = [pa.array(column, kind) for column, kind in zip(columns, self._schema.types, strict=True)]
        with writing_to(self._place, "free some space and repeat it"):
            self._stream.write_table(pa.Table.from_arrays(arrays, schema=self._schema))


@contextmanager
def open_prediction_file(
    path: Path, source_columns: Sequence[str], classes: Sequence[str], unsure_below: float | None, record: object
) -> Iterator[PredictionFile]:
    """Yield what takes the rows of a file, which is at its place only after the block has ended without an error.

    Args:
        path: Ends in `.parquet` or `.csv`.
        source_columns: Names of the columns that say what a row is of; `row` holds integers, the others text.
        classes: Names of the classes.
        unsure_below: Probability below which a class is unsure; None: there is no such column.
        record: JSON value on what made the file, for the metadata of Parquet.

    Raises:
        OutputError: The file cannot be written to.
    """
    kinds = [(name, pa.int64() if name == "row" else pa.string()) for name in source_columns]
    kinds += [(f"probability_{name}", pa.float32()) for name in classes]
    kinds += [("class", pa.string()), ("confidence", pa.float32())]
    kinds += [] if unsure_below is None else [("unsure", pa.bool_())]
    schema = pa.schema(kinds, metadata={_RECORD_KEY: json.dumps(record)})
    with atomic_file(path) as partial:
        parquet = path.suffix.lower() == ".parquet"
        with pq.ParquetWriter(partial, schema) if parquet else pa.csv.CSVWriter(partial, schema) as stream:
            file = PredictionFile(stream, path, schema, classes, unsure_below)
            yield file
            file.flush()
