"""Reads from a CSV to which slide and patient each imported picture belongs; importing uses it."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from hviskd.errors import DataError

_SHOWN = 3  # how many names an error shows
_PLACE = ("x_px", "y_px", "side_px")
# How a CSV may name a picture, tried in this order.
_KEYS: tuple[Callable[[str], str], ...] = (
    lambda file: file,
    lambda file: PurePosixPath(file).name,
    lambda file: PurePosixPath(file).stem,
)


@dataclass(frozen=True)
class Identity:
    """What the CSV says of one picture; None where it says nothing. Pixels are level-0 px of the slide."""

    slide: str | None = None
    patient: str | None = None
    x_px: int | None = None
    y_px: int | None = None
    side_px: int | None = None


def read_identities(
    csv: Path, files: Sequence[str], *, file_column: str, slide_column: str, patient_column: str
) -> list[Identity]:
    """Give what a CSV says of each of `files`, which are paths relative to the imported folder, with `/`.

    The CSV may name files by that path, by file name, or by file name without suffix; the first of the three that
    fits any row must fit all. Commas, semicolons or tabs part its columns. Columns `x_px`, `y_px` and `side_px`
    are read where there are such.

    Raises:
        DataError: The CSV cannot be read, lacks a column, leaves out a picture, names one that is not there, or
            does not settle which row belongs to which picture.
    """
    table = _read(csv, file_column)
    rows = pd.DataFrame({"key": [entry.replace("\\", "/").removeprefix("./") for entry in table[file_column]]})
    for name, column in _used_columns(table.columns, csv, slide=slide_column, patient=patient_column).items():
        rows[name] = table[column].where(table[column] != "").astype(object)
    for name in [name for name in _PLACE if name in table]:
        rows[name] = _whole_numbers(table[name], name, csv)
    rows = rows.drop_duplicates()

    known = set(rows["key"])
    key_of = next((key for key in _KEYS if any(key(file) in known for file in files)), _KEYS[0])
    keys = pd.Series([key_of(file) for file in files], dtype=object)
    unlisted = [file for file, key in zip(files, keys, strict=True) if key not in known]
    _refuse(csv, "pictures without a row", unlisted, "add rows or remove the files")
    _refuse(csv, "rows that name no picture", sorted(known - set(keys)), "remove them or import the whole folder")
    _refuse(csv, "names of more than one picture", sorted(set(keys[keys.duplicated()])), "name each by its path")
    contradicting = sorted(set(rows["key"][rows["key"].duplicated()]))
    _refuse(csv, "pictures whose rows contradict each other", contradicting, "keep one row each")

    said_of = {
        row["key"]: Identity(**{str(name): value for name, value in row.items() if name != "key" and pd.notna(value)})
        for row in rows.astype(object).to_dict("records")
    }
    return [said_of[key] for key in keys]


def _read(csv: Path, file_column: str) -> pd.DataFrame:
    """Read every column as text; spreadsheets part columns by commas, semicolons or tabs."""
    if not csv.is_file():
        raise DataError(f"{csv}: no such file")
    try:
        with csv.open(encoding="utf-8-sig") as stream:
            head = stream.readline(2**20)
        separator = max(",;\t", key=head.count)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the head would lose fields
            table = pd.read_csv(
                csv, sep=separator, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig"
            )
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        raise DataError(f"{csv}: not a readable CSV ({error}); save it as UTF-8 with a line of column names") from error
    _require(file_column, table.columns, csv, "`file_column`")
    return table.fillna("").map(str.strip)


def _used_columns(columns: pd.Index, csv: Path, *, slide: str, patient: str) -> dict[str, str]:
    """Give which columns hold slide and patient; one of the two may be absent if nobody asked for it by name."""
    wanted = {"slide": slide, "patient": patient}
    for name, column in wanted.items():
        if column != name:
            _require(column, columns, csv, f"`{name}_column`")
    used = {name: column for name, column in wanted.items() if column in columns}
    if not used:
        _require(patient, columns, csv, "`slide_column` or `patient_column`")
    return used


def _require(column: str, columns: pd.Index, csv: Path, option: str) -> None:
    if column not in columns:
        raise DataError(f"{csv}: has no column {column!r}, only {', '.join(columns)}; name the right one with {option}")


def _whole_numbers(column: "pd.Series[str]", name: str, csv: Path) -> "pd.Series[int]":
    try:
        return pd.to_numeric(column.where(column != "")).astype("Int64")
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{csv}: column {name!r} must hold whole numbers ({error}); mend it") from error


def _refuse(csv: Path, what: str, names: Sequence[str], remedy: str) -> None:
    """Raise if there are such names, with how many and the first few."""
    if names:
        more = ", …" if len(names) > _SHOWN else ""
        raise DataError(f"{csv}: {what} ({len(names)}): {', '.join(names[:_SHOWN])}{more}; {remedy}")
