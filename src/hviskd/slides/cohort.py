"""Lists the slides of a cohort, with the µm/px that the user gives."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hviskd.csv_table import decimal, read_csv
from hviskd.errors import DataError
from hviskd.slides.finding import each_once, find_slides
from hviskd.slides.remote_path import RemotePath, as_remote
from hviskd.slides.resolution import mpp_of, read_mpp_csv


@dataclass(frozen=True)
class CohortSlide:
    """One slide of a cohort.

    Attributes:
        path: Its file.
        slide_mpp: µm a level-0 px where the user gave it.
    """

    path: Path
    slide_mpp: float | None = None


class Cohort(list[CohortSlide]):
    """The slides of a cohort.

    Attributes:
        notes: What was found and is not used, a sentence for each kind.
    """

    def __init__(self, slides: Iterable[CohortSlide] = (), notes: Sequence[str] = ()) -> None:
        super().__init__(slides)
        self.notes = tuple(notes)

    def absolute(self) -> "Cohort":
        """Return the slides with absolute paths, for processes with other working directories."""
        return Cohort([replace(slide, path=slide.path.absolute()) for slide in self], self.notes)


def find_cohort(
    paths: Path | str | Sequence[Path | str | CohortSlide],
    *,
    recursive: bool = False,
    slide_mpp: float | None = None,
    mpp_csv: Path | str | None = None,
) -> Cohort:
    """List slides among files, in folders, and in CSVs with the column slide and optionally mpp.

    A path in a CSV is relative to the CSV. All may be URLs, too (`s3://`, `gs://`, `https://`; no folders on the last).
    A slide listed in a CSV need not exist: it fails later, without stopping the others. The `notes` of
    the result list what looks like a slide but is not used.

    Args:
        paths: A slide, a folder of slides or a `.csv` file, or any number of them; already listed slides are
            unchanged.
        recursive: Include slides in subfolders.
        slide_mpp: µm/px of all slides without a value in a CSV.
        mpp_csv: µm/px by slide, a CSV with the columns slide and mpp.

    Raises:
        DataError: A path does not exist, a folder contains no slides, or a CSV is invalid.
    """
    listed: list[tuple[Path, CohortSlide]] = []
    notes = list(paths.notes) if isinstance(paths, Cohort) else []
    for given in [paths] if isinstance(paths, Path | str) else paths:
        if isinstance(given, CohortSlide):
            listed.append((given.path, replace(given, path=as_remote(given.path) or given.path)))
            continue
        path = as_remote(given) or Path(given)
        if path.suffix.lower() == ".csv":
            listed += [(path, slide) for slide in _read_list(path)]
        else:
            found = find_slides([path], recursive=recursive)
            listed += [(path, CohortSlide(slide)) for slide in found]
            notes += found.notes
    _require_readers(slide.path for _, slide in listed)
    table = {} if mpp_csv is None else read_mpp_csv(Path(mpp_csv), [slide.path for _, slide in listed])
    scales: dict[Path, float | None] = {}
    for path, slide in listed:
        known = (slide.slide_mpp, mpp_of(slide.path, table), slide_mpp)
        mpp = next((mpp for mpp in known if mpp is not None), None)
        if scales.setdefault(slide.path.resolve(), mpp) != mpp:
            raise DataError(f"{path}: {slide.path.name} has two different values of µm/px")
    if not listed:
        raise DataError("no slides given; give slides, folders of slides, or a CSV with the column slide")
    once, links = each_once(slide.path for _, slide in listed)
    slides = [CohortSlide(path, scales[path.resolve()]) for path in once]
    return Cohort(slides, [*dict.fromkeys([*notes, *links])])


def _require_readers(paths: Iterable[Path]) -> None:
    """Say before the first slide if a library is missing that reads from servers."""
    kinds = {path.scheme: path for path in paths if isinstance(path, RemotePath)}
    if kinds:
        from hviskd.slides.remote_files import require_reader

        for path in kinds.values():
            require_reader(path)


def _at(place: str, path: Path, name: str) -> Path:
    """Return the path of a slide that a CSV names by a URL, or by a path relative to the CSV."""
    try:
        return as_remote(name) or as_remote(str(path.parent / name)) or path.parent / name
    except DataError as error:
        raise DataError(f"{place}: {error}") from None


def _rows(path: Path) -> Iterable[tuple[str, dict[str, str]]]:
    """Return the rows of a CSV, which may be on a server, too."""
    if not isinstance(path, RemotePath):
        return read_csv(path, "slide")
    from hviskd.slides.slide_cache import borrow

    copy, give_back = borrow(path)
    try:
        return list(read_csv(copy, "slide"))
    finally:
        give_back()


def _read_list(path: Path) -> list[CohortSlide]:
    slides = []
    for place, row in _rows(path):
        name, mpp = row["slide"], row.get("mpp", "")
        if not name or "\0" in name:
            raise DataError(f"{place}: lists no slide")
        slide_mpp = decimal(mpp) if mpp else None
        if slide_mpp is not None and math.isnan(slide_mpp):
            raise DataError(f"{place}: {mpp!r} is not a number of µm/px")
        slides.append(CohortSlide(_at(place, path, name), slide_mpp))
    if not slides:
        raise DataError(f"{path}: lists no slides")
    return slides
