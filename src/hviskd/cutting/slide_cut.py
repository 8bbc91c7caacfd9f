"""One slide on its way through a cutting: looked at, given its share, then cut; `cut_slides` takes each this way.

Little of a slide is held in memory between the steps, so that a cohort may have any number of them.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hviskd.annotations import Legend, read_annotation
from hviskd.arrays import RGB, Ints
from hviskd.cutting.candidates import Candidates, TileRule, find_candidates
from hviskd.cutting.fair_draw import draw_tiles
from hviskd.cutting.parts import PARTS_VERSION, FinishedSlide, Parts, file_state
from hviskd.cutting.picture import draw_cut_tiles
from hviskd.cutting.report import IMPURE, OVER, THIN, UNLABELLED, SlideReport
from hviskd.errors import DataError
from hviskd.processor import give_back_memory
from hviskd.progress import Advance
from hviskd.slides import (
    Slide,
    Stain,
    StainTransfer,
    TissueRule,
    fit_slide_stain,
    open_slide,
    stain_to_json,
    stain_transfer,
    tissue_mask,
)
from hviskd.slides.tile_reading import read_tiles
from hviskd.storage import fingerprint
from hviskd.tiles.tileset import digest_of
from hviskd.tiles.writing import TileRow

_GIVE_BACK_EVERY = 50  # neighbourhoods; the allocator keeps what threads free, and ever more of it


@dataclass(frozen=True)
class Job:
    """What holds for all slides of a cutting.

    Attributes:
        rule: What makes a tile.
        tissue_rule: What counts as tissue.
        legend: The classes.
        tolerance: How far a mask colour may lie from its legend colour.
        reference: The stain to give all tiles, if any.
        seed: Of the draw.
        threads: How many read at the same time.
        parts: Where finished parts are kept.
    """

    rule: TileRule
    tissue_rule: TissueRule
    legend: Legend
    tolerance: float
    reference: Stain | None
    seed: int
    threads: int
    parts: Parts


@dataclass(frozen=True, eq=False)
class SlideCut:
    """One slide: what is given of it, then what was found, then how much is to be cut; or why it failed.

    Attributes:
        path: Its file.
        patient: Whose it is, if known.
        slide_mpp: µm/px that the user gave, if any.
        annotation: What was drawn on it.
        mpp: µm/px that counts.
        squares: How many squares its grid has.
        available: (K,) tiles it could give, by class.
        left_out: Squares left out, by reason and class.
        quota: (K,) tiles to be cut, by class.
        notes: What a user should know.
        problem: Why it cannot be cut; None if it can.
    """

    path: Path
    patient: str | None
    slide_mpp: float | None
    annotation: Path | None = None
    mpp: float | None = None
    squares: int = 0
    available: Ints | None = None
    left_out: dict[str, dict[str, int]] | None = None
    quota: Ints | None = None
    notes: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def name(self) -> str:
        """The name by which its tiles go: that of its file, without suffix."""
        return self.path.stem

    def failed(self, error: Exception) -> "SlideCut":
        """Give up on the slide, for the reason that `error` tells."""
        text = f"{error.filename or self.path}: {error.strerror}" if isinstance(error, OSError) else str(error)
        return replace(self, available=None, quota=None, problem=" ".join(text.split()))

    def look(self, job: Job) -> "SlideCut":
        """Find the slide's candidates, unless that is done, and count them."""
        if self.problem is not None:
            return self
        try:
            found = job.parts.candidates(self._look_key(job)) or self._find(job)
        except (DataError, OSError) as error:
            return self.failed(error)
        names = job.legend.names
        left_out = {
            IMPURE: dict(zip(names, found.impure.tolist(), strict=True)),
            THIN: dict(zip(names, found.thin.tolist(), strict=True)),
            UNLABELLED: {"": found.unlabelled},
        }
        squares = found.grid.columns * found.grid.rows
        return replace(
            self,
            mpp=found.mpp,
            squares=squares,
            available=found.available(len(names)),
            left_out=left_out,
            notes=found.notes,
        )

    def cut(self, job: Job, advance: Advance) -> "SlideCut":
        """Read the slide's tiles and draw its picture, unless that is done."""
        if self.quota is None:
            return self
        try:
            found, chosen = self._chosen(job)
            key = self._cut_key(job, chosen)
            finished = job.parts.finished(key, len(chosen))
            if finished is None:
                finished = self._read(job, found, chosen, key, advance)
            else:
                advance(len(chosen), note=self.name)
        except (DataError, OSError) as error:
            return self.failed(error)
        return replace(self, notes=(*self.notes, *finished.notes))

    def rows(self, job: Job) -> Iterator[TileRow]:
        """Tell of each tile that was cut, row by row.

        Raises:
            DataError: A finished part has been taken away.
        """
        if self.quota is None:
            return
        found, chosen = self._chosen(job)
        digests = job.parts.slide(self._cut_key(job, chosen)).digests
        for place, digest in zip(chosen.tolist(), digests, strict=True):
            x_px, y_px = int(found.x_px[place]), int(found.y_px[place])
            yield TileRow(
                file=f"{self.name}_x{x_px}_y{y_px}",
                class_name=job.legend.names[found.label[place]],
                slide=self.name,
                patient=self.patient,
                x_px=x_px,
                y_px=y_px,
                side_px=found.grid.side_px,
                split=None,
                digest=digest,
            )

    def picture(self, job: Job) -> Path:
        """Give where the slide's picture was drawn."""
        return job.parts.picture(self._cut_key(job, self._chosen(job)[1]))

    def report(self, job: Job) -> SlideReport:
        """Tell what became of the slide."""
        cut = self.quota if self.quota is not None and self.problem is None else None
        names, left_out = job.legend.names, dict(self.left_out or {})
        if cut is not None and self.available is not None:
            left_out[OVER] = dict(zip(names, (self.available - cut).tolist(), strict=True))
        return SlideReport(
            slide=self.name,
            path=str(self.path),
            patient=self.patient,
            annotation=None if self.annotation is None else str(self.annotation),
            mpp=self.mpp,
            squares=self.squares,
            tiles={} if cut is None else {name: n for name, n in zip(names, cut.tolist(), strict=True) if n},
            left_out={
                why: kept for why, counts in left_out.items() if (kept := {k: n for k, n in counts.items() if n})
            },
            notes=self.notes,
            problem=self.problem,
        )

    def _find(self, job: Job) -> Candidates:
        assert self.annotation is not None
        key = self._look_key(job)
        with open_slide(self.path, slide_mpp=self.slide_mpp) as slide, ThreadPoolExecutor(1) as beside:
            slide.verify()
            tissue = beside.submit(tissue_mask, slide, job.tissue_rule)
            drawn = read_annotation(self.annotation, legend=job.legend, size=slide.size, tolerance=job.tolerance)
            found = find_candidates(slide, drawn, tissue.result(), job.rule)
        job.parts.keep_candidates(key, found)
        del drawn  # as large as the mask
        give_back_memory()
        return found

    def _chosen(self, job: Job) -> tuple[Candidates, Ints]:
        """Give the slide's candidates and the positions of those to be cut."""
        assert self.quota is not None
        found = job.parts.candidates(self._look_key(job)) or self._find(job)
        return found, draw_tiles(found.label, self.quota, self.name, job.seed)

    def _read(self, job: Job, found: Candidates, chosen: Ints, key: str, advance: Advance) -> FinishedSlide:
        digests = [""] * len(chosen)
        with open_slide(self.path, slide_mpp=self.slide_mpp) as slide, ThreadPoolExecutor(1) as beside:
            drawn = beside.submit(self._draw, job, slide, found, chosen, key)
            transfer = _transfer(job, slide, found)

            def keep(places: Ints, tiles: RGB) -> Ints:
                if transfer is not None:
                    transfer(tiles, out=tiles)
                with job.parts.writing():
                    job.parts.tiles.put(places, tiles)
                for place, tile in zip(places.tolist(), tiles, strict=True):
                    digests[place] = digest_of(tile)
                return places

            reading = read_tiles(
                slide,
                found.x_px[chosen],
                found.y_px[chosen],
                tile_px=job.rule.tile_px,
                mpp=job.rule.mpp,
                threads=job.threads,
                then=keep,
            )
            for neighbourhood, places in enumerate(reading):
                advance(len(places), note=self.name)
                if neighbourhood % _GIVE_BACK_EVERY == 0:
                    give_back_memory()
            drawn.result()
        give_back_memory()
        notes = (f"stain left as it is: {transfer.problem}",) if transfer and transfer.problem else ()
        return job.parts.finish(key, digests, notes)

    def _draw(self, job: Job, slide: Slide, found: Candidates, chosen: Ints, key: str) -> None:
        with job.parts.writing():
            draw_cut_tiles(slide, found, chosen, job.legend, job.parts.picture(key))

    def _look_key(self, job: Job) -> str:
        assert self.annotation is not None
        files = file_state(self.path), file_state(self.annotation)
        legend = job.legend.model_dump(mode="json")
        rules = asdict(job.rule), asdict(job.tissue_rule)
        return fingerprint(PARTS_VERSION, *files, self.slide_mpp, *rules, legend, job.tolerance)

    def _cut_key(self, job: Job, chosen: Ints) -> str:
        stain = None if job.reference is None else stain_to_json(job.reference)
        return fingerprint(PARTS_VERSION, self._look_key(job), stain, chosen.tolist())


def _transfer(job: Job, slide: Slide, found: Candidates) -> StainTransfer | None:
    if job.reference is None:
        return None
    source = fit_slide_stain(slide, found.tissue, method=job.reference.method, mpp=job.rule.mpp)
    return stain_transfer(source, job.reference)
