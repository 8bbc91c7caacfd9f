"""The plain way: all pieces, in this process."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hviskd.progress import Progress
from hviskd.running.job import Item, Job, Report, Result


@dataclass(frozen=True)
class Here:
    """Does every piece in this process.

    Attributes:
        report: Called with each result as soon as it is available, possibly from another thread.
    """

    report: Report | None = None
    claiming: ClassVar[bool] = True  # several processes may be started alike: each piece is done by one of them
    remote: ClassVar[bool] = False

    def run(self, job: Job[Item, Result], items: Sequence[Item], progress: Progress | None = None) -> list[Result]:
        """Do the pieces one after the other."""
        results: list[Result] = []

        def told(result: Result) -> None:
            results.append(result)
            if self.report is not None:
                self.report(result)

        job.run(items, told, progress)
        return results
