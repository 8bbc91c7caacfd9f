"""The states of a slide in a cutting: listed, analysed, assigned its number of tiles, cut, or failed.

Each state is a type of its own, has a report of what is known by then, and leads to the next. Little of a slide is
held in memory between them, so that a cohort may have any number of slides.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from hviskd.annotations import Legend, read_annotation
from hviskd.arrays import RGB, Ints
from hviskd.cutting.candidates import Candidates, find_candidates, find_tissue
from hviskd.cutting.fair_draw import draw_tiles
from hviskd.cutting.parts import PARTS_VERSION, FinishedSlide, Parts, SlideParts, file_state
from hviskd.cutting.picture import draw_cut_tiles
from hviskd.cutting.report import IMPURE, OVER, THIN, UNLABELLED, SlideReport, by_class
from hviskd.cutting.settings import CutSettings
from hviskd.errors import DataError, in_words
from hviskd.processor import give_back_memory
from hviskd.progress import Advance
from hviskd.slides import (
    Slide,
    StainTransfer,
    TissueMask,
    fit_slide_stain,
    open_slide,
    stain_to_json,
    stain_transfer,
    tissue_mask,
)
from hviskd.slides.slide_files import slide_state
from hviskd.slides.tile_reading import read_tiles
from hviskd.storage import fingerprint
from hviskd.tiles.tileset import digest_of
from hviskd.tiles.writing import TileRow

_GIVE_BACK_EVERY = 50  # neighbourhoods; the allocator keeps what threads free, and ever more of it
_OF_THE_DRAW = ("cap", "cap_per_slide", "seed", "stain")  # settings that change no candidate


@dataclass(frozen=True)
class Job:
    """What applies to all slides of a cutting: settings, classes, where finished parts are, and if tiles get labels."""

    settings: CutSettings
    legend: Legend
    parts: Parts
    threads: int
    labelled: bool = True


@dataclass(frozen=True)
class Failed:
    """A slide that cannot be cut; its report has the reason."""

    report: SlideReport

    @classmethod
    def because_of(cls, error: Exception, report: SlideReport) -> "Failed":
        """Give up on a slide, for the reason of an error, with what is known for the report."""
        return cls(report.model_copy(update={"problem": " ".join(in_words(error, report.path).split())}))


@dataclass(frozen=True)
class Listed:
    """A slide as listed, with its annotation and patient.

    Attributes:
        path: Its file.
        patient: Whose it is, if known.
        slide_mpp: µm/px that the user gave, if any.
        annotation: The file of what was drawn on it; None in a cutting without labels.
    """

    path: Path
    patient: str | None
    slide_mpp: float | None
    annotation: Path | None

    @property
    def report(self) -> SlideReport:
        """What is known of the slide before it is opened; its tiles are named after its file, without suffix."""
        annotation = None if self.annotation is None else str(self.annotation)
        return SlideReport(slide=self.path.stem, path=str(self.path), patient=self.patient, annotation=annotation)

    def absolute(self) -> "Listed":
        """Return the same with absolute paths."""
        annotation = None if self.annotation is None else self.annotation.absolute()
        return replace(self, path=self.path.absolute(), annotation=annotation)

    def look(self, job: Job) -> "LookedAt | Failed":
        """Find the slide's candidates, unless they are stored, and count them."""
        try:
            found = self.candidates(job)
        except (DataError, OSError) as error:
            return Failed.because_of(error, self.report)
        classes = job.legend.names
        left_out = {IMPURE: found.impure, THIN: found.thin}
        facts = {
            "mpp": found.mpp,
            "icc": found.icc,
            "squares": found.grid.columns * found.grid.rows,
            "left_out": {
                **{reason: some for reason, counts in left_out.items() if (some := by_class(classes, counts))},
                **({UNLABELLED: {"": found.unlabelled}} if found.unlabelled else {}),
            },
            "notes": found.notes,
        }
        return LookedAt(self, self.report.model_copy(update=facts), found.available(len(classes)))

    def candidates(self, job: Job) -> Candidates:
        """Return the possible tiles of the slide, stored or newly found."""
        key = self.key(job)
        if (known := job.parts.candidates(key)) is not None:
            return known
        with _opened(job, self) as slide, ThreadPoolExecutor(1) as beside:
            slide.verify()
            tissue = beside.submit(tissue_mask, slide, job.settings.tissue)
            found = self._found(job, slide, tissue)
        job.parts.keep_candidates(key, found)
        give_back_memory()
        return found

    def _found(self, job: Job, slide: Slide, tissue: Future[TissueMask]) -> Candidates:
        if self.annotation is None:
            return find_tissue(slide, tissue.result(), job.settings)
        tolerance, frame = job.settings.tolerance, slide.frame(no_crop=job.settings.no_crop)
        drawn = read_annotation(
            self.annotation, legend=job.legend, frame=frame, slide=self.path.name, tolerance=tolerance
        )
        return find_candidates(slide, drawn, tissue.result(), job.settings)

    def key(self, job: Job) -> str:
        """Return the name under which the candidates are stored, which depends on everything that shapes them."""
        settings = {k: v for k, v in job.settings.on_card().items() if k not in _OF_THE_DRAW}
        files = (
            [str(self.path.resolve()), *slide_state(self.path)],
            None if self.annotation is None else file_state(self.annotation),
        )
        return fingerprint(PARTS_VERSION, *files, self.slide_mpp, settings, job.legend.model_dump(mode="json"))


@dataclass(frozen=True, eq=False)
class LookedAt:
    """A slide whose candidates are counted: `available`, (K,), by class."""

    slide: Listed
    report: SlideReport
    available: Ints


@dataclass(frozen=True, eq=False)
class Allotted:
    """A slide with its assigned number of tiles: `quota`, (K,), by class."""

    looked: LookedAt
    quota: Ints

    @property
    def report(self) -> SlideReport:
        """What is known of the slide."""
        return self.looked.report

    def absolute(self) -> "Allotted":
        """Return the same with absolute paths; what is known stays as it was given."""
        return replace(self, looked=replace(self.looked, slide=self.looked.slide.absolute()))

    def cut(self, job: Job, advance: Advance) -> "Cut | Failed":
        """Read the slide's tiles and draw its image, unless already done."""
        slide, report = self.looked.slide, self.looked.report
        try:
            found, chosen = self.chosen(job)
            key = self.key(job, chosen)
            finished = job.parts.finished(key, len(chosen)) or job.parts.take(key, len(chosen))
            if finished is None:
                finished = _read(job, job.parts, slide, found, chosen, key, advance)
            else:
                advance(len(chosen), note=report.slide)
        except (DataError, OSError) as error:
            return Failed.because_of(error, report)
        over = by_class(job.legend.names, self.looked.available - self.quota)
        facts = {
            "tiles": by_class(job.legend.names, self.quota),
            "left_out": {**report.left_out, **({OVER: over} if over else {})},
            "notes": (*report.notes, *finished.notes),
        }
        return Cut(self, key, report.model_copy(update=facts))

    def cut_apart(self, job: Job) -> "Allotted | Failed":
        """Read the slide's tiles and draw its image, unless already done, for `cut` to take them in another process."""
        slide = self.looked.slide
        try:
            found, chosen = self.chosen(job)
            key = self.key(job, chosen)
            if not job.parts.is_cut(key, len(chosen)):
                with job.parts.apart(key) as parts:
                    _read(job, parts, slide, found, chosen, key, lambda *_, **__: None)
        except (DataError, OSError) as error:
            return Failed.because_of(error, self.looked.report)
        return self

    def key(self, job: Job, chosen: Ints) -> str:
        """Return the name under which the slide's tiles are stored."""
        stain = None if job.settings.stain is None else stain_to_json(job.settings.stain)
        return fingerprint(PARTS_VERSION, self.looked.slide.key(job), stain, chosen.tolist())

    def chosen(self, job: Job) -> tuple[Candidates, Ints]:
        """Return the slide's candidates and the positions of those to cut."""
        found = self.looked.slide.candidates(job)
        return found, draw_tiles(found.label, self.quota, self.looked.report.slide, job.settings.seed)


@dataclass(frozen=True, eq=False)
class Cut:
    """A slide whose tiles are in the parts' file; its record and image are stored under `key`."""

    allotted: Allotted
    key: str
    report: SlideReport

    def rows(self, job: Job) -> Iterator[TileRow]:
        """Return the metadata of each tile, row by row.

        Raises:
            DataError: A finished part has been taken away.
        """
        found, chosen = self.allotted.chosen(job)
        name, digests = self.report.slide, job.parts.slide(self.key).digests
        for place, digest in zip(chosen.tolist(), digests, strict=True):
            x_px, y_px = int(found.x_px[place]), int(found.y_px[place])
            yield TileRow(
                file=f"{name}_x{x_px}_y{y_px}",
                class_name=job.legend.names[found.label[place]] if job.labelled else None,
                slide=name,
                patient=self.report.patient,
                x_px=x_px,
                y_px=y_px,
                side_px=found.grid.side_px,
                split=None,
                digest=digest,
            )


def _opened(job: Job, listed: Listed) -> Slide:
    return open_slide(listed.path, slide_mpp=listed.slide_mpp, icc=job.settings.icc)


def _read(
    job: Job, parts: SlideParts, listed: Listed, found: Candidates, chosen: Ints, key: str, advance: Advance
) -> FinishedSlide:
    """Read a slide's chosen tiles into the file of these parts, and draw its image."""
    settings, digests = job.settings, [""] * len(chosen)
    with _opened(job, listed) as slide, ThreadPoolExecutor(1) as beside:
        drawn = beside.submit(_draw, job, parts, slide, found, chosen, key)
        transfer = _transfer(settings, slide, found)

        def keep(places: Ints, tiles: RGB) -> Ints:
            if transfer is not None:
                transfer(tiles, out=tiles)
            with parts.writing():
                parts.tiles.put(places, tiles)
            for place, tile in zip(places.tolist(), tiles, strict=True):
                digests[place] = digest_of(tile)
            return places

        reading = read_tiles(
            slide,
            found.x_px[chosen],
            found.y_px[chosen],
            tile_px=settings.tile_px,
            mpp=settings.mpp,
            threads=job.threads,
            then=keep,
        )
        for neighbourhood, places in enumerate(reading):
            advance(len(places), note=listed.path.stem)
            if neighbourhood % _GIVE_BACK_EVERY == 0:
                give_back_memory()
        drawn.result()
    give_back_memory()
    notes = (f"stain not normalised: {transfer.problem}",) if transfer and transfer.problem else ()
    return parts.finish(key, digests, notes)


def _draw(job: Job, parts: SlideParts, slide: Slide, found: Candidates, chosen: Ints, key: str) -> None:
    with parts.writing():
        draw_cut_tiles(slide, found, chosen, job.legend, parts.picture(key))


def _transfer(settings: CutSettings, slide: Slide, found: Candidates) -> StainTransfer | None:
    if settings.stain is None:
        return None
    source = fit_slide_stain(slide, found.tissue, method=settings.stain.method, mpp=settings.mpp)
    return stain_transfer(source, settings.stain)
