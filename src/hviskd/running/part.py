"""One part of several, for queues such as SLURM: each process finds its own share, and asks no other."""

import heapq
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hviskd.errors import DataError
from hviskd.progress import Progress
from hviskd.running.here import Here
from hviskd.running.job import Item, Job, Report, Result


@dataclass(frozen=True)
class Part:
    """Does one share of the pieces in this process; other processes do the others, without any lock between them.

    Attributes:
        number: Of this part, from 1.
        of: How many there are.
        report: Called with each result as soon as it is available, possibly from another thread.

    Raises:
        DataError: There is no such part.
    """

    number: int
    of: int
    report: Report | None = None
    claiming: ClassVar[bool] = False  # no other part has the same pieces
    remote: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Reject parts that do not exist."""
        if not 1 <= self.number <= self.of:
            raise DataError(f"`part='{self.number}/{self.of}'`: must be K/N with K from 1 to N, such as 3/20")

    @classmethod
    def parse(cls, text: str, report: Report | None = None) -> "Part":
        """Read a part written as `3/20`.

        Raises:
            DataError: This is no part, or there is none such.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip(), re.ASCII)
        if found is None:
            raise DataError(f"`part={text!r}`: must be K/N with K from 1 to N, such as 3/20")
        return cls(int(found[1]), int(found[2]), report)

    def run(self, job: Job[Item, Result], items: Sequence[Item], progress: Progress | None = None) -> list[Result]:
        """Do this part's pieces one after the other."""
        parts = parts_of({job.name(item): job.size(item) for item in items}, self.of)
        mine = [item for item in items if parts[job.name(item)] == self.number]
        return Here(self.report).run(job, mine, progress)


def parts_of(sizes: Mapping[str, int], of: int) -> dict[str, int]:
    """Return which part each piece belongs to, from 1: the largest goes first, each to the part with least so far.

    The result does not depend on the order of the pieces, so that processes that list them differently agree. The
    largest part has at most 4/3 − 1/(3N) times what the best division would give it (Graham 1969, theorem 2).

    Args:
        sizes: Of each piece, by its name.
        of: Number of parts.
    """
    loads = [(0, 0, part) for part in range(1, of + 1)]  # its size, its pieces, its number
    found = {}
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        load, pieces, part = loads[0]
        heapq.heapreplace(loads, (load + sizes[name], pieces + 1, part))
        found[name] = part
    return found
