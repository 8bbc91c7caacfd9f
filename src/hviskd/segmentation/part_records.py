"""What became of each part of a cohort: one small file per part, from which the table of all slides is put together.

Parts know nothing of each other but the sizes of the slides as the first has seen them. Each writes its record when it
has attempted all its slides, in one step and under a name of its own, so that none has to lock anything; one that was
killed has no record.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hviskd.errors import DataError
from hviskd.running.part import Part, parts_of
from hviskd.segmentation.mapping_job import MappingJob, SlideTask
from hviskd.segmentation.outcomes import SlideOutcome, writable
from hviskd.segmentation.outputs import read_summary
from hviskd.storage import fingerprint, read_json, write_json, write_once

_FOLDER = ".parts"


class RecordedSlide(BaseModel):
    """The outcome of one slide: its folder's name, its state, and why it failed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str
    state: Literal["done", "kept", "failed"]
    problem: str = ""


class PartRecord(BaseModel):
    """The outcomes of a part.

    Attributes:
        request: Stands for the Model, the settings and the list of slides, which all parts must share.
        part: Number of the part, from 1.
        of: How many there are.
        slides: Its share.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = 1
    request: str
    part: int
    of: int
    slides: tuple[RecordedSlide, ...]


@dataclass(frozen=True)
class Gathered:
    """What all records together say.

    Attributes:
        outcomes: One per slide, in their order; failed if no part has finished it.
        missing: Sentences that name the parts that have not finished; empty if every slide has an outcome.
    """

    outcomes: tuple[SlideOutcome, ...]
    missing: tuple[str, ...]


def agreed_sizes(job: MappingJob, tasks: Sequence[SlideTask]) -> MappingJob:
    """Return the job with the sizes of slides that all parts share the work by: what the first part to begin has seen.

    So each slide is in one part, even if its size cannot be read on one computer, or changes between two parts.
    """
    path = _sizes_file(job, tasks)
    sizes = _read_sizes(path)
    if sizes is None:
        write_once(path, json.dumps({job.name(task): job.size(task) for task in tasks}))
        sizes = _read_sizes(path)
    return replace(job, sizes=sizes)


def write_part(job: MappingJob, tasks: Sequence[SlideTask], part: Part, outcomes: Sequence[SlideOutcome]) -> None:
    """Write the record of a part.

    Args:
        job: What was done.
        tasks: All slides of the cohort.
        part: Which part this is.
        outcomes: Of its share.
    """
    slides = tuple(
        RecordedSlide(
            folder=writable(outcome.folder.name),
            state=outcome.state,
            problem=outcome.problem.replace(str(outcome.slide), writable(outcome.slide.name)),
        )
        for outcome in outcomes
    )
    record = PartRecord(request=_request(job, tasks), part=part.number, of=part.of, slides=slides)
    write_json(job.output / _FOLDER / f"{part.number}-of-{part.of}.json", record.model_dump(mode="json"))


def gather_parts(job: MappingJob, tasks: Sequence[SlideTask]) -> Gathered:
    """Put together what the parts have recorded; records of other slides, settings or Models do not count."""
    job = replace(job, sizes=_read_sizes(_sizes_file(job, tasks)))
    records = _read(job.output / _FOLDER, _request(job, tasks))
    told = {slide.folder: slide for record in records for slide in record.slides}
    of = records[-1].of if records else 1
    parts = parts_of({job.name(task): job.size(task) for task in tasks}, of)
    outcomes, absent = [], set()
    for task in tasks:
        outcome = _outcome(task, told.get(job.name(task)))
        if outcome is None:
            absent.add(parts[job.name(task)])
            reason = f"part {parts[job.name(task)]} of {of} has not finished" if records else "no part has finished"
            problem = f"{writable(task.slide.path.name)}: not segmented, for {reason}; run it again"
            outcome = SlideOutcome(task.slide.path, task.folder, "failed", problem=problem)
        outcomes.append(outcome)
    if not absent:
        return Gathered(tuple(outcomes), ())
    if not records:
        return Gathered(tuple(outcomes), ("no part with these slides, settings and Model has finished",))
    named = ", ".join(str(part) for part in sorted(absent))
    return Gathered(tuple(outcomes), (f"of {of} parts, these have not finished: {named}",))


def _outcome(task: SlideTask, told: RecordedSlide | None) -> SlideOutcome | None:
    """Return the outcome of a slide as its part recorded it; None if that is missing, or the map no longer there."""
    if told is None:
        return None
    if told.state == "failed":
        return SlideOutcome(task.slide.path, task.folder, "failed", problem=told.problem)
    try:
        return SlideOutcome(task.slide.path, task.folder, told.state, read_summary(task.folder))
    except DataError:
        return None


def _request(job: MappingJob, tasks: Sequence[SlideTask]) -> str:
    slides = {job.name(task): task.slide.slide_mpp for task in tasks}
    return fingerprint(slides, sorted(job.settings.write), *job.shaping)


def _sizes_file(job: MappingJob, tasks: Sequence[SlideTask]) -> Path:
    return job.output / _FOLDER / f"sizes-{_request(job, tasks)}.json"


def _read_sizes(path: Path) -> dict[str, int] | None:
    """Return the size of each slide by its folder's name; None if no part has begun, or the file is damaged."""
    try:
        return {str(name): int(size) for name, size in read_json(path).items()}
    except (DataError, OSError, AttributeError, TypeError, ValueError):
        return None


def _read(folder: Path, request: str) -> list[PartRecord]:
    """Return the records that answer a request, the newest last."""
    found: list[tuple[int, PartRecord]] = []
    for path in sorted(folder.glob("*-of-*.json")):
        with suppress(DataError, ValidationError, OSError):  # one that cannot be read counts as missing
            found.append((path.stat().st_mtime_ns, PartRecord.model_validate(read_json(path))))
    return [record for _, record in sorted(found, key=lambda pair: pair[0]) if record.request == request]
