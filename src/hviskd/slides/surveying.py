"""Inspects many slides one by one, including damaged ones."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from hviskd.errors import DataError, in_words
from hviskd.progress import Progress, progress_bar
from hviskd.running import Here, Running, Undemanding
from hviskd.slides.cohort import CohortSlide, find_cohort
from hviskd.slides.opening import open_slide
from hviskd.slides.slide import SlideFacts
from hviskd.slides.slide_files import known_bytes
from hviskd.slides.tissue_rule import TissueRule

_NOTEBOOK_PX = 480
_PICTURES_AT_ONCE = 4  # in memory


@dataclass(frozen=True)
class SlideReport:
    """What is known of one slide.

    Attributes:
        path: The slide.
        facts: As `Slide.facts` gives them; None where the slide cannot be used.
        tissue_mm2: Area of its tissue; None where no picture was asked for.
        picture: Where its picture was written; None likewise.
        problem: Why it cannot be used, in one line; empty where it can.
    """

    path: Path
    facts: SlideFacts | None = None
    tissue_mm2: float | None = None
    picture: Path | None = None
    problem: str = ""

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        told = Survey([self])._repr_html_()
        return told + (show.picture_file(self.picture, self.path.name, _NOTEBOOK_PX) if self.picture else "")


class Survey(list[SlideReport]):
    """One report per slide, in their order.

    Attributes:
        notes: What was found beside the slides and is not used, a sentence for each kind.
    """

    notes: tuple[str, ...] = ()

    HEADER = ("slide", "format", "px", "µm/px", "objective", "levels", "tissue")

    def rows(self) -> list[tuple[str, ...]]:
        """Return the facts of the usable slides as text, one row per slide, in the columns of `HEADER`."""
        return [
            (
                report.path.name,
                facts["vendor"],
                f"{facts['width_px']} × {facts['height_px']}",
                f"{facts['mpp']:.4g}",
                "–" if facts["magnification"] is None else f"{facts['magnification']:g}×",
                " ".join(f"{level.downsample:.4g}" for level in facts["levels"]),
                "–" if report.tissue_mm2 is None else f"{report.tissue_mm2:.3g} mm²",
            )
            for report in self
            if (facts := report.facts) is not None
        ]

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        notes = [(report.path.name, note) for report in self if report.facts for note in report.facts["notes"]]
        problems = [(report.path.name, report.problem) for report in self if report.problem]
        return (
            show.table(self.HEADER, self.rows())
            + "".join(show.paragraph(note) for note in self.notes)
            + (show.table(("slide", "note"), notes) if notes else "")
            + (show.table(("slide", "cannot be used because"), problems) if problems else "")
        )


@dataclass(frozen=True)
class _Looked:
    """A slide to look at, and where its picture goes, if anywhere."""

    slide: CohortSlide
    picture: Path | None


@dataclass(frozen=True)
class _SurveyJob(Undemanding):
    """What applies to all slides of a survey: the folder of pictures, tissue detection, colours."""

    output: Path | None
    tissue_rule: TissueRule | None
    icc: bool
    pieces: ClassVar[str] = "slides"
    memory_bytes: ClassVar[int] = 2**30

    def run(self, items: Sequence[_Looked], told: Callable[[SlideReport], None], progress: Progress | None) -> None:
        """Look at slides one after the other."""
        with progress_bar("slides", len(items), progress) as advance:
            for number, item in enumerate(items, start=1):
                path = item.slide.path
                try:
                    report = _look_at(item.slide, item.picture, self.tissue_rule, icc=self.icc)
                except (DataError, OSError) as error:
                    report = SlideReport(path, problem=" ".join(in_words(error, path).split()))
                if item.picture is not None and (number % _PICTURES_AT_ONCE == 0 or number == len(items)):
                    gc.collect()  # a figure and its parts refer to each other, and would pile up for dozens of slides
                told(report)
                advance(note=path.name)

    def size(self, item: _Looked) -> int:
        """Return the bytes of a slide's files."""
        return known_bytes(item.slide.path)

    def name(self, item: _Looked) -> str:
        """Return the path of a slide."""
        return str(item.slide.path)

    def lost(self, item: _Looked, problem: str) -> SlideReport:
        """Return the report of a slide that no worker survived."""
        return SlideReport(item.slide.path, problem=f"{item.slide.path}: {problem}")


def survey(
    slides: Path | str | Sequence[Path | str | CohortSlide],
    *,
    pictures: Path | str | None = None,
    tissue_rule: TissueRule | None = None,
    icc: bool = False,
    running: Running | None = None,
    progress: Progress | None = None,
) -> Survey:
    """Open every slide, check that it is complete, and draw its tissue if requested.

    Args:
        slides: Slides, folders of slides or CSVs, as for `find_cohort`, or its result.
        pictures: A folder for one PNG per slide.
        tissue_rule: Settings of tissue detection; by default those of `TissueRule`.
        icc: Convert pixels to sRGB by each slide's ICC profile, if it has one.
        running: Where to do it; by default in this process, or `Dask("local:4")` for workers of a cluster.
        progress: Called with done, total and what is being done; a bar by default.

    Returns:
        One report per slide, in their order; a slide that cannot be used does not stop the others.

    Raises:
        DataError: There are no slides.
        RunningError: A cluster or one of its workers cannot do the work.
    """
    running = running or Here()
    cohort = find_cohort(slides)
    given = [slide.path for slide in cohort]
    folder = None if pictures is None else Path(pictures)
    if running.remote:
        cohort, folder = cohort.absolute(), folder and folder.absolute()
        if folder is not None:  # by which workers tell whether they see it
            folder.mkdir(parents=True, exist_ok=True)
    names = _picture_names(given)
    items = [_Looked(slide, folder and folder / name) for slide, name in zip(cohort, names, strict=True)]
    found = {report.path: report for report in running.run(_SurveyJob(folder, tissue_rule, icc), items, progress)}
    reports = Survey(
        _spelled(found[slide.path], path) for slide, path in zip(cohort, given, strict=True) if slide.path in found
    )
    reports.notes = cohort.notes
    return reports


def _spelled(report: SlideReport, path: Path) -> SlideReport:
    """Return a report with its slide's path as the user gave it."""
    return replace(report, path=path, problem=report.problem.replace(str(report.path), str(path)))


def _look_at(found: CohortSlide, picture: Path | None, tissue_rule: TissueRule | None, *, icc: bool) -> SlideReport:
    with open_slide(found.path, slide_mpp=found.slide_mpp, icc=icc) as slide:
        slide.verify()
        if picture is None:
            return SlideReport(found.path, slide.facts())
        from hviskd.slides.tissue import tissue_mask
        from hviskd.slides.tissue_picture import draw_tissue_outline

        tissue = tissue_mask(slide, tissue_rule)
        draw_tissue_outline(slide, tissue, picture)
        facts = slide.facts()
        facts["notes"].extend(tissue.notes)
        return SlideReport(found.path, facts, tissue.area_um2 / 1e6, picture)


def _picture_names(slides: Sequence[Path]) -> list[str]:
    """Name each slide's image after its file; for equal names in different folders, the later ones get a number."""
    seen: dict[str, int] = {}
    names = []
    for path in slides:
        seen[path.name] = seen.get(path.name, 0) + 1
        number = f".{seen[path.name]}" if seen[path.name] > 1 else ""
        names.append(f"{path.name}{number}.png")
    return names
