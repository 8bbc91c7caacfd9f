"""Reads from a CSV to which slide and patient each imported image belongs."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from hviskd.csv_table import decimal, read_csv
from hviskd.errors import DataError
from hviskd.tiles.rows import TileSource

_SHOWN, _SHOWN_CHARACTERS = 3, 200  # how many names an error shows, and how much of a list of columns
# How a CSV may name a picture, tried in this order.
_KEYS: tuple[Callable[[str], str], ...] = (
    lambda file: file,
    lambda file: PurePosixPath(file).name,
    lambda file: PurePosixPath(file).stem,
)


@dataclass(frozen=True)
class CsvColumns:
    """The names of the columns of a CSV of images.

    Attributes:
        file: Column of the images: path below the imported folder, name, or name without suffix.
        slide: Column of the slides.
        patient: Column of the patients.
    """

    file: str = "file"
    slide: str = "slide"
    patient: str = "patient"


def read_sources(csv: Path, files: Sequence[str], columns: CsvColumns) -> list[TileSource]:
    """Return what a CSV lists for each of `files`, which are paths relative to the imported folder, with `/`.

    The CSV may name files by that path, by file name, or by file name without suffix; the first of the three that
    fits any row must fit all. Paths may begin further up, all at the same folder. `hviskd.csv_table` describes how it
    may be written. Columns `x_px`, `y_px` and `side_px` are read where there are such.

    Raises:
        DataError: The CSV cannot be read, lacks a column, leaves out a picture, names one that is not there, or
            does not settle which row belongs to which picture.
    """
    said_of: dict[str, TileSource] = {}
    contradicting: set[str] = set()
    used: dict[str, str] = {}
    for place, row in read_csv(csv):
        used = used or _used_columns(row, csv, columns)
        key = row[used["file"]].replace("\\", "/").removeprefix("./")
        said = _source(row, used, place)
        if said_of.setdefault(key, said) != said:
            contradicting.add(key)

    key_of = next((key for key in _KEYS if any(key(file) in said_of for file in files)), None)
    if key_of is None:
        key_of, said_of = _KEYS[0], _below_root(said_of, set(files))
    keys = [key_of(file) for file in files]
    unlisted = [file for file, key in zip(files, keys, strict=True) if key not in said_of]
    twice = [key for key, times in Counter(keys).items() if times > 1]
    _refuse(csv, "images without a row", unlisted, "add rows or remove the files")
    _refuse(csv, "rows without an image", sorted(said_of.keys() - set(keys)), "remove them or import all of it")
    _refuse(csv, "names of more than one image", sorted(twice), "give their paths")
    _refuse(csv, "images with contradicting rows", sorted(contradicting), "keep one row each")
    return [said_of[key] for key in keys]


def _below_root(said_of: dict[str, TileSource], files: set[str]) -> dict[str, TileSource]:
    """Cut off what all paths have before the imported folder, such as the folder's own name; as they are if nothing."""
    first = next(iter(said_of), "")
    parts = first.split("/")
    for count in range(1, len(parts)):
        above = "/".join(parts[:count]) + "/"
        if first.removeprefix(above) in files:
            return {key.removeprefix(above): said for key, said in said_of.items()}
    return said_of


def _used_columns(row: dict[str, str], csv: Path, columns: CsvColumns) -> dict[str, str]:
    """Return the columns of file, slide and patient; one of the last two may be absent unless requested."""
    wanted = asdict(columns)
    used = {name: column.casefold() for name, column in wanted.items() if column.casefold() in row}
    for name, column in wanted.items():
        if name not in used and (name == "file" or column != name):
            raise _lacking(csv, column, row, f"`columns.{name}`")
    if len(used) < 2:
        raise _lacking(csv, columns.patient, row, "`columns.slide` or `columns.patient`")
    return used


def _lacking(csv: Path, column: str, row: dict[str, str], option: str) -> DataError:
    there = ", ".join(name for name in row if name)[:_SHOWN_CHARACTERS]
    return DataError(f"{csv}: has no column {column!r}, only {there}; give the right one with {option}")


def _source(row: dict[str, str], used: dict[str, str], place: str) -> TileSource:
    slide, patient = (row.get(used.get(name, "")) or None for name in ("slide", "patient"))
    x_px, y_px, side_px = (_whole_number(row.get(name, ""), name, place) for name in ("x_px", "y_px", "side_px"))
    return TileSource(slide, patient, x_px, y_px, side_px)


def _whole_number(text: str, name: str, place: str) -> int | None:
    if not text:
        return None
    number = decimal(text)
    if not (number.is_integer() and abs(number) < 2**53):
        raise DataError(f"{place}: column {name!r} must contain integers; correct it")
    return int(number)


def _refuse(csv: Path, what: str, names: Sequence[str], remedy: str) -> None:
    """Raise if there are such names, with their number and the first few."""
    if names:
        more = ", …" if len(names) > _SHOWN else ""
        raise DataError(f"{csv}: {what} ({len(names)}): {', '.join(names[:_SHOWN])}{more}; {remedy}")
