"""Lists the slides of a cutting with their annotations and patients."""

from collections.abc import Sequence
from pathlib import Path

from hviskd.cutting.patients import patients_of
from hviskd.cutting.report import SlideReport
from hviskd.cutting.slide_cut import Failed, Listed
from hviskd.errors import DataError
from hviskd.file_names import AnnotationFolder
from hviskd.slides import CohortSlide


def list_slides(
    cohort: Sequence[CohortSlide],
    annotations: AnnotationFolder | None,
    patients: Path | str | None,
) -> list[Listed | Failed]:
    """Find each slide's annotation and patient; annotations among the slides are skipped. None: nothing is annotated.

    Raises:
        DataError: There is no slide left, two have one name, or `patients` does not tell the patient of each.
    """
    annotated: dict[Path, Path | DataError | None] = {}
    for slide in cohort:
        try:
            annotated[slide.path] = None if annotations is None else annotations.of(slide.path)
        except DataError as error:
            annotated[slide.path] = error
    drawn = {found.resolve() for found in annotated.values() if isinstance(found, Path)}
    cohort = [slide for slide in cohort if slide.path.resolve() not in drawn]
    if not cohort:
        raise DataError("no slides to cut; give slides or folders of slides")
    seen: dict[str, Path] = {}
    for path in (slide.path for slide in cohort):
        if seen.setdefault(path.stem, path) is not path:
            raise DataError(
                f"{path}: has the same name as {seen[path.stem]}; rename one, since tiles are named after it"
            )
    listed: list[Listed | Failed] = []
    for slide, patient in zip(cohort, patients_of([slide.path for slide in cohort], patients), strict=True):
        found = annotated[slide.path]
        if isinstance(found, DataError):
            known = SlideReport(slide=slide.path.stem, path=str(slide.path), patient=patient)
            listed.append(Failed.because_of(found, known))
        else:
            listed.append(Listed(slide.path, patient, slide.slide_mpp, found))
    return listed
