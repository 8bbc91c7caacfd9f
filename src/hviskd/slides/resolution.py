"""Determines the µm/px of slides, from the file or from the user."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from hviskd.csv_table import decimal, file_name, read_csv
from hviskd.errors import DataError
from hviskd.file_names import slide_names

MIN_MPP, MAX_MPP = 0.05, 20.0  # beyond any scanner: 72 dpi, which many programs write unasked, is 353 µm/px
_SHOWN_CHARACTERS = 60
ANISOTROPY, CONFLICT = 0.01, 0.05  # relative differences worth telling
MAX_ANISOTROPY = 0.02  # above which shapes and areas would be wrong

HOW_TO_GIVE_MPP = "give it with `slide_mpp`, or in a CSV with the columns slide,mpp"


def settle_mpp(
    path: Path, recorded: tuple[float, float] | None, slide_mpp: float | None
) -> tuple[float, tuple[str, ...]]:
    """Choose the µm/px to use: the user's if given, else the file's mean of x and y.

    Args:
        path: The slide, for the message.
        recorded: µm/px along x and y as the file records them.
        slide_mpp: What the user says.

    Returns:
        µm/px, and one sentence for each thing about it that a user should know.

    Raises:
        DataError: There is none, it is no µm/px any scanner has (below 0.05 or above 20), or x and y differ by more
            than 2 %.
    """
    if slide_mpp is not None:
        if not is_sane(slide_mpp):
            raise DataError(f"{path}: the given {slide_mpp:g} µm/px is not between {MIN_MPP} and {MAX_MPP:g}")
        return slide_mpp, _conflict(recorded, slide_mpp)
    if recorded is None:
        raise DataError(f"{path}: records no µm/px; {HOW_TO_GIVE_MPP}")
    if not (is_sane(recorded[0]) and is_sane(recorded[1])):
        x_mpp, y_mpp = recorded
        raise DataError(f"{path}: records {x_mpp:.4g} × {y_mpp:.4g} µm/px, which no scanner has; {HOW_TO_GIVE_MPP}")
    mpp = sum(recorded) / 2
    if abs(recorded[0] - recorded[1]) > MAX_ANISOTROPY * mpp:
        x_mpp, y_mpp = recorded
        raise DataError(
            f"{path}: records {x_mpp:.4g} × {y_mpp:.4g} µm/px, so its px are not square; resample it to square px, or, "
            f"if the record is wrong, {HOW_TO_GIVE_MPP}"
        )
    if abs(recorded[0] - recorded[1]) > ANISOTROPY * mpp:
        return mpp, (f"µm/px differs between x ({recorded[0]:.4g}) and y ({recorded[1]:.4g}); the mean is used",)
    return mpp, ()


def read_mpp_csv(path: Path | str, slides: Iterable[Path | str] | None = None) -> dict[str, float]:
    """Read the µm/px of slides from a CSV with the columns `slide` (a file name, or a path) and `mpp`.

    Args:
        path: The CSV.
        slides: Those it is read for, if they are known; it may list others, but not only others.

    Returns:
        µm/px by file name; `mpp_of` looks a slide up.

    Raises:
        DataError: The file is missing or not such a CSV, a row holds no sane number or contradicts another, or no row
            is of one of the slides.
    """
    path = Path(path)
    table: dict[str, float] = {}
    for place, row in read_csv(path, "slide", "mpp"):
        slide, mpp = file_name(row["slide"]), decimal(row["mpp"])
        if not slide:
            raise DataError(f"{place}: lists no slide")
        if not is_sane(mpp):
            raise DataError(f"{place}: µm/px must be from {MIN_MPP} to {MAX_MPP:g}, not {row['mpp'][:20]!r}")
        if table.setdefault(slide, mpp) != mpp:
            raise DataError(f"{place}: {slide} has two different values of µm/px")
    if slides is not None and all(mpp_of(slide, table) is None for slide in slides):
        names = ", ".join(name[:_SHOWN_CHARACTERS] for name in list(table)[:3]) or "nothing"
        raise DataError(f"{path}: lists none of these slides, but {names}{', …' * (len(table) > 3)}; correct the names")
    return table


def mpp_of(slide: Path | str, table: Mapping[str, float]) -> float | None:
    """Look up a slide in the result of `read_mpp_csv`, by its file name with or without suffix."""
    return next((table[name] for name in slide_names(Path(slide)) if name in table), None)


def is_sane(mpp: float) -> bool:
    """Return whether a scanner may have this µm/px."""
    return MIN_MPP <= mpp <= MAX_MPP  # False for NaN too


def _conflict(recorded: tuple[float, float] | None, slide_mpp: float) -> tuple[str, ...]:
    if recorded is None:
        return ()
    mean = sum(recorded) / 2
    if all(map(is_sane, recorded)) and abs(recorded[0] - recorded[1]) > MAX_ANISOTROPY * mean:
        x_mpp, y_mpp = recorded
        return (f"the file records px of {x_mpp:.4g} × {y_mpp:.4g} µm; the given {slide_mpp:g} is used for both",)
    if abs(mean - slide_mpp) <= CONFLICT * slide_mpp:
        return ()
    return (f"the file records {mean:.4g} µm/px; the given {slide_mpp:g} is used",)
