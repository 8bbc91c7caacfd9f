"""Cuts slides into a TileSet: with labels by their annotations, or without.

First every slide is looked at: which squares are tiles of which class. Then the cap is shared out, and only then are
pixels read, of the chosen tiles alone. What is finished is kept beside the output until all is.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hviskd.annotations import Legend, load_legend
from hviskd.cutting.candidates import ANY_TISSUE
from hviskd.cutting.cutting_job import CuttingJob, cut_on, look_on
from hviskd.cutting.fair_draw import share_cap
from hviskd.cutting.parts import PARTS_VERSION, Parts
from hviskd.cutting.report import REPORT_FILE, CutReport
from hviskd.cutting.settings import CutSettings
from hviskd.cutting.slide_cut import Allotted, Cut, Failed, Job, Listed, LookedAt
from hviskd.cutting.slide_list import list_slides
from hviskd.errors import DataError
from hviskd.file_names import AnnotationFolder, qc_folder
from hviskd.progress import Progress, progress_bar
from hviskd.running import Running
from hviskd.slides import CohortSlide, find_cohort
from hviskd.slides.remote_path import as_remote
from hviskd.storage import atomic_folder, fingerprint, require_free, write_json
from hviskd.threads import in_threads
from hviskd.tiles.card import CARD_FILE, Origin, TileSetCard
from hviskd.tiles.tileset import TileSet
from hviskd.tiles.writing import TileSetWriter, new_card

_LOOKED_AT_ONCE = 2  # slides; each takes a thread for its annotation and one for its tissue, and memory for both


def cut_slides(
    slides: Path | str | Sequence[Path | str | CohortSlide],
    output: Path | str,
    *,
    annotations: AnnotationFolder | Path | str | None,
    legend: Legend | Path | str | None,
    patients: Path | str | None = None,
    settings: CutSettings | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TileSet:
    """Cut the squares of a grid that lie within one class, at one µm/px, from any number of slides.

    With `annotations` and `legend` both None, cut squares of tissue instead, for a TileSet without labels.

    A slide that cannot be cut does not stop the others; `read_report(qc_folder(output))` lists it with the reason, and
    what was left out of each slide. To continue after an interruption, repeat the call.

    Args:
        slides: A slide, a folder of slides, a CSV with the column slide, or any number of them; or the result of
            `find_cohort`, with the µm/px of slides whose metadata lacks it. Annotations among them are skipped.
        output: Folder for the TileSet; images and report are beside it, in `qc_folder(output)`.
        annotations: Folder of colour masks, `STEM_L.jpg`, `STEM_mask.png` or `STEM.tif` for the slide `STEM.…`, or of
            outlines, `STEM.geojson`, `STEM.json`, `STEM.xml` and so on; an `AnnotationFolder` selects one kind if the
            folder has both; None, together with `legend`: cut without labels. Then the cap is the maximum number of
            all tiles, divided as evenly as possible among slides.
        legend: The classes: a Legend, the name of a built-in one, or a YAML file; None as above.
        patients: `ivygap`, `tcga`, a regular expression with one group, or a CSV with the columns slide and patient;
            None: unknown.
        settings: Settings of cutting; by default those of `CutSettings`.
        overwrite: Replace an existing TileSet, and an unfinished cutting with other settings.
        progress: Called with done, total and what is being done; a bar by default.

    Returns:
        The TileSet. The tiles of a slide are consecutive, row by row.

    Raises:
        RunningError: A cluster or one of its workers cannot do the work.
        DataError: The output exists, two slides have the same name, no slide gave a tile, or only one of `annotations`
            and `legend` was given.
        OutputError: The disk is full; finished slides are kept, and the same call continues.
    """
    output = Path(output).resolve()
    if (annotations is None) != (legend is None):
        raise DataError("`annotations` and `legend` go together: give both, or neither to cut without labels")
    folder = annotations if isinstance(annotations, AnnotationFolder | None) else AnnotationFolder(annotations)
    labelled = legend is not None
    legend = ANY_TISSUE if legend is None else legend if isinstance(legend, Legend) else load_legend(legend)
    settings, cluster = _without_cluster((settings or CutSettings()).under(legend))
    cohort = find_cohort(slides)
    listed = list_slides(cohort, folder, patients)
    require_free(output, overwrite=overwrite, replaces=(CARD_FILE, "TileSet"))
    require_free(qc_folder(output), overwrite=True, replaces=(REPORT_FILE, "report of a cutting"))
    drawn = {"annotations": str(folder.folder), "kind": folder.kind, "legend": legend.name} if folder else {}
    options = {**drawn, "patients": None if patients is None else str(patients), **settings.on_card(labelled=labelled)}
    card = _card(listed, legend if labelled else None, settings, options)
    shaping = {**asdict(settings), "licence": None, "workers": None}
    made_with = fingerprint(PARTS_VERSION, shaping, legend.model_dump(mode="json"), options["patients"])
    with Parts(output, tile_px=settings.tile_px, made_with=made_with, overwrite=overwrite) as parts:
        job = Job(settings, legend, parts, settings.threads, labelled)
        apart = CuttingJob(settings, legend, labelled, output)
        looked = _look(job, listed, progress) if cluster is None else look_on(cluster, apart, listed, progress)
        allotted = _share_out(job, looked)
        if cluster is not None:
            allotted = cut_on(cluster, apart, allotted, progress)
        with parts.tiles:
            done = _cut(job, allotted, progress)
        report = CutReport(
            options=options,
            classes=legend.names,
            slides=tuple(slide.report for slide in done),
            passed_over=cohort.notes,
        )
        _finish(job, done, TileSetWriter(output, card, overwrite=overwrite), output, report)
    return TileSet.open(output)


def _without_cluster(settings: CutSettings) -> tuple[CutSettings, Running | None]:
    """Return the settings for one process, and the cluster if there is one."""
    cluster = None if isinstance(settings.workers, int | None) else settings.workers
    return (settings if cluster is None else replace(settings, workers=None)), cluster


def _card(
    listed: Sequence[Listed | Failed], legend: Legend | None, settings: CutSettings, options: dict[str, Any]
) -> TileSetCard:
    source = ", ".join(
        sorted({str((as_remote(slide.report.path) or Path(slide.report.path)).parent) for slide in listed})
    )
    return new_card(
        legend.names if legend else (),
        colours=legend.colours if legend else (),
        tile_px=settings.tile_px,
        mpp=settings.mpp,
        stain=settings.stain,
        icc=settings.icc,
        labelled=legend is not None,
        origin=Origin(verb="tiles cut", source=source, options=options, licence=settings.licence),
    )


def _look(job: Job, slides: Sequence[Listed | Failed], progress: Progress | None) -> list[LookedAt | Failed]:
    looked = []
    threads = min(_LOOKED_AT_ONCE, job.threads)

    def look(slide: Listed | Failed) -> LookedAt | Failed:
        return slide if isinstance(slide, Failed) else slide.look(job)

    with progress_bar("analysing slides", len(slides), progress) as advance:
        for slide in in_threads(look, slides, threads=threads, ahead=threads):
            looked.append(slide)
            advance(note=slide.report.slide)
    return looked


def _share_out(job: Job, slides: Sequence[LookedAt | Failed]) -> list[Allotted | Failed]:
    """Assign to each slide the number of tiles of each class to cut."""
    looked = [slide for slide in slides if isinstance(slide, LookedAt)]
    available = np.array([each.available for each in looked]).reshape(-1, len(job.legend.names))
    if job.settings.cap_per_slide is not None:
        available = np.minimum(available, job.settings.cap_per_slide)
    names = [each.report.slide for each in looked]
    # Without labels slides share the cap, not patients: what is wanted is the spread of stains and scans.
    owners = [each.report.patient if job.labelled else None for each in looked]
    quotas = iter(share_cap(available, names, owners, job.settings.cap, job.settings.seed))
    return [Allotted(slide, next(quotas)) if isinstance(slide, LookedAt) else slide for slide in slides]


def _cut(job: Job, slides: Sequence[Allotted | Failed], progress: Progress | None) -> list[Cut | Failed]:
    """Cut the tiles of one slide after the other into the parts' file."""
    total = sum(int(slide.quota.sum()) for slide in slides if isinstance(slide, Allotted))
    with progress_bar("cutting tiles", total, progress) as advance:
        return [slide.cut(job, advance) if isinstance(slide, Allotted) else slide for slide in slides]


def _finish(job: Job, done: Sequence[Cut | Failed], writer: TileSetWriter, output: Path, report: CutReport) -> None:
    """Make the TileSet from the finished parts, with report and images beside it, or raise why there are no tiles."""
    cut = [slide for slide in done if isinstance(slide, Cut)]
    if not job.parts.tiles.count:
        stands = (output / CARD_FILE).is_file()
        if not stands:  # the report of a TileSet that stays, stays too
            with _qc(job, cut, report, qc_folder(output)):
                pass
        job.parts.remove()
        raise _nothing(output, report, told=not stands)
    with job.parts.writing(), _qc(job, cut, report, qc_folder(output)), writer:
        writer.take(job.parts.tiles.path, (row for slide in cut for row in slide.rows(job)))
        _tell_left_out(writer, report)
    job.parts.remove()


@contextmanager
def _qc(job: Job, slides: Sequence[Cut], report: CutReport, folder: Path) -> Iterator[None]:
    """Write report and images, which are moved into place after the block, together with the TileSet."""
    with atomic_folder(folder, overwrite=True) as partial:
        write_json(partial / REPORT_FILE, report.to_json())
        for slide in slides:
            shutil.copyfile(job.parts.picture(slide.key), partial / f"{slide.report.slide}.png")
        yield


def _tell_left_out(writer: TileSetWriter, report: CutReport) -> None:
    for reason, counts in report.left_out().items():
        writer.drop(f"squares {reason}", times=sum(counts.values()))
    for failed in report.failed:
        writer.drop("slides that could not be cut", failed.slide, failed.problem or "")


def _nothing(output: Path, report: CutReport, *, told: bool) -> DataError:
    """Return the reason why there are no tiles, and where the details are."""
    if len(report.failed) == len(report.slides):
        return DataError(f"no slide could be cut: {report.failed[0].problem} ({len(report.slides)} in all)")
    reasons = ", ".join(f"{sum(counts.values()):,} {reason}" for reason, counts in report.left_out().items())
    more = f"; see {qc_folder(output)}" if told else ""
    return DataError(f"{output}: no tiles; squares left out: {reasons}{more}")
