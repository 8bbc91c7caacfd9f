"""Maps slides one after the other, in this process, for `segment_cohort`.

While one slide is classified, the next is opened and the one before is written. A slide counts as done by its
`summary.json` alone, the last file of its folder, and only while slide, Model and settings are what they were then.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from hviskd.claims import LOOK_S, Claims, Unclaimed
from hviskd.errors import DataError, ModelError, in_words
from hviskd.models import find_model
from hviskd.models.card import ModelCard
from hviskd.models.compute import Compute
from hviskd.progress import Progress, progress_bar
from hviskd.segmentation.live_file import LiveFile, LiveRow
from hviskd.segmentation.outcomes import SlideOutcome, writable
from hviskd.segmentation.outputs import SUMMARY, Summary, file_names, read_summary, write_files, write_summary
from hviskd.segmentation.preparing import PreparedSlide, prepare_slide
from hviskd.segmentation.segmenting import MapEngines, classify
from hviskd.segmentation.settings import MapSettings, Request
from hviskd.segmentation.slide_map import SlideMap
from hviskd.slides import CohortSlide
from hviskd.slides.slide_files import changed_at, known_bytes, place_digest, slide_fingerprint
from hviskd.storage import fingerprint
from hviskd.threads import in_threads

if TYPE_CHECKING:
    from hviskd.models import Model

CLAIMS = ".claims"
OUTDATED = "summary.outdated.json"  # what a summary is called after its slide failed to be done again
_VERSION = 2  # higher whenever the same slide, Model and settings would give other files


@dataclass(frozen=True)
class SlideTask:
    """One slide, the folder for its map, and what to call it while it is done."""

    slide: CohortSlide
    folder: Path
    title: str

    @property
    def place(self) -> str:
        """What stands for where the slide lies."""
        return place_digest(self.slide.path)


@dataclass(frozen=True)
class _Elsewhere:
    """A slide that another process is at work on."""

    task: SlideTask


@dataclass(frozen=True, eq=False)
class _Begun:
    """An open slide, ready to be classified."""

    task: SlideTask
    fingerprint: str
    prepared: PreparedSlide


@dataclass(frozen=True, eq=False)
class _Classified:
    """A classified slide, ready to be written."""

    begun: _Begun
    slide_map: SlideMap


@dataclass(frozen=True)
class MappingJob:
    """Everything that the maps of a cohort depend on beside the slides, and the engine, once it is needed.

    Attributes:
        source: The Model, or the folder to load it from.
        card: Of the Model.
        settings: What to map.
        compute: How to compute.
        output: Folder for the maps.
        overwrite: Repeat finished slides.
        claiming: Whether other processes may be given the same slides.
        sizes: Bytes of the slides by their names, where processes have agreed on them.
    """

    source: "Model | Path"
    card: ModelCard
    settings: MapSettings
    compute: Compute
    output: Path
    overwrite: bool
    claiming: bool
    sizes: Mapping[str, int] | None = None
    pieces: ClassVar[str] = "slides"
    memory_bytes: ClassVar[int] = 2**30  # what a process needs: libraries, network and tiles being read

    def __post_init__(self) -> None:
        """Reject settings that do not suit the Model or each other."""
        self.request.suited(self.compute)

    @cached_property
    def request(self) -> Request:
        """What to map on every slide."""
        return Request.of(self.card, self.settings)

    @cached_property
    def shaping(self) -> list[object]:
        """Everything beside the slide that a map depends on."""
        request = self.request
        return [
            request.mpp,
            self.settings.stride_px,
            request.min_tissue,
            asdict(request.tissue),
            request.unsure_below,
            self.compute.engine,
            self.compute.precision,
            self.card.model_dump(mode="json", exclude={"icc", "coarse_to_fine"}),
            *(["icc"] if request.icc else []),  # so that maps from before this choice existed still count as done
            *([] if request.first_unsure_below is None else ["coarse to fine", request.first_unsure_below]),
        ]

    @cached_property
    def engines(self) -> MapEngines:
        """The engines, kept for all slides that this process maps."""
        return MapEngines(self.compute, self.source, self.request)

    def name(self, item: SlideTask) -> str:
        """Return the name of a slide's folder."""
        return writable(item.folder.name)

    def size(self, item: SlideTask) -> int:
        """Return the bytes of a slide's files, as agreed on or seen here."""
        return known_bytes(item.slide.path) if self.sizes is None else self.sizes.get(self.name(item), 0)

    def with_threads(self, threads: int) -> Self:
        """Return the job for a process that has so many threads; those that the user gave stand."""
        compute = self.compute
        readers = compute.workers or min(threads, compute.readers)
        return replace(self, compute=replace(compute, threads=compute.threads or threads, workers=readers))

    def obstacle(self) -> str:
        """Return why this process cannot map slides; nothing if it can."""
        try:
            _, card = find_model(self.source)
        except (ModelError, OSError) as error:
            return f"does not see the Model: {error}"
        return "" if card == self.card else f"sees another Model at {self.source}"

    def lost(self, item: SlideTask, problem: str) -> SlideOutcome:
        """Return the outcome of a slide that no worker survived."""
        return _failed(item, DataError(f"{item.slide.path}: {problem}"))

    def run(self, items: Sequence[SlideTask], told: Callable[[SlideOutcome], None], progress: Progress | None) -> None:
        """Map slides, and tell the outcome of each as soon as it is available, from another thread."""
        with Claims(self.output / CLAIMS) if self.claiming else Unclaimed() as claims, ExitStack() as shown:
            live = LiveFile(self.output, claims, self.card, [_row(task) for task in items])
            if self.claiming:  # whoever looks knows by the claim whether the process is still there
                shown.enter_context(live.shown())
            hand = _Hand(self, self.engines, claims, live, progress)

            def finish(work: SlideOutcome | _Classified) -> None:
                outcome = work if isinstance(work, SlideOutcome) else _write(work, self.settings)
                claims.release(outcome.folder.name)
                live.finished(outcome)
                told(outcome)

            for _ in in_threads(finish, hand.classified(items), threads=1, ahead=1):
                pass


@dataclass(frozen=True)
class _Hand:
    """One call of a job."""

    job: MappingJob
    engines: MapEngines
    claims: Claims
    live: LiveFile
    progress: Progress | None

    def classified(self, tasks: Sequence[SlideTask]) -> Iterator[SlideOutcome | _Classified]:
        """Yield every slide, classified while the next is opened."""
        for begun in self._all_begun(tasks):
            yield begun if isinstance(begun, SlideOutcome) else self._classify(begun)

    def _all_begun(self, tasks: Sequence[SlideTask]) -> Iterator[SlideOutcome | _Begun]:
        """Yield every slide that is free, and those of other processes when they are finished there, or given up."""
        elsewhere = []
        begin = partial(self._begin, overwrite=self.job.overwrite)
        for begun in in_threads(begin, tasks, threads=1, ahead=2):
            if isinstance(begun, _Elsewhere):
                elsewhere.append(begun.task)
            else:
                yield begun
        if not elsewhere:
            return
        with progress_bar("slides of another process", len(elsewhere), self.progress) as advance:
            while elsewhere:
                time.sleep(LOOK_S)
                for task in tuple(elsewhere):
                    begun = self._begin(task, overwrite=False)
                    if not isinstance(begun, _Elsewhere):
                        elsewhere.remove(task)
                        advance(note=task.title)
                        yield begun

    def _begin(self, task: SlideTask, *, overwrite: bool) -> SlideOutcome | _Begun | _Elsewhere:
        """Claim a slide, and open it if it is not finished."""
        path, slide_mpp, job = task.slide.path, task.slide.slide_mpp, self.job
        if not self.claims.take(task.folder.name):
            return _Elsewhere(task)
        try:
            made_of = fingerprint(_VERSION, slide_fingerprint(path), changed_at(path), slide_mpp, *job.shaping)
            kept = None if overwrite else _finished(task.folder, made_of, job.settings)
            if kept is not None:
                return SlideOutcome(path, task.folder, "kept", kept)
            prepared = prepare_slide(path, job.request, slide_mpp=slide_mpp, when_open=self.engines.start)
        except (DataError, OSError) as error:
            return _failed(task, error)
        return _Begun(task, made_of, prepared)

    def _classify(self, begun: _Begun) -> SlideOutcome | _Classified:
        task, prepared = begun.task, begun.prepared
        try:
            with prepared.slide:
                seen = self.live.begin(task.place, prepared)
                done = classify(prepared, self.engines, title=task.title, progress=self.progress, classified=seen)
                return _Classified(begun, done)
        except (DataError, OSError) as error:
            return _failed(task, error)


def _row(task: SlideTask) -> LiveRow:
    return LiveRow(slide=writable(task.slide.path.name), place=task.place, folder=writable(task.folder.name))


def _failed(task: SlideTask, error: DataError | OSError) -> SlideOutcome:
    if isinstance(error, DataError):
        with suppress(OSError):  # a map from before, of another slide, Model or setting, must not pass for this one
            (task.folder / SUMMARY).rename(task.folder / OUTDATED)
    text = in_words(error, task.slide.path)
    return SlideOutcome(task.slide.path, task.folder, "failed", problem=" ".join(writable(text).split()))


def _write(classified: _Classified, settings: MapSettings) -> SlideOutcome:
    begun, slide_map = classified.begun, classified.slide_map
    task, watch = begun.task, begun.prepared.watch
    try:
        with watch.stage("write"):
            files = write_files(slide_map, task.folder, begun.prepared.thumbnail, settings.write)
        summary = Summary.of(
            slide_map,
            files,
            seconds=watch.seconds,
            fingerprint=begun.fingerprint,
            place=task.place,
        )
        write_summary(task.folder, summary)
    except (DataError, OSError) as error:
        return _failed(task, error)
    return SlideOutcome(task.slide.path, task.folder, "done", summary)


def _finished(folder: Path, fingerprint: str, settings: MapSettings) -> Summary | None:
    """Return the summary of a folder that is up to date and has all that is wanted."""
    if not (folder / SUMMARY).is_file():
        return None
    try:
        summary = read_summary(folder)
    except DataError:
        return None
    whole = all((folder / name).is_file() for name in summary.files)
    whole &= set(file_names(summary.map.slide, settings.write)) <= set(summary.files)
    return summary if whole and summary.fingerprint == fingerprint else None
