"""What a cohort is expected to take, with intervals, from a sample of its slides that `planning.py` has measured."""

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_WORKERS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Estimate:
    """A number of all slides together.

    Attributes:
        expected: The estimate.
        interval: Its 95 % interval; None where a single slide was sampled, which has no spread.
    """

    expected: float
    interval: tuple[float, float] | None

    def times(self, factor: float) -> "Estimate":
        """Return the estimate of a number that is so many times as large."""
        ends = self.interval
        return Estimate(self.expected * factor, ends and (ends[0] * factor, ends[1] * factor))

    def worded(self, words: Callable[[float], str]) -> tuple[str, str]:
        """Return the estimate and its interval as text."""
        return words(self.expected), "unknown" if self.interval is None else " – ".join(map(words, self.interval))


@dataclass(frozen=True)
class SampledSlide:
    """What was measured of one slide.

    Attributes:
        slide: Its file.
        size: Bytes of its files; 0 if unknown.
        tiles: Its tiles on tissue.
        classified: How many of them were classified; the others count as the same work each.
        seconds: To open it, detect its tissue, classify all its tiles and write its map, one after the other.
        map_bytes: Size of its map's files.
        problem: Why it cannot be segmented, in one line; empty if it can.
    """

    slide: Path
    size: int
    tiles: int = 0
    classified: int = 0
    seconds: float = 0.0
    map_bytes: int = 0
    problem: str = ""


@dataclass(frozen=True)
class CohortPlan:
    """What a cohort is expected to take on computers like this one.

    Attributes:
        sizes: Bytes of each slide's files, in the order of the slides; 0 if unknown.
        sample: The slides that were measured, drawn at random.
        engine: That classified them; empty if no tile was classified.
        start_s: Seconds that each process takes to load it.
        notes: What was found beside the slides and is not mapped, a sentence for each kind.
    """

    sizes: tuple[int, ...]
    sample: tuple[SampledSlide, ...]
    engine: str
    start_s: float
    notes: tuple[str, ...] = ()

    HEADER = ("", "expected", "95 % interval")

    @property
    def tiles(self) -> Estimate:
        """Number of tiles; known exactly if every slide was sampled."""
        return self._total([slide.tiles for slide in self.sample], exact=len(self.sample) == len(self.sizes))

    @property
    def map_bytes(self) -> Estimate:
        """Size of the maps' files."""
        return self._total([slide.map_bytes for slide in self.sample])

    @property
    def seconds(self) -> Estimate:
        """Seconds of work on this computer, the stages of each slide one after the other."""
        return self._total([slide.seconds for slide in self.sample])

    @property
    def failed(self) -> tuple[SampledSlide, ...]:
        """The sampled slides that cannot be segmented."""
        return tuple(slide for slide in self.sample if slide.problem)

    def seconds_on(self, workers: int) -> Estimate:
        """Return the seconds until the last of so many workers has finished, each on a computer like this one.

        Whoever is free takes the largest slide that is left, so that no worker waits before the last slides.
        """
        total = self.seconds
        free_at = [0.0] * min(workers, len(self.sizes))
        weights = sorted(self._weights, reverse=True)
        second = total.expected / sum(weights)
        for weight in weights:
            heapq.heapreplace(free_at, free_at[0] + weight * second)
        last = max(free_at)
        on_one = total.expected or 1.0
        found = total.times(last / on_one)
        ends = found.interval
        return Estimate(found.expected + self.start_s, ends and (ends[0] + self.start_s, ends[1] + self.start_s))

    def rows(self) -> list[tuple[str, str, str]]:
        """Return the plan as text, in the columns of `HEADER`."""
        rows = [("tiles", *self.tiles.worded(lambda tiles: f"{tiles:,.0f}")), ("maps", *self.map_bytes.worded(_bytes))]
        for workers in _WORKERS:
            if workers == 1 or workers <= len(self.sizes):
                where = "time on this computer" if workers == 1 else f"on {workers} workers, each a computer like it"
                rows.append((where, *self.seconds_on(workers).worded(_time)))
        return rows

    def statements(self) -> list[str]:
        """Return what was measured, and what the intervals do and do not say, in sentences."""
        cut_short = sum(slide.classified < slide.tiles for slide in self.sample)
        said = [
            f"{len(self.sizes):,} slides with {_bytes(sum(self.sizes))}; sampled at random: {len(self.sample):,}"
            + (f", classified by {self.engine}" if self.engine else "")
            + (f"; of {cut_short:,} only a part of the tiles was classified" if cut_short else "")
        ]
        if len(self.sample) == 1 < len(self.sizes):
            said.append("a single slide says nothing of the spread; expect other numbers")
        elif len(self.sizes) > 1:
            said.append("the intervals come from the spread over the sampled slides, not from other load of computers")
        if self.failed:
            said.append(f"{len(self.failed):,} of the sampled slides cannot be segmented, and count as no work")
        return said

    @property
    def _weights(self) -> list[int]:
        return [max(1, size) for size in self.sizes]

    def _total(self, values: Sequence[float], *, exact: bool = False) -> Estimate:
        """Return the ratio estimate of a total by the slides' sizes, with Student's interval.

        Cochran (1977), Sampling Techniques, 3rd ed., section 6.3: the total of y is R times the total of x with
        R = Σy / Σx over the sample, and its variance N² Σ(y − R x)² / (n (n − 1)), here without the correction for
        finite cohorts, since a sampled slide takes other seconds the next time.

        Args:
            values: Of each sampled slide.
            exact: Whether they are those of all slides, and certain.
        """
        from scipy import stats

        weights = [max(1, slide.size) for slide in self.sample]
        ratio = sum(values) / sum(weights)
        total, n = ratio * sum(self._weights), len(values)
        if exact:
            return Estimate(total, (total, total))
        if n < 2:
            return Estimate(total, None)
        squares = sum((value - ratio * weight) ** 2 for value, weight in zip(values, weights, strict=True))
        error = len(self.sizes) * math.sqrt(squares / (n * (n - 1))) * float(stats.t.ppf(0.975, n - 1))
        return Estimate(total, (max(float(sum(values)), total - error), total + error))

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        problems = [(slide.slide.name, slide.problem) for slide in self.failed]
        failed = show.table(("slide", "cannot be segmented because"), problems) if problems else ""
        return show.table(self.HEADER, self.rows()) + "".join(map(show.paragraph, self.statements())) + failed


def _bytes(number: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{_three_digits(number / size)} {unit}"
    return f"{_three_digits(number / 1e3)} kB"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{_three_digits(seconds / 3600)} h"


def _three_digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 99.5 else f"{number:.3g}"
