"""Segments any number of slides into one folder each.

While one slide is classified, the next is opened and the one before is written. A slide counts as done by its
`summary.json` alone, the last file of its folder, and only while slide, Model and settings are what they were then.
Several processes may segment into one folder: each claims a slide before it opens it, and passes over the claimed ones
until nothing else is left to do.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

from hviskd.claims import LOOK_S, Claims
from hviskd.errors import DataError
from hviskd.models import AnyModel, find_model
from hviskd.models.card import ModelCard
from hviskd.models.compute import Compute, LateEngine
from hviskd.progress import Progress, progress_bar
from hviskd.segmentation.live_file import LiveFile, LiveRow
from hviskd.segmentation.map_folders import assign_folders
from hviskd.segmentation.outcomes import CohortMaps, SlideOutcome, writable
from hviskd.segmentation.outputs import SUMMARY, Summary, file_names, read_summary, write_files, write_summary
from hviskd.segmentation.preparing import PreparedSlide, prepare_slide
from hviskd.segmentation.segmenting import classify
from hviskd.segmentation.settings import MapSettings, Request
from hviskd.segmentation.slide_map import SlideMap
from hviskd.slides import CohortSlide, find_cohort
from hviskd.slides.slide_files import changed_at, place_digest, slide_fingerprint
from hviskd.storage import fingerprint, write_text
from hviskd.threads import in_threads

SLIDES_CSV, CLAIMS = "slides.csv", ".claims"
OUTDATED = "summary.outdated.json"  # what a summary is called after its slide failed to be done again
_VERSION = 2  # higher whenever the same slide, Model and settings would give other files


@dataclass(frozen=True)
class _Task:
    """One slide, and the folder for its map."""

    slide: CohortSlide
    folder: Path
    title: str

    @property
    def place(self) -> str:
        """What stands for where the slide lies."""
        return place_digest(self.slide.path)

    def failed(self, error: DataError | OSError) -> SlideOutcome:
        text = str(error)
        if isinstance(error, DataError):
            with suppress(OSError):  # a map from before, of another slide, Model or setting, must not pass for this one
                (self.folder / SUMMARY).rename(self.folder / OUTDATED)
        else:
            text = f"{error.filename or self.slide.path}: {error.strerror or error}"
        return SlideOutcome(self.slide.path, self.folder, "failed", problem=" ".join(writable(text).split()))


@dataclass(frozen=True)
class _Elsewhere:
    """A slide that another process is at work on."""

    task: _Task


@dataclass(frozen=True, eq=False)
class _Begun:
    """An open slide, ready to be classified."""

    task: _Task
    fingerprint: str
    prepared: PreparedSlide


@dataclass(frozen=True, eq=False)
class _Classified:
    """A classified slide, ready to be written."""

    begun: _Begun
    slide_map: SlideMap


def segment_cohort(
    model: AnyModel,
    slides: Path | str | Sequence[CohortSlide | Path | str],
    output: Path | str,
    *,
    settings: MapSettings | None = None,
    compute: Compute | None = None,
    overwrite: bool = False,
    report: Callable[[SlideOutcome], None] | None = None,
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
        report: Called with each outcome as soon as it is available, possibly from another thread.
        progress: Called with done, total and what is being done, slide after slide; bars by default.

    Returns:
        One outcome per slide, in their order.

    Raises:
        ModelError: The Model is missing or damaged, or its µm/px is unknown.
        DataError: There are no slides, the step does not suit the Model, or the output is a file or not writable.
    """
    output = Path(output)
    if output.is_file():
        raise DataError(f"{output}: is a file; give a folder for the maps")
    settings, compute = settings or MapSettings(), compute or Compute()
    source, card = find_model(model)
    request = Request.of(card, settings)
    engine = LateEngine(compute, source)
    listed = find_cohort(slides)
    tasks = _tasks(listed, output)
    shaping = _shaping(request, settings, compute, card)
    _require_writable(output)
    with Claims(output / CLAIMS) as claims, _live(output, claims, card, tasks).shown() as live:
        begin = partial(_begin, claims=claims, request=request, shaping=shaping, engine=engine, wanted=settings.write)

        def classified() -> Iterator[SlideOutcome | _Classified]:
            for begun in _all_begun(begin, tasks, overwrite=overwrite, progress=progress):
                yield begun if isinstance(begun, SlideOutcome) else _classify(begun, engine, progress, live)

        def finish(work: SlideOutcome | _Classified) -> SlideOutcome:
            outcome = work if isinstance(work, SlideOutcome) else _write(work, settings.write)
            claims.release(outcome.folder.name)
            live.finished(outcome)
            if report is not None:
                report(outcome)
            return outcome

        found = {outcome.folder: outcome for outcome in in_threads(finish, classified(), threads=1, ahead=1)}
        outcomes = tuple(found[task.folder] for task in tasks)
        maps = CohortMaps(output, card.classes, outcomes, (*listed.notes, *_mixed(outcomes)))
        with claims.holding(SLIDES_CSV):
            write_text(output / SLIDES_CSV, maps.to_csv(others=output / SLIDES_CSV))
    return maps


def _mixed(outcomes: Sequence[SlideOutcome]) -> list[str]:
    """Return a note if maps were computed in more than one way, as when the precision was left to the computer."""
    ways = [one.summary.map.engine.partition(" on ")[0] for one in outcomes if one.summary and one.summary.tiles]
    if len(set(ways)) < 2:
        return []
    counted = "; ".join(f"{way}: {ways.count(way):,}" for way in sorted(set(ways)))
    return [f"maps computed by different engines or precisions ({counted}); to change that, pass `overwrite=True`"]


def _tasks(slides: Sequence[CohortSlide], output: Path) -> list[_Task]:
    folders = assign_folders(slides, output)
    return [
        _Task(slide, folder, f"{number}/{len(slides)} {writable(slide.path.name)}")
        for number, (slide, folder) in enumerate(zip(slides, folders, strict=True), start=1)
    ]


def _shaping(request: Request, settings: MapSettings, compute: Compute, card: ModelCard) -> list[object]:
    """Return everything beside the slide that a map depends on."""
    return [
        request.mpp,
        settings.stride_px,
        request.min_tissue,
        asdict(request.tissue),
        request.unsure_below,
        compute.engine,
        compute.precision,
        card.model_dump(mode="json", exclude={"icc"}),
        *(["icc"] if request.icc else []),  # so that maps from before this choice existed still count as done
    ]


def _all_begun(
    begin: Callable[..., "SlideOutcome | _Begun | _Elsewhere"],
    tasks: Sequence[_Task],
    *,
    overwrite: bool,
    progress: Progress | None,
) -> Iterator[SlideOutcome | _Begun]:
    """Yield every slide that is free, and those of other processes when they are finished there, or given up."""
    elsewhere = []
    for begun in in_threads(partial(begin, overwrite=overwrite), tasks, threads=1, ahead=2):
        if isinstance(begun, _Elsewhere):
            elsewhere.append(begun.task)
        else:
            yield begun
    if not elsewhere:
        return
    with progress_bar("slides of another process", len(elsewhere), progress) as advance:
        while elsewhere:
            time.sleep(LOOK_S)
            for task in tuple(elsewhere):
                begun = begin(task)
                if not isinstance(begun, _Elsewhere):
                    elsewhere.remove(task)
                    advance(note=task.title)
                    yield begun


def _begin(
    task: _Task,
    *,
    claims: Claims,
    request: Request,
    shaping: Sequence[object],
    engine: LateEngine,
    wanted: Collection[str],
    overwrite: bool = False,
) -> SlideOutcome | _Begun | _Elsewhere:
    """Claim a slide, and open it if it is not finished."""
    path, slide_mpp = task.slide.path, task.slide.slide_mpp
    if not claims.take(task.folder.name):
        return _Elsewhere(task)
    try:
        made_of = fingerprint(_VERSION, slide_fingerprint(path), changed_at(path), slide_mpp, *shaping)
        kept = None if overwrite else _finished(task.folder, made_of, wanted)
        if kept is not None:
            return SlideOutcome(path, task.folder, "kept", kept)
        prepared = prepare_slide(path, request, slide_mpp=slide_mpp, when_open=engine.start)
    except (DataError, OSError) as error:
        return task.failed(error)
    return _Begun(task, made_of, prepared)


def _live(output: Path, claims: Claims, card: ModelCard, tasks: Sequence[_Task]) -> LiveFile:
    rows = [
        LiveRow(slide=writable(task.slide.path.name), place=task.place, folder=writable(task.folder.name))
        for task in tasks
    ]
    return LiveFile(output, claims, card, rows)


def _classify(
    begun: _Begun, engine: LateEngine, progress: Progress | None, live: LiveFile
) -> SlideOutcome | _Classified:
    task, prepared = begun.task, begun.prepared
    try:
        with prepared.slide:
            seen = live.begin(task.place, prepared)
            return _Classified(begun, classify(prepared, engine, title=task.title, progress=progress, classified=seen))
    except (DataError, OSError) as error:
        return task.failed(error)


def _write(classified: _Classified, wanted: Collection[str]) -> SlideOutcome:
    begun, slide_map = classified.begun, classified.slide_map
    task, watch = begun.task, begun.prepared.watch
    try:
        with watch.stage("write"):
            files = write_files(slide_map, task.folder, begun.prepared.thumbnail, wanted)
        summary = Summary.of(
            slide_map,
            files,
            seconds=watch.seconds,
            fingerprint=begun.fingerprint,
            place=task.place,
        )
        write_summary(task.folder, summary)
    except (DataError, OSError) as error:
        return task.failed(error)
    return SlideOutcome(task.slide.path, task.folder, "done", summary)


def _finished(folder: Path, fingerprint: str, wanted: Collection[str]) -> Summary | None:
    """Return the summary of a folder that is up to date and has all that is wanted."""
    if not (folder / SUMMARY).is_file():
        return None
    try:
        summary = read_summary(folder)
    except DataError:
        return None
    whole = all((folder / name).is_file() for name in summary.files)
    whole &= set(file_names(summary.map.slide, wanted)) <= set(summary.files)
    return summary if whole and summary.fingerprint == fingerprint else None


def _require_writable(output: Path) -> None:
    """Raise errors of writing before the long work."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise DataError(f"{output}: cannot be written to ({error.strerror}); choose another folder") from error
