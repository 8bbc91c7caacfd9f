"""Segments any number of slides into one folder each, here or wherever a `Running` has it done.

Several processes may segment into one folder: each claims a slide before it opens it, and passes over the claimed ones
until nothing else is left to do. Parts of a cohort need no claims: each finds its own share, and leaves a record of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile

from hviskd.claims import Claims
from hviskd.errors import DataError
from hviskd.models import AnyModel, find_model
from hviskd.models.compute import Compute
from hviskd.progress import Progress
from hviskd.running import Here, Part, Running
from hviskd.segmentation.map_folders import assign_folders
from hviskd.segmentation.mapping_job import CLAIMS, MappingJob, SlideTask
from hviskd.segmentation.outcomes import CohortMaps, SlideOutcome, writable
from hviskd.segmentation.part_records import agreed_sizes, gather_parts, write_part
from hviskd.segmentation.settings import MapSettings
from hviskd.slides import CohortSlide, find_cohort
from hviskd.storage import write_text

SLIDES_CSV = "slides.csv"


def segment_cohort(
    model: AnyModel,
    slides: Path | str | Sequence[CohortSlide | Path | str],
    output: Path | str,
    *,
    settings: MapSettings | None = None,
    compute: Compute | None = None,
    overwrite: bool = False,
    running: Running | None = None,
    progress: Progress | None = None,
) -> CohortMaps:
    """Segment every slide; one that cannot be segmented does not stop the others.

    Slides that an earlier call has finished are skipped, unless the slide, the Model or a setting has changed. Several
    processes may segment into one folder at a time: each slide is segmented by one of them. `slides.csv` in the output
    folder has one row per slide, including failed ones, and after them the other slides whose maps are in the folder.

    Args:
        model: A Model, its folder, or a finished Run or its folder, whose selected Model is used.
        slides: Slides, folders of slides or CSVs, as for `find_cohort`, or its result.
        output: Folder for the maps, with one subfolder per slide.
        settings: What to map; by default adjacent tiles with at least half tissue.
        compute: How to compute; by default the fastest way on this computer.
        overwrite: Repeat finished slides.
        running: Where to do it, and what to call with each outcome: `Here(report=print)`, the default but for the
            printing, `Part(3, 20)` for one of twenty shares, which `collect_parts` puts together, or
            `Dask("local:4")` for workers of a cluster.
        progress: Called with done, total and what is being done, slide after slide; bars by default.

    Returns:
        One outcome per slide, in their order; of a part, those of its share.

    Raises:
        ModelError: The Model is missing or damaged, or its µm/px is unknown.
        RunningError: A cluster or one of its workers cannot do the work.
        DataError: There are no slides, the step does not suit the Model, or the output is a file or not writable.
    """
    running = running or Here()
    cohort = _Cohort.of(model, slides, output, settings, compute, overwrite=overwrite, running=running)
    _require_writable(cohort.folder)
    if isinstance(running, Part):
        cohort = replace(cohort, job=agreed_sizes(cohort.job, cohort.tasks))
    found = {outcome.folder: outcome for outcome in running.run(cohort.job, cohort.tasks, progress)}
    outcomes = [found[task.folder] for task in cohort.tasks if task.folder in found]
    if isinstance(running, Part):
        return _end_part(cohort, running, outcomes)
    maps = cohort.maps(outcomes)
    with Claims(cohort.folder / CLAIMS) as claims, claims.holding(SLIDES_CSV):
        _write_table(maps)
    return maps


def collect_parts(
    model: AnyModel,
    slides: Path | str | Sequence[CohortSlide | Path | str],
    output: Path | str,
    *,
    settings: MapSettings | None = None,
    compute: Compute | None = None,
) -> CohortMaps:
    """Write `slides.csv` of a cohort that was segmented in parts, as one call for all slides would have written it.

    Args:
        model: As it was given to `segment_cohort` for each part; so are all others.
        slides: All of them.
        output: Folder of the maps.
        settings: What was mapped.
        compute: How it was computed.

    Returns:
        One outcome per slide, in their order; a slide whose part has not finished counts as failed and says so.

    Raises:
        ModelError: As for `segment_cohort`.
        DataError: There are no slides, or the output is not writable.
    """
    cohort = _Cohort.of(model, slides, output, settings, compute, overwrite=False, running=Here())
    _require_writable(cohort.folder)
    gathered = gather_parts(cohort.job, cohort.tasks)
    maps = cohort.maps(gathered.outcomes, gathered.missing)
    _write_table(maps)
    return maps


@dataclass(frozen=True)
class _Cohort:
    """What is to be done: a job and its slides."""

    job: MappingJob
    tasks: tuple[SlideTask, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        model: AnyModel,
        slides: Path | str | Sequence[CohortSlide | Path | str],
        output: Path | str,
        settings: MapSettings | None,
        compute: Compute | None,
        *,
        overwrite: bool,
        running: Running,
    ) -> "_Cohort":
        folder = Path(output)
        if folder.is_file():
            raise DataError(f"{folder}: is a file; give a folder for the maps")
        source, card = find_model(model)
        settings, compute = settings or MapSettings(), compute or Compute()
        listed = find_cohort(slides)
        if running.remote:
            folder = folder.absolute()
            source = (source if isinstance(source, Path) else source.folder).absolute()
            listed = listed.absolute()
        job = MappingJob(source, card, settings, compute, folder, overwrite, running.claiming)
        tasks = [
            SlideTask(slide, place, f"{number}/{len(listed)} {writable(slide.path.name)}")
            for number, (slide, place) in enumerate(zip(listed, assign_folders(listed, folder), strict=True), start=1)
        ]
        return cls(job, tuple(tasks), listed.notes)

    @property
    def folder(self) -> Path:
        return self.job.output

    def maps(self, outcomes: Sequence[SlideOutcome], notes: Sequence[str] = ()) -> CohortMaps:
        found = tuple(outcomes)
        return CohortMaps(self.folder, self.job.card.classes, found, (*self.notes, *_mixed(found), *notes))


def _end_part(cohort: _Cohort, part: Part, outcomes: Sequence[SlideOutcome]) -> CohortMaps:
    """Leave the record of a part, and the table of the cohort if this was the last part."""
    write_part(cohort.job, cohort.tasks, part, outcomes)
    gathered = gather_parts(cohort.job, cohort.tasks)
    if gathered.missing:
        return cohort.maps(outcomes, [*gathered.missing, "the last part writes slides.csv, or else `collect_parts()`"])
    _write_table(cohort.maps(gathered.outcomes))
    return cohort.maps(outcomes)


def _write_table(maps: CohortMaps) -> None:
    path = maps.folder / SLIDES_CSV
    write_text(path, maps.to_csv(others=path))


def _mixed(outcomes: Sequence[SlideOutcome]) -> list[str]:
    """Return a note if maps were computed in more than one way, as when the precision was left to the computer."""
    ways = [one.summary.map.engine.partition(" on ")[0] for one in outcomes if one.summary and one.summary.tiles]
    if len(set(ways)) < 2:
        return []
    counted = "; ".join(f"{way}: {ways.count(way):,}" for way in sorted(set(ways)))
    return [f"maps computed by different engines or precisions ({counted}); to change that, pass `overwrite=True`"]


def _require_writable(output: Path) -> None:
    """Raise errors of writing before the long work."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise DataError(f"{output}: cannot be written to ({error.strerror}); choose another folder") from error
