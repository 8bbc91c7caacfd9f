"""Assigns a folder to each slide of a cohort, the same in every run."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hviskd.errors import DataError
from hviskd.segmentation.outputs import SUMMARY, read_summary
from hviskd.slides import CohortSlide
from hviskd.slides.slide_files import place_digest, slide_fingerprint


def assign_folders(slides: Sequence[CohortSlide], output: Path) -> list[Path]:
    """Assign a folder to each slide: `output/STEM`, or `output/STEM-xxxxxxxx` if slides share the name.

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
    """Return whether a slide may be written to a folder; content alone does not distinguish copies of a slide."""
    try:
        summary = read_summary(folder) if (folder / SUMMARY).is_file() else None
        if summary is None or summary.place == place_digest(slide):
            return alone or summary is not None
        return alone and summary.map.slide_fingerprint == slide_fingerprint(slide)
    except DataError:
        return alone
    except OSError:  # the slide cannot be read, and will say so itself
        return False
