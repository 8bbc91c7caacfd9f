"""Lists the slides of a cohort and gives each its own folder; `segment_cohort` and the verb begin here."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hviskd.csv_table import decimal, read_csv
from hviskd.errors import DataError
from hviskd.segmentation.outputs import SUMMARY, read_summary
from hviskd.slides import find_slides, mpp_of, read_mpp_csv
from hviskd.slides.slide_files import place_digest, slide_fingerprint


@dataclass(frozen=True)
class CohortSlide:
    """One slide of a cohort.

    Attributes:
        path: Its file.
        slide_mpp: µm a level-0 px where the user gave it.
    """

    path: Path
    slide_mpp: float | None = None


def find_cohort(
    paths: Sequence[Path | str],
    *,
    recursive: bool = False,
    slide_mpp: float | None = None,
    mpp_csv: Path | str | None = None,
) -> list[CohortSlide]:
    """List slides among files, in folders, and in CSVs with the column slide and, if need be, mpp.

    A path in a CSV is relative to the CSV. A slide that a CSV lists need not exist: it will fail on its own, while the
    others are done.

    Args:
        paths: Slides, folders of slides, and `.csv` files.
        recursive: Search subfolders too.
        slide_mpp: µm/px of all slides for which no table has one.
        mpp_csv: µm/px by slide, a CSV with the columns slide and mpp.

    Raises:
        DataError: A path does not exist, a folder holds no slide, or a CSV is none.
    """
    listed: list[tuple[Path, CohortSlide]] = []
    for path in map(Path, paths):
        if path.suffix.lower() == ".csv":
            listed += [(path, slide) for slide in _read_list(path)]
        else:
            listed += [(path, CohortSlide(slide)) for slide in find_slides([path], recursive=recursive)]
    table = {} if mpp_csv is None else read_mpp_csv(Path(mpp_csv), [slide.path for _, slide in listed])
    found: dict[Path, CohortSlide] = {}
    for path, slide in listed:
        known = (slide.slide_mpp, mpp_of(slide.path, table), slide_mpp)
        mpp = next((mpp for mpp in known if mpp is not None), None)
        first = found.setdefault(slide.path.resolve(), CohortSlide(slide.path, mpp))
        if first.slide_mpp != mpp:
            raise DataError(f"{path}: {slide.path.name} has two different µm/px")
    if not found:
        raise DataError("no slide to segment; name slides, folders of slides, or a CSV with the column slide")
    return list(found.values())


def assign_folders(slides: Sequence[CohortSlide], output: Path) -> list[Path]:
    """Give each slide a folder of its own: `output/STEM`, or `output/STEM-xxxxxxxx` where slides share the name.

    The digits stand for where the slide lies, so that they are the same in every run. A folder that holds the map of
    another slide of the same name is left to it.
    """
    shared = Counter(slide.path.stem.casefold() for slide in slides)
    folders = []
    for slide in slides:
        plain = output / slide.path.stem
        alone = shared[slide.path.stem.casefold()] == 1
        if _may_have(slide.path, plain, alone=alone):
            folders.append(plain)
        else:
            folders.append(output / f"{slide.path.stem}-{place_digest(slide.path)}")
    return folders


def _may_have(slide: Path, folder: Path, *, alone: bool) -> bool:
    """Tell whether a slide may be written to a folder; content alone does not tell copies of one slide apart."""
    try:
        summary = read_summary(folder) if (folder / SUMMARY).is_file() else None
        if summary is None or summary.place == place_digest(slide):
            return alone or summary is not None
        return alone and summary.map.slide_fingerprint == slide_fingerprint(slide)
    except DataError:
        return alone
    except OSError:  # the slide cannot be read, and will say so itself
        return False


def _read_list(path: Path) -> list[CohortSlide]:
    slides = []
    for place, row in read_csv(path, "slide"):
        name, mpp = row["slide"], row.get("mpp", "")
        if not name or "\0" in name:
            raise DataError(f"{place}: names no slide")
        try:
            slides.append(CohortSlide(path.parent / name, decimal(mpp) if mpp else None))
        except ValueError as error:
            raise DataError(f"{place}: {mpp!r} is no number of µm/px") from error
    if not slides:
        raise DataError(f"{path}: lists no slide")
    return slides
