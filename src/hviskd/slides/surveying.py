"""Inspects many slides one by one, including damaged ones."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hviskd.errors import DataError
from hviskd.progress import Progress, progress_bar
from hviskd.slides.cohort import CohortSlide, find_cohort
from hviskd.slides.opening import open_slide
from hviskd.slides.slide import SlideFacts
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


def survey(
    slides: Path | str | Sequence[Path | str | CohortSlide],
    *,
    pictures: Path | str | None = None,
    tissue_rule: TissueRule | None = None,
    icc: bool = False,
    progress: Progress | None = None,
) -> Survey:
    """Open every slide, check that it is complete, and draw its tissue if requested.

    Args:
        slides: Slides, folders of slides or CSVs, as for `find_cohort`, or its result.
        pictures: A folder for one PNG per slide.
        tissue_rule: Settings of tissue detection; by default those of `TissueRule`.
        icc: Convert pixels to sRGB by each slide's ICC profile, if it has one.
        progress: Called with done, total and what is being done; a bar by default.

    Returns:
        One report per slide, in their order; a slide that cannot be used does not stop the others.

    Raises:
        DataError: There are no slides.
    """
    cohort = find_cohort(slides)
    names = _picture_names([slide.path for slide in cohort])
    reports = Survey()
    reports.notes = cohort.notes
    with progress_bar("slides", len(cohort), progress) as advance:
        for slide, name in zip(cohort, names, strict=True):
            picture = None if pictures is None else Path(pictures) / name
            try:
                reports.append(_look_at(slide, picture, tissue_rule, icc=icc))
            except (DataError, OSError) as error:
                problem = str(error) if isinstance(error, DataError) else f"{slide.path}: {error.strerror or error}"
                reports.append(SlideReport(slide.path, problem=" ".join(problem.split())))
            if pictures is not None and len(reports) % _PICTURES_AT_ONCE == 0:
                gc.collect()  # a figure and its parts refer to each other, and would pile up for dozens of slides
            advance(note=slide.path.name)
    return reports


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
