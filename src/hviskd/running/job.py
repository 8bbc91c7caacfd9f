"""What a job and a place to run it owe each other."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from hviskd.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")
_Item = TypeVar("_Item", contravariant=True)
_Result = TypeVar("_Result", covariant=True)

Report = Callable[[Any], None]
"""Called with each result as soon as it is available, possibly from another thread."""


class Job(Protocol[_Item, _Result]):
    """Work in pieces, none of which needs another."""

    def run(self, items: Sequence[_Item], told: Callable[[_Result], None], progress: Progress | None) -> None:
        """Do some pieces in this process, and tell the result of each; one that fails has a result, too.

        What is costly to make ready is made once and kept for the next call.
        """

    def size(self, item: _Item) -> int:
        """Return how much work a piece is, in any unit, and the same in every process."""

    def name(self, item: _Item) -> str:
        """Return the name of a piece, which no other piece has, and which is the same in every process."""


class Running(Protocol):
    """A place where the pieces of jobs are done.

    Attributes:
        claiming: Whether other processes may be given the same pieces, so that each has to be claimed.
    """

    @property
    def claiming(self) -> bool:
        """See above."""

    def run(self, job: Job[Item, Result], items: Sequence[Item], progress: Progress | None = None) -> list[Result]:
        """Do the pieces that fall to this process or its workers, and return their results, in any order."""
