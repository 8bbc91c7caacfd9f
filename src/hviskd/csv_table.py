"""Reads the CSVs that users write: lists of slides, patients, pixel sizes and tiles."""

import csv
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from hviskd.errors import DataError

_DELIMITERS = ",;\t"  # the first where none of them is there
_HEAD_CHARACTERS = 2**20


def read_csv(path: Path, *needed: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a CSV one by one, each with its file and line number for error messages.

    Args:
        path: The file, in UTF-8, with commas, semicolons or tabs between the columns.
        needed: Columns it must have, regardless of case.

    Yields:
        `FILE: line N`, and the row: stripped values by lower-case column name; missing values are empty.

    Raises:
        DataError: The file is missing, not a valid CSV, or lacks a column.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:  # Excel begins its CSV with a mark
            head = stream.readline(_HEAD_CHARACTERS)
            stream.seek(0)
            rows = csv.DictReader(stream, delimiter=max(_DELIMITERS, key=head.count), strict=True)
            rows.fieldnames = [(name or "").strip().casefold() for name in rows.fieldnames or ()]
            twice = [name for name, times in Counter(rows.fieldnames).items() if name and times > 1]
            if twice:
                raise DataError(f"{path}: has column {twice[0]!r} more than once; rename the others")
            if not set(needed) <= set(rows.fieldnames):
                columns = f"column{'s' * (len(needed) > 1)} {' and '.join(needed)}"
                raise DataError(f"{path}: has no {columns}; its first line must be {','.join(needed)}")
            for row in rows:
                place, surplus = f"{path}: line {rows.line_num}", row.pop(None, [])
                if any(cell.strip() for cell in surplus):
                    raise DataError(f"{place}: has more values than columns; quote values that contain commas")
                yield place, {name: (cell or "").strip() for name, cell in row.items()}
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV in UTF-8 ({error})") from error


def decimal(text: str) -> float:
    """Return a number written with a decimal point or a decimal comma; NaN for anything else."""
    try:
        return math.nan if "_" in text else float(text if "," not in text else text.replace(",", "."))
    except ValueError:
        return math.nan


def file_name(path: str) -> str:
    """Return the file name at the end of a path from any operating system."""
    return PureWindowsPath(path).name
