"""Segments any number of slides into one folder each; the verb `segment` calls it.

While one slide is classified, the next is opened and the one before is written. A slide counts as done by its
`summary.json` alone, the last file of its folder, and only while slide, Model and settings are what they were then.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Literal

from hviskd.errors import DataError
from hviskd.segmentation.loading import EngineChoice, LateEngine, find_model
from hviskd.segmentation.map_folders import assign_folders
from hviskd.segmentation.outputs import SUMMARY, Summary, read_summary, write_files, write_summary
from hviskd.segmentation.preparing import PreparedSlide, Request, prepare_slide
from hviskd.segmentation.segmenting import classify
from hviskd.segmentation.slide_map import SlideMap
from hviskd.slides import CohortSlide, TissueRule
from hviskd.slides.slide_files import changed_at, place_digest, slide_fingerprint
from hviskd.storage import fingerprint, write_text
from hviskd.threads import in_threads

if TYPE_CHECKING:
    from hviskd.models import Model

SLIDES_CSV = "slides.csv"
OUTDATED = "summary.outdated.json"  # what a summary is called after its slide failed to be done again
_VERSION = 1  # higher whenever the same slide, Model and settings would give other files


@dataclass(frozen=True)
class SlideOutcome:
    """What became of one slide.

    Attributes:
        slide: Its file.
        folder: Where its map stands, or would stand.
        state: `done`, `kept` from an earlier run, or `failed`.
        summary: Of its map; None where it failed.
        problem: Why it failed, in one line; empty where it did not.
    """

    slide: Path
    folder: Path
    state: Literal["done", "kept", "failed"]
    summary: Summary | None = None
    problem: str = ""


@dataclass(frozen=True)
class _Task:
    """One slide, and where its map is to stand."""

    slide: CohortSlide
    folder: Path
    title: str

    def failed(self, error: DataError | OSError) -> SlideOutcome:
        text = str(error)
        if isinstance(error, DataError):
            with suppress(OSError):  # a map from before, of another slide, Model or setting, must not pass for this one
                (self.folder / SUMMARY).rename(self.folder / OUTDATED)
        else:
            text = f"{error.filename or self.slide.path}: {error.strerror or error}"
        return SlideOutcome(self.slide.path, self.folder, "failed", problem=" ".join(_shown(text).split()))


@dataclass(frozen=True, eq=False)
class _Begun:
    """A slide that is open, to be classified."""

    task: _Task
    fingerprint: str
    prepared: PreparedSlide


@dataclass(frozen=True, eq=False)
class _Classified:
    """A slide that is classified, to be written."""

    begun: _Begun
    slide_map: SlideMap


def segment_cohort(
    model: "Model | Path | str",
    slides: Sequence[CohortSlide | Path | str],
    output: Path | str,
    *,
    mpp: float | None = None,
    stride_px: int | None = None,
    min_tissue: float = 0.5,
    tissue_rule: TissueRule | None = None,
    unsure_below: float | None = None,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    report: Callable[[SlideOutcome], None] | None = None,
) -> list[SlideOutcome]:
    """Segment every slide; one that cannot be segmented does not stop the others.

    What an earlier call has finished is kept, unless the slide, the Model or a setting has changed since. `slides.csv`
    in the output folder has one row a slide, the failed ones too.

    Args:
        model: A Model, its folder, or a finished Run's, whose chosen Model is taken.
        slides: The files, or what `find_cohort` lists.
        output: A folder; each slide gets one in it.
        mpp: As for `segment`, and so are the other settings.
        stride_px: See there.
        min_tissue: See there.
        tissue_rule: See there.
        unsure_below: See there.
        engine: See there.
        precision: See there.
        device: See there.
        batch_size: See there.
        threads: See there.
        workers: See there.
        overwrite: Do again what is done.
        report: Called with each outcome as soon as it is there, perhaps from another thread.

    Returns:
        One outcome a slide, in their order.

    Raises:
        ModelError: The Model is missing or damaged, or does not know its µm/px.
        DataError: A number is impossible, or the output is a file or cannot be written to.
    """
    output = Path(output)
    if output.is_file():
        raise DataError(f"{output}: a file; name a folder for the maps")
    choice = EngineChoice(engine, precision, device, batch_size, threads, workers)
    source, card = find_model(model)
    request = Request.of(
        card,
        mpp=mpp,
        stride_px=stride_px,
        min_tissue=min_tissue,
        tissue_rule=tissue_rule,
        unsure_below=unsure_below,
    )
    run = LateEngine(choice, source)
    listed = [slide if isinstance(slide, CohortSlide) else CohortSlide(Path(slide)) for slide in slides]
    tasks = [
        _Task(slide, folder, f"{number}/{len(listed)} {_shown(slide.path.name)}")
        for number, (slide, folder) in enumerate(zip(listed, assign_folders(listed, output), strict=True), start=1)
    ]
    settings = [
        request.mpp,
        stride_px,
        min_tissue,
        asdict(request.tissue_rule),
        request.unsure_below,
        engine,
        precision,
        card.model_dump(mode="json"),
    ]
    _require_writable(output)
    begin = partial(_begin, request=request, settings=settings, engine=run, overwrite=overwrite)

    def classified() -> Iterator[SlideOutcome | _Classified]:
        for begun in in_threads(begin, tasks, threads=1, ahead=2):
            yield begun if isinstance(begun, SlideOutcome) else _classify(begun, run, choice)

    def finish(work: SlideOutcome | _Classified) -> SlideOutcome:
        outcome = work if isinstance(work, SlideOutcome) else _write(work)
        if report is not None:
            report(outcome)
        return outcome

    outcomes = list(in_threads(finish, classified(), threads=1, ahead=1))
    write_text(output / SLIDES_CSV, _table(outcomes, card.classes))
    return outcomes


def _begin(
    task: _Task, *, request: Request, settings: Sequence[object], engine: LateEngine, overwrite: bool
) -> SlideOutcome | _Begun:
    """Open a slide that is not done."""
    path, slide_mpp = task.slide.path, task.slide.slide_mpp
    try:
        made_of = fingerprint(_VERSION, slide_fingerprint(path), changed_at(path), slide_mpp, *settings)
        kept = None if overwrite else _finished(task.folder, made_of)
        if kept is not None:
            return SlideOutcome(path, task.folder, "kept", kept)
        prepared = prepare_slide(path, request, slide_mpp=slide_mpp, when_open=engine.start)
    except (DataError, OSError) as error:
        return task.failed(error)
    return _Begun(task, made_of, prepared)


def _classify(begun: _Begun, engine: LateEngine, choice: EngineChoice) -> SlideOutcome | _Classified:
    try:
        with begun.prepared.slide:
            return _Classified(begun, classify(begun.prepared, engine, choice, begun.task.title))
    except (DataError, OSError) as error:
        return begun.task.failed(error)


def _write(classified: _Classified) -> SlideOutcome:
    begun, slide_map = classified.begun, classified.slide_map
    task, watch = begun.task, begun.prepared.watch
    try:
        with watch.stage("write"):
            files = write_files(slide_map, task.folder, begun.prepared.thumbnail)
        summary = Summary.of(
            slide_map,
            files,
            seconds=watch.seconds,
            fingerprint=begun.fingerprint,
            place=place_digest(task.slide.path),
        )
        write_summary(task.folder, summary)
    except (DataError, OSError) as error:
        return task.failed(error)
    return SlideOutcome(task.slide.path, task.folder, "done", summary)


def _finished(folder: Path, fingerprint: str) -> Summary | None:
    """Give the summary of a folder that is complete and up to date."""
    if not (folder / SUMMARY).is_file():
        return None
    try:
        summary = read_summary(folder)
    except DataError:
        return None
    whole = all((folder / name).is_file() for name in summary.files)
    return summary if whole and summary.fingerprint == fingerprint else None


def _shown(text: str) -> str:
    """Give text that can be written, whatever bytes a file's name is made of."""
    return text.encode(errors="replace").decode()


def _require_writable(output: Path) -> None:
    """Refuse before the long work what could not be written after it."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise DataError(f"{output}: cannot be written to ({error.strerror}); choose another folder") from error


def _table(outcomes: Sequence[SlideOutcome], classes: Sequence[str]) -> str:
    """Put the outcomes into a CSV: names, never paths."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["slide", "folder", "state", "tiles", "tissue_mm2", *(f"{name}_mm2" for name in classes), "problem"])
    for outcome in outcomes:
        slide, folder = _shown(outcome.slide.name), _shown(outcome.folder.name)
        problem = outcome.problem.replace(str(outcome.slide), slide)
        cells: list[object] = [""] * (2 + len(classes))
        if outcome.summary is not None:
            areas = outcome.summary.areas_mm2
            cells = [outcome.summary.tiles, f"{outcome.summary.map.tissue_area_um2 / 1e6:.4f}"]
            cells += [f"{areas[name]:.4f}" for name in classes]
        rows.writerow([slide, folder, outcome.state, *cells, problem])
    return text.getvalue()
