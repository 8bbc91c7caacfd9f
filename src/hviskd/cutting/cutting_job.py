"""A cutting on a cluster: workers look at slides and cut them apart, and this process puts the tiles together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from hviskd.annotations import Legend
from hviskd.cutting.parts import Parts
from hviskd.cutting.settings import CutSettings
from hviskd.cutting.slide_cut import Allotted, Failed, Job, Listed, LookedAt
from hviskd.errors import DataError
from hviskd.file_names import as_given
from hviskd.progress import Progress
from hviskd.running import Running, Undemanding
from hviskd.slides.slide_files import known_bytes

Step = Listed | Allotted
Taken = LookedAt | Allotted | Failed


@dataclass(frozen=True)
class CuttingJob(Undemanding):
    """What a process needs to look at a slide, or to cut one whose number of tiles is known.

    Attributes:
        settings: Of the cutting; its `workers` are the threads of a process.
        legend: The classes.
        labelled: Whether tiles get labels.
        target: Where the TileSet shall stand.
    """

    settings: CutSettings
    legend: Legend
    labelled: bool
    target: Path
    pieces: ClassVar[str] = "slides"
    memory_bytes: ClassVar[int] = 2**30

    @property
    def output(self) -> Path:
        """The folder of finished parts."""
        return self._parts.folder

    @property
    def _parts(self) -> Parts:
        return Parts(self.target, tile_px=self.settings.tile_px, made_with="", overwrite=False)

    @cached_property
    def job(self) -> Job:
        """What applies to all slides, in this process."""
        return Job(self.settings, self.legend, self._parts, self.settings.threads, self.labelled)

    def run(self, items: Sequence[Step], told: Callable[[Taken], None], progress: Progress | None) -> None:
        """Do the next step of slides, one after the other."""
        for item in items:
            told(item.look(self.job) if isinstance(item, Listed) else item.cut_apart(self.job))

    def size(self, item: Step) -> int:
        """Return the bytes of a slide's files, or its number of tiles."""
        return known_bytes(item.path) if isinstance(item, Listed) else int(item.quota.sum())

    def name(self, item: Step) -> str:
        """Return the name of a slide."""
        return item.report.slide

    def with_threads(self, threads: int) -> Self:
        """Return the job for a worker that has so many threads; what the user gave stands."""
        return replace(self, settings=replace(self.settings, workers=self.settings.workers or threads))

    def lost(self, item: Step, problem: str) -> Failed:
        """Return the result of a slide that no worker survived."""
        return Failed.because_of(DataError(f"{item.report.path}: {problem}"), item.report)


def look_on(
    cluster: Running, job: CuttingJob, slides: Sequence[Listed | Failed], progress: Progress | None
) -> list[LookedAt | Failed]:
    """Look at slides on the workers of a cluster, and return them in their order."""
    return _on(cluster, job, slides, progress)


def cut_on(
    cluster: Running, job: CuttingJob, slides: Sequence[Allotted | Failed], progress: Progress | None
) -> list[Allotted | Failed]:
    """Cut slides apart on the workers of a cluster, and return them in their order."""
    return _on(cluster, job, slides, progress)


def _on(cluster: Running, job: CuttingJob, slides: Sequence[Step | Failed], progress: Progress | None) -> list[Any]:
    """Do the next step of slides; workers, who have other working directories, are given absolute paths."""
    items = [slide for slide in slides if not isinstance(slide, Failed)]
    sent = [item.absolute() for item in items]
    done = {taken.report.slide: taken for taken in cluster.run(job, sent, progress)} if items else {}
    return [slide if isinstance(slide, Failed) else _as_given(done[slide.report.slide], slide) for slide in slides]


def _as_given(taken: Taken, item: Step) -> Taken:
    """Return what became of an item, with the paths as the user spelled them."""
    if isinstance(taken, Allotted):
        assert isinstance(item, Allotted)
        return item
    given, there = item.report, taken.report
    report = there.model_copy(update={"path": given.path, "annotation": given.annotation})
    if isinstance(taken, LookedAt):
        assert isinstance(item, Listed)
        return replace(taken, slide=item, report=report)
    problem = as_given(there.problem or "", filter(None, (given.path, given.annotation)))
    return Failed(report.model_copy(update={"problem": problem}))
