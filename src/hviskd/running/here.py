"""The plain way: all pieces, in this process."""

from collections.abc import Sequence
from dataclasses import dataclass

from hviskd.progress import Progress
from hviskd.running.job import Item, Job, Report, Result


@dataclass(frozen=True)
class Here:
    """Does every piece in this process.

    Attributes:
        report: Called with each result as soon as it is available, possibly from another thread.
    """

    report: Report | None = None

    @property
    def claiming(self) -> bool:
        """Several processes may be started alike: each piece is done by one of them."""
        return True

    @property
    def remote(self) -> bool:
        """It is this process."""
        return False

    def run(self, job: Job[Item, Result], items: Sequence[Item], progress: Progress | None = None) -> list[Result]:
        """Do the pieces one after the other."""
        results: list[Result] = []

        def told(result: Result) -> None:
            results.append(result)
            if self.report is not None:
                self.report(result)

        job.run(items, told, progress)
        return results
