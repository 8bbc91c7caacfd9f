"""Looks at many slides one by one, the broken ones too; `hviskd slides info` prints what it finds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hviskd.errors import DataError
from hviskd.slides.opening import open_slide
from hviskd.slides.resolution import mpp_of
from hviskd.slides.slide import SlideFacts
from hviskd.slides.tissue_rule import TissueRule


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


def survey(
    slides: Sequence[Path],
    *,
    slide_mpp: float | None = None,
    mpp_table: Mapping[str, float] | None = None,
    pictures: Path | None = None,
    tissue_rule: TissueRule | None = None,
) -> Iterator[SlideReport]:
    """Open every slide, make sure that it is whole, and draw its tissue if asked.

    Args:
        slides: The files.
        slide_mpp: µm/px of all slides that `mpp_table` does not list.
        mpp_table: µm/px by slide, as `read_mpp_csv` gives it.
        pictures: A folder for one PNG a slide.
        tissue_rule: What counts as tissue in them.

    Yields:
        A report a slide, in the same order; a slide that cannot be used does not stop the others.
    """
    names = _picture_names(slides)
    for path, name in zip(slides, names, strict=True):
        listed = mpp_of(path, mpp_table or {})
        try:
            yield _look_at(path, slide_mpp if listed is None else listed, pictures and pictures / name, tissue_rule)
        except (DataError, OSError) as error:
            problem = str(error) if isinstance(error, DataError) else f"{path}: {error.strerror or error}"
            yield SlideReport(path, problem=" ".join(problem.split()))


def _look_at(path: Path, slide_mpp: float | None, picture: Path | None, tissue_rule: TissueRule | None) -> SlideReport:
    with open_slide(path, slide_mpp=slide_mpp) as slide:
        slide.verify()
        if picture is None:
            return SlideReport(path, slide.facts())
        from hviskd.slides.tissue import tissue_mask
        from hviskd.slides.tissue_picture import draw_tissue_outline

        tissue = tissue_mask(slide, tissue_rule)
        draw_tissue_outline(slide, tissue, picture)
        facts = slide.facts()
        if tissue.note:
            facts["notes"].append(tissue.note)
        return SlideReport(path, facts, tissue.area_um2 / 1e6, picture)


def _picture_names(slides: Sequence[Path]) -> list[str]:
    """Name each slide's picture after its file; of equal names in different folders, the later ones get a number."""
    seen: dict[str, int] = {}
    names = []
    for path in slides:
        seen[path.name] = seen.get(path.name, 0) + 1
        number = f".{seen[path.name]}" if seen[path.name] > 1 else ""
        names.append(f"{path.name}{number}.png")
    return names
