"""The results of segmenting a cohort."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from hviskd.segmentation.outputs import SUMMARY, Summary

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SlideOutcome:
    """The result for one slide.

    Attributes:
        slide: Its file.
        folder: Where its map stands, or would stand.
        state: `done`, `kept` from an earlier run, or `failed`.
        summary: Of its map; None where it failed.
        problem: Why it failed, in one line; empty where it did not.
    """

    slide: Path
    folder: Path
    state: Literal["done", "kept", "failed"]
    summary: Summary | None = None
    problem: str = ""


@dataclass(frozen=True)
class CohortMaps(Sequence[SlideOutcome]):
    """The results of a cohort, one per slide, in their order.

    Attributes:
        folder: Where the maps stand, a folder per slide.
        classes: Of the maps.
        outcomes: What became of each slide.
        notes: What was found beside the slides and is not mapped, a sentence for each kind.
    """

    folder: Path
    classes: tuple[str, ...]
    outcomes: tuple[SlideOutcome, ...]
    notes: tuple[str, ...] = ()

    @overload
    def __getitem__(self, place: int) -> SlideOutcome: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[SlideOutcome, ...]: ...
    def __getitem__(self, place: int | slice) -> SlideOutcome | tuple[SlideOutcome, ...]:
        """Return one outcome, or several."""
        return self.outcomes[place]

    def __len__(self) -> int:
        """Return the number of slides."""
        return len(self.outcomes)

    @property
    def failed(self) -> tuple[SlideOutcome, ...]:
        """The slides that could not be segmented."""
        return tuple(outcome for outcome in self.outcomes if outcome.state == "failed")

    def to_csv(self, *, others: Path | None = None) -> str:
        """Return one line per slide, with names but without paths.

        Args:
            others: An earlier file, of which the lines of other slides are added if their maps are still there.
        """
        text = io.StringIO()
        kept = [] if others is None else self._others(others)
        csv.writer(text, lineterminator="\n").writerows([self._header(), *self._rows(), *kept])
        return text.getvalue()

    def _others(self, path: Path) -> list[list[str]]:
        """Return the lines of an earlier table of the same columns that are of other slides with a map."""
        try:
            header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        except (OSError, ValueError, csv.Error):
            return []
        mine = {writable(outcome.folder.name) for outcome in self.outcomes}
        if header != self._header():
            return []
        whole = [row for row in rows if len(row) == len(header)]
        return [row for row in whole if row[1] not in mine and (path.parent / row[1] / SUMMARY).is_file()]

    def to_dataframe(self) -> "pd.DataFrame":
        """Return one row per slide: slide, folder, state, tiles, tissue_mm2, CLASS_mm2 … and problem."""
        import pandas as pd

        table = pd.DataFrame(list(self._rows()), columns=self._header())
        numbers = table.columns[3:-1]
        table[numbers] = table[numbers].apply(pd.to_numeric)
        return table

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        told = f"{len(self) - len(self.failed)} of {len(self)} slides mapped"
        return show.paragraph(told, f"{self.folder}") + show.table(self._header(), self._rows())

    def _header(self) -> list[str]:
        return ["slide", "folder", "state", "tiles", "tissue_mm2", *(f"{name}_mm2" for name in self.classes), "problem"]

    def _rows(self) -> Iterator[list[object]]:
        for outcome in self.outcomes:
            slide, folder = writable(outcome.slide.name), writable(outcome.folder.name)
            problem = outcome.problem.replace(str(outcome.slide), slide)
            cells: list[object] = [""] * (2 + len(self.classes))
            if outcome.summary is not None:
                areas = outcome.summary.areas_mm2
                cells = [outcome.summary.tiles, f"{outcome.summary.map.tissue_area_um2 / 1e6:.4f}"]
                cells += [f"{areas[name]:.4f}" for name in self.classes]
            yield [slide, folder, outcome.state, *cells, problem]


def writable(text: str) -> str:
    """Return a file name as text that can be encoded in UTF-8."""
    return text.encode(errors="replace").decode()
