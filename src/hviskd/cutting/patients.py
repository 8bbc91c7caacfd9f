"""Finds the patient of each slide, by a rule about file names or from a CSV."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from hviskd.csv_table import file_name, read_csv
from hviskd.errors import DataError
from hviskd.file_names import slide_names

PATIENT_RULES = {
    "ivygap": r"([^-]+)-",  # W10-1-1-B.2.02 → W10
    "tcga": r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})-",  # TCGA-02-0001-01C-01-BS1 → TCGA-02-0001
}
_SHOWN = 3


def patients_of(slides: Sequence[Path], rule: Path | str | None) -> list[str | None]:
    """Return the patient of every slide, or None for each if there is no rule.

    Args:
        slides: The files.
        rule: `ivygap`, `tcga`, a regular expression that begins to match at the beginning of the file name and has
            one group, or a CSV with the columns `slide` (a file name, with or without suffix) and `patient`.

    Raises:
        DataError: The rule is none of these, or does not give the patient of every slide.
    """
    if rule is None:
        return [None] * len(slides)
    rule = str(rule)
    look_up = _from_csv(Path(rule)) if rule.lower().endswith(".csv") else _from_expression(rule)
    patients = [look_up(slide) for slide in slides]
    unknown = [slide.name for slide, patient in zip(slides, patients, strict=True) if not patient]
    if unknown:
        more = ", …" if len(unknown) > _SHOWN else ""
        raise DataError(
            f"`patients={rule!r}`: gives no patient for {len(unknown)} of {len(slides)} slides "
            f"({', '.join(unknown[:_SHOWN])}{more}); correct the rule, or list the patients in a CSV (slide,patient)"
        )
    return patients


def _from_expression(rule: str) -> Callable[[Path], str | None]:
    try:
        expression = re.compile(PATIENT_RULES.get(rule.casefold(), rule))
    except re.error as error:
        raise DataError(f"`patients={rule!r}`: not a regular expression ({error})") from error
    if expression.groups != 1:
        known = ", ".join(PATIENT_RULES)
        raise DataError(f"`patients={rule!r}`: needs one group, for example ([^_]+)_; or give {known}, or a CSV")

    def look_up(slide: Path) -> str | None:
        found = expression.match(slide.name)
        return found[1] if found else None

    return look_up


def _from_csv(path: Path) -> Callable[[Path], str | None]:
    table: dict[str, str] = {}
    for place, row in read_csv(path, "slide", "patient"):
        slide, patient = file_name(row["slide"]), row["patient"]
        if not slide or not patient:
            raise DataError(f"{place}: lacks the slide or the patient")
        if table.setdefault(slide, patient) != patient:
            raise DataError(f"{place}: {slide} has two different patients")
    return lambda slide: next((table[name] for name in slide_names(slide) if name in table), None)
