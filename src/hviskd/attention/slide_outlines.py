"""Reads an expert's outlines of whole slides, for the tiles that were cut from them."""

from functools import cache
from pathlib import Path

from hviskd.annotations import DEFAULT_TOLERANCE, Annotation, Legend, read_annotation
from hviskd.annotations.coco import read_coco
from hviskd.cutting import read_report
from hviskd.cutting.report import REPORT_FILE
from hviskd.errors import DataError
from hviskd.file_names import OUTLINE_SUFFIXES, AnnotationFolder, is_of_many, qc_folder, slide_names
from hviskd.slide_frame import SlideFrame
from hviskd.slides import open_slide
from hviskd.tiles import TileSet


class SlideOutlines:
    """Annotations of the slides of a TileSet, in a folder as `cut_slides` takes it.

    In memory are the annotation of one slide at a time, and files that outline many slides.

    Some programs count from the corner of the scanned part, and masks are scaled: only the slide itself tells. It is
    looked for where the tiles were cut from, in the report beside the TileSet.

    Args:
        folder: Holds the annotations.
        tileset: Its tiles know their place on a slide.
        legend: Its classes, without which masks are not read.

    Attributes:
        without_slide: Slides, by name, that are no longer there, so that their outlines are taken to count from the
            slide's corner.
    """

    def __init__(self, folder: Path, tileset: TileSet, legend: Legend | None) -> None:
        self.without_slide: set[str] = set()
        self._folder = AnnotationFolder(folder, "outlines" if legend is None else None)
        self._legend, self._options = legend, tileset.card.origin.options
        report = qc_folder(tileset.folder)
        slides = read_report(report).slides if (report / REPORT_FILE).is_file() else ()
        self._slides = {slide.slide: slide for slide in slides}
        self._last: tuple[str, Annotation | None] | None = None
        self._read_coco = cache(read_coco)  # one file may outline all slides

    def of(self, slide: str) -> Annotation | None:
        """Read what is drawn on a slide, in its level-0 px; None if nothing is.

        Raises:
            DataError: The slide has several files, its file is damaged or does not fit it, or is a mask without it.
        """
        if self._last is None or self._last[0] != slide:  # the tiles of a slide are consecutive
            self._last = slide, self._read(slide)
        return self._last[1]

    def _read(self, name: str) -> Annotation | None:
        cut = self._slides.get(name)
        slide = Path(cut.path if cut else f"{name}.svs")  # any ending, for the name to be what stands before it
        path = self._folder.find(slide)
        if path is None:
            return None
        shared = self._read_coco(path) if is_of_many(path) else None
        if shared is not None and not shared.has(slide_names(slide)):
            return None
        frame = self._frame(slide, None if cut is None else cut.mpp)
        if frame is None:
            self.without_slide.add(name)
            if path.suffix.lower() not in OUTLINE_SUFFIXES:
                raise DataError(f"{path}: a mask needs its slide, and {slide} is missing; put it back, or cut again")
        if shared is not None:
            return shared.outlines(slide_names(slide), legend=self._legend, frame=frame)
        tolerance = self._options.get("tolerance", DEFAULT_TOLERANCE)
        assert isinstance(tolerance, int | float)
        return read_annotation(path, legend=self._legend, frame=frame, slide=slide.name, tolerance=tolerance)

    def _frame(self, path: Path, mpp: float | None) -> SlideFrame | None:
        """Return the frame of a slide, as it was when the tiles were cut; None if the slide is missing."""
        if not path.is_file():
            return None
        with open_slide(path, slide_mpp=mpp) as slide:
            return slide.frame(no_crop=bool(self._options.get("no_crop")))
