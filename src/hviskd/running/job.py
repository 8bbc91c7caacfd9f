"""What a job and a place to run it owe each other."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

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


@runtime_checkable
class RemoteJob(Job[_Item, _Result], Protocol[_Item, _Result]):
    """Work that other computers can do as well; it is sent there pickled.

    Attributes:
        output: Folder that they all must see; None if nothing is written.
        memory_bytes: What a worker needs at least.
        pieces: What pieces are called, such as `slides`.
    """

    @property
    def output(self) -> Path | None:
        """See above."""

    @property
    def pieces(self) -> str:
        """See above."""

    @property
    def memory_bytes(self) -> int:
        """See above."""

    def with_threads(self, threads: int) -> Self:
        """Return the job for a worker that has so many threads, unless their number is settled."""

    def obstacle(self) -> str:
        """Return why this process cannot do the job, as what it is or does; nothing if it can."""

    def lost(self, item: _Item, problem: str) -> _Result:
        """Return the result of a piece that no worker survived."""


class Undemanding:
    """Of a job: any process can do it, each piece by one thread; what it cannot read, the piece itself says."""

    def with_threads(self, threads: int) -> Self:
        """Return the job as it is."""
        return self

    def obstacle(self) -> str:
        """Return nothing."""
        return ""


class Running(Protocol):
    """A place where the pieces of jobs are done.

    Attributes:
        claiming: Whether other processes may be given the same pieces, so that each has to be claimed.
        remote: Whether pieces are done by processes with other working directories.
    """

    @property
    def claiming(self) -> bool:
        """See above."""

    @property
    def remote(self) -> bool:
        """See above."""

    def run(self, job: Job[Item, Result], items: Sequence[Item], progress: Progress | None = None) -> list[Result]:
        """Do the pieces that fall to this process or its workers, and return their results, in any order."""
