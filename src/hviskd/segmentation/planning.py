"""Measures a few slides of a cohort, to say what all of them will take; writes nothing that stays."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from hviskd.errors import DataError, in_words
from hviskd.models import AnyModel, find_model
from hviskd.models.compute import Compute, LateEngine
from hviskd.progress import Progress, progress_bar, silent
from hviskd.segmentation.outcomes import writable
from hviskd.segmentation.outputs import Summary, write_files, write_summary
from hviskd.segmentation.plan import CohortPlan, SampledSlide
from hviskd.segmentation.preparing import PreparedSlide, prepare_slide
from hviskd.segmentation.segmenting import MapEngines, classify, map_of
from hviskd.segmentation.settings import MapSettings, Request
from hviskd.segmentation.slide_map import SlideMap
from hviskd.slides import CohortSlide, find_cohort
from hviskd.slides.slide_files import known_bytes

if TYPE_CHECKING:
    from hviskd.models.engines import Engine

_SLIDES_AT_LEAST = 20  # for which the time suffices if nothing but classifying takes any


def plan_cohort(
    model: AnyModel,
    slides: Path | str | Sequence[CohortSlide | Path | str],
    *,
    settings: MapSettings | None = None,
    compute: Compute | None = None,
    minutes: float = 2.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> CohortPlan:
    """Estimate what segmenting a cohort takes: tiles, hours here and on several workers, and bytes of the maps.

    Slides are drawn at random, and each is segmented as `segment_cohort` would, but only a part of a large one (coarse
    to fine all of it), and its map is deleted. Slides that are finished count like all others.

    Args:
        model: As for `segment_cohort`.
        slides: As for `segment_cohort`.
        settings: What to map.
        compute: How to compute.
        minutes: Time for the sample; one slide is measured in any case.
        seed: Of the draw; which slides are drawn depends on it and their names alone, how many on the time.
        progress: Called with done, total and what is being done, in seconds; a bar by default.

    Raises:
        ModelError: As for `segment_cohort`.
        DataError: There are no slides, the step does not suit the Model, or `minutes` is not above 0.
    """
    if not minutes > 0:
        raise DataError(f"`minutes={minutes}`: must be above 0")
    source, card = find_model(model)
    settings = settings or MapSettings()
    cohort = find_cohort(slides)
    request = Request.of(card, settings)
    engines = MapEngines(compute or Compute(), source, request)
    probe = _Probe(request, settings, engines, 60 * minutes / _SLIDES_AT_LEAST)
    ordered = sorted(cohort, key=lambda slide: slide.path.as_posix())
    drawn = [ordered[place] for place in np.random.default_rng(seed).permutation(len(ordered))]
    sample: list[SampledSlide] = []
    began = time.monotonic()
    with progress_bar("sampling slides", round(60 * minutes), progress) as advance:
        told_s = 0
        for slide in drawn:
            spent = time.monotonic() - began
            if sample and spent * (1 + 1 / len(sample)) > 60 * minutes:  # the next would take too long
                break
            sample.append(probe.measure(slide))
            now_s = min(round(time.monotonic() - began), round(60 * minutes))
            advance(now_s - told_s, note=writable(slide.path.name))
            told_s = now_s
    sizes = tuple(known_bytes(slide.path) for slide in cohort)
    return CohortPlan(sizes, tuple(sample), probe.engine_name, probe.start_s, cohort.notes)


class _Clock:
    """Adds up seconds of work."""

    seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began


@dataclass
class _Probe:
    """Measures slide after slide with one engine.

    Attributes:
        request: What to map.
        settings: Which files to write.
        engines: The engines.
        most_s: Seconds of classifying a slide, after which the rest of its tiles is taken to be alike.
        engine_name: What the engine turned out to be; empty before the first tile.
        start_s: Seconds from the first slide's opening to a warm engine.
    """

    request: Request
    settings: MapSettings
    engines: MapEngines
    most_s: float
    engine_name: str = ""
    start_s: float = 0.0

    def measure(self, slide: CohortSlide) -> SampledSlide:
        """Return what a slide takes; one that cannot be segmented takes nothing."""
        size = known_bytes(slide.path)
        clock = _Clock()
        try:
            with clock.running():
                prepared = prepare_slide(slide.path, self.request, slide_mpp=slide.slide_mpp)
            with prepared.slide:
                slide_map, classified, seconds = self._classify(prepared)
                with clock.running():
                    map_bytes = self._write(prepared, slide_map)
        except (DataError, OSError) as error:
            return SampledSlide(slide.path, size, problem=" ".join(writable(in_words(error, slide.path)).split()))
        return SampledSlide(slide.path, size, len(prepared), classified, clock.seconds + seconds, map_bytes)

    def _classify(self, prepared: PreparedSlide) -> tuple[SlideMap, int, float]:
        """Return the map of a slide, how many tiles were classified for it, and the seconds that all would take."""
        if self.engines.low is not None and len(prepared):
            return self._classify_all(prepared, self.engines.low)
        count = len(prepared)
        probabilities = np.zeros((count, len(prepared.request.card.classes)), np.float32)
        if not count:
            return map_of(prepared, probabilities, "none"), 0, 0.0
        began = time.perf_counter()
        run = self.engines.full()
        own = np.zeros(count, bool)
        clock = _Clock()
        with closing(prepared.batches(run.tiles_per_call, self.engines.compute.readers)) as batches:
            while not own.all() and clock.seconds < self.most_s:
                with clock.running():
                    places, tiles = next(batches)
                if not self.engine_name:  # the first batch of an engine takes longer than any other
                    run(tiles)
                    self._began(run, began)
                with clock.running():
                    probabilities[places] = run(tiles)
                own[places] = True
        known = np.flatnonzero(own)
        before = np.maximum(np.searchsorted(known, np.arange(count), side="right") - 1, 0)
        slide_map = map_of(prepared, probabilities[known[before]], self.engine_name)
        return slide_map, len(known), clock.seconds * count / len(known)

    def _classify_all(self, prepared: PreparedSlide, low: LateEngine) -> tuple[SlideMap, int, float]:
        """Classify all tiles: how many have to be looked at closely is not known before."""
        if not self.engine_name:
            began = time.perf_counter()
            for run in (low(), self.engines.full()):
                run(np.zeros((run.tiles_per_call, run.tile_px, run.tile_px, 3), np.uint8))
            self._began(run, began)
        clock = _Clock()
        with clock.running():
            slide_map = classify(prepared, self.engines, progress=silent)
        return slide_map, len(prepared), clock.seconds

    def _began(self, run: "Engine", began_s: float) -> None:
        self.engine_name = f"{run.name}, {run.precision} on {run.device}"
        self.start_s = time.perf_counter() - began_s

    def _write(self, prepared: PreparedSlide, slide_map: SlideMap) -> int:
        """Write the files of a map, and return their size; tiles not classified look like those before them."""
        with TemporaryDirectory(prefix="hviskd-plan-") as folder:
            files = write_files(slide_map, Path(folder), prepared.thumbnail, self.settings.write)
            write_summary(Path(folder), Summary.of(slide_map, files))
            return sum(file.stat().st_size for file in Path(folder).iterdir())
