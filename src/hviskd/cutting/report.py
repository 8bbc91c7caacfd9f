"""The report of a cutting: what was cut from each slide and what was left out."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from hviskd.arrays import Ints
from hviskd.errors import DataError
from hviskd.storage import read_json

if TYPE_CHECKING:
    import pandas as pd

REPORT_FILE = "report.json"
UNKNOWN_PATIENT = "unknown"

IMPURE, THIN, OVER, UNLABELLED = "across a border", "too little tissue", "over the cap", "without annotation"
Counts = dict[str, int]
_PARTICULAR = re.compile(r"#[0-9A-F]{6}|'[^']*'|\d[\d.,]*%?")  # what a note says of its slide alone


def by_class(classes: Sequence[str], counts: Ints) -> Counts:
    """Label counts (K,) by class, without empty classes."""
    return {name: count for name, count in zip(classes, counts.tolist(), strict=True) if count}


class SlideReport(BaseModel):
    """The result for one slide.

    Attributes:
        slide: Its name.
        path: Its file.
        patient: Whose it is, or None if unknown.
        annotation: The file of its annotation.
        mpp: µm per level-0 px.
        icc: Its ICC colour profile, if it has one.
        squares: How many squares its grid has.
        tiles: Tiles cut, by class.
        left_out: Squares left out, by reason and class; of those without annotation, the class is "".
        notes: What a user should know about the slide or its annotation.
        problem: Why it could not be cut; None if it could.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    slide: str
    path: str
    patient: str | None = None
    annotation: str | None = None
    mpp: float | None = None
    icc: str | None = None
    squares: int = 0
    tiles: Counts = Field(default_factory=dict)
    left_out: dict[str, Counts] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problem: str | None = None


class CutReport(BaseModel):
    """The result for all slides of a cutting.

    Attributes:
        options: The options that shaped the result.
        classes: Names of the classes, in their order.
        slides: One report a slide, in their order.
        passed_over: What was found beside the slides and not used, a sentence for each kind.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    options: dict[str, JsonValue]
    classes: tuple[str, ...]
    slides: tuple[SlideReport, ...]
    passed_over: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[SlideReport, ...]:
        """The slides that could not be cut."""
        return tuple(report for report in self.slides if report.problem is not None)

    def tiles(self) -> Counts:
        """Return the tiles cut, by class, in the order of the classes."""
        counts = Counter[str]()
        for report in self.slides:
            counts.update(report.tiles)
        return {name: counts[name] for name in self.classes}

    def class_table(self) -> "pd.DataFrame":
        """Return a table by class: tiles cut, from how many slides and known patients, and what was left out."""
        import pandas as pd

        cut, left_out = self.tiles(), self.left_out()
        reasons = [reason for reason, counts in left_out.items() if set(counts) & set(self.classes)]
        rows = []
        for name in self.classes:
            of_class = [slide for slide in self.slides if slide.tiles.get(name)]
            patients = {slide.patient for slide in of_class} - {None}
            rows.append(
                [cut[name], len(of_class), len(patients) or pd.NA, *(left_out[why].get(name, 0) for why in reasons)]
            )
        return pd.DataFrame(rows, index=list(self.classes), columns=["tiles", "slides", "patients", *reasons])

    def _repr_html_(self) -> str:
        import pandas as pd

        from hviskd import notebook_html as show

        table = self.class_table()
        rows = [(name, *(None if pd.isna(count) else int(count) for count in row)) for name, *row in table.itertuples()]
        told = show.paragraph(f"{len(self.slides) - len(self.failed)} of {len(self.slides)} slides were cut.")
        failed = show.table(("not cut", "because"), [(slide.slide, slide.problem) for slide in self.failed])
        return told + show.table(("class", *table.columns), rows) + (failed if self.failed else "")

    def by_patient(self) -> dict[str, Counts]:
        """Return the tiles cut, by patient and class; slides of unknown patients together."""
        counts: dict[str, Counter[str]] = {}
        for report in self.slides:
            if report.tiles:
                counts.setdefault(report.patient or UNKNOWN_PATIENT, Counter()).update(report.tiles)
        return {who: {name: counts[who][name] for name in self.classes} for who in sorted(counts)}

    def left_out(self) -> dict[str, Counts]:
        """Return the squares left out, by reason and class."""
        counts: dict[str, Counter[str]] = {}
        for report in self.slides:
            for reason, by_class in report.left_out.items():
                counts.setdefault(reason, Counter()).update(by_class)
        return {reason: dict(by_class) for reason, by_class in counts.items()}

    @property
    def without_tiles(self) -> tuple[SlideReport, ...]:
        """The slides that could be cut but gave no tiles."""
        return tuple(report for report in self.slides if report.problem is None and not report.tiles)

    def notes(self) -> list[list[tuple[str, str]]]:
        """Return the notes as pairs of slide and note; those that differ only in numbers and names are adjacent."""
        alike: dict[str, list[tuple[str, str]]] = {}
        for report in self.slides:
            for note in report.notes:
                alike.setdefault(_PARTICULAR.sub("…", note), []).append((report.slide, note))
        return list(alike.values())

    def to_json(self) -> JsonValue:
        """Return the report with its sums, ready to be written."""
        sums = {"tiles": self.tiles(), "by_patient": self.by_patient(), "left_out": self.left_out()}
        return {**sums, **self.model_dump(mode="json")}


def read_report(folder: Path | str) -> CutReport:
    """Read the report that `cut_slides` wrote into the folder of its images.

    Raises:
        DataError: There is none, or it is damaged.
    """
    path = Path(folder) / REPORT_FILE
    content = read_json(path)
    if isinstance(content, dict):
        content = {name: content[name] for name in CutReport.model_fields if name in content}
    try:
        return CutReport.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{path}: not the report of a cutting; cut again") from error
