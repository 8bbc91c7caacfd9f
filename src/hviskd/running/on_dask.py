"""The pieces of a job on the workers of a Dask cluster, of this computer or of many; needs the extra `dask`.

Each worker does one piece at a time and keeps what is costly between them. Which worker does which piece is decided
here, piece by piece, so that a worker that dies takes only its own piece with it.
"""

import asyncio
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self
from uuid import uuid4

from hviskd.checks import require_at_least
from hviskd.errors import RunningError
from hviskd.processor import usable_cpus
from hviskd.progress import Advance, Progress, progress_bar
from hviskd.running.job import Item, Job, RemoteJob, Report, Result

if TYPE_CHECKING:
    from distributed import Client, Future

    from hviskd.running.dask_worker import Desk

_LOOK_S = 0.5  # how often it is asked which workers there are
_SAY_S = 60.0
_DIED_WITH_IT = object()  # in place of the answer of a worker
_GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class Dask:
    """Does every piece on a worker of a Dask cluster.

    Attributes:
        scheduler: `local:4` for four workers on this computer, the address of a scheduler, the JSON file that it
            writes, or a `distributed.Client`.
        retries: How often a piece is tried again whose worker died.
        report: Called with each result as soon as it is available.

    Raises:
        DataError: `retries` is below 0.
    """

    scheduler: "str | Path | Client"
    retries: int = 2
    report: Report | None = None
    claiming: ClassVar[bool] = True  # others may work on the same pieces, and a worker thought dead may not be
    remote: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Reject invalid values."""
        require_at_least(0, retries=self.retries)

    def run(self, job: Job[Item, Result], items: Sequence[Item], progress: Progress | None = None) -> list[Result]:
        """Do the pieces on the workers.

        Raises:
            RunningError: Dask is not installed, there is no such scheduler, it was lost, or a worker cannot do the job.
        """
        if not isinstance(job, RemoteJob):
            raise TypeError(f"{type(job).__name__} is no job for other computers")
        if find_spec("distributed") is None:
            raise RunningError("Dask is not installed; pip install 'hviskd[dask]'")
        from hviskd.running.dask_worker import Desk

        results: list[Result] = []

        def told(result: Result) -> None:
            results.append(result)
            advance()
            if self.report is not None:
                self.report(result)

        with (
            _connected(self.scheduler) as (client, gpus),
            progress_bar(job.pieces, len(items), progress) as advance,
            _token(job.output) as token,
            _Crew(client, Desk(job, gpus), token, advance) as crew,
        ):
            _Round(crew, job, self.retries, told).run(items)
        return results


@contextmanager
def _token(folder: Path | None) -> Iterator[Path | None]:
    """Yield a new file in a folder, if there is one, by which workers tell whether they see it."""
    if folder is None:
        yield None
        return
    with NamedTemporaryFile(prefix=".workers-", dir=folder) as token:
        yield Path(token.name)


class _Crew:
    """The workers that can do a job; those that are there at the start are examined at once, later ones at a piece.

    A context manager: at its end, the workers forget the job.

    Args:
        client: Of the cluster.
        desk: What each worker gets.
        token: As for `Desk.obstacle`.
        advance: Of the bar, for remarks.

    Raises:
        RunningError: A worker that is there at the start cannot do the job.
    """

    def __init__(self, client: "Client", desk: "Desk", token: Path | None, advance: Advance) -> None:
        self.client, self.desk, self.token, self._advance = client, f"hviskd-{uuid4().hex}", token, advance
        self.there: set[str] = set()
        self._work = desk
        self._refused: set[str] = set()
        self._looked_s = self._said_s = -_SAY_S

    def __enter__(self) -> Self:
        try:
            self._examine()
        except BaseException:
            self._dismiss()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._dismiss()

    def _examine(self) -> None:
        """Give the job to every worker that is there, and ask whether it can do it."""
        from hviskd.running.dask_worker import obstacle

        self.look()
        while not self.there:
            time.sleep(_LOOK_S)
            self.look()
        for address, version in self.client.run(metadata.version, "hviskd", on_error="return").items():
            _require_version(address, version)
        self.client.register_plugin(self._work, name=self.desk)
        for address, found in self.client.run(obstacle, self.desk, self.token, on_error="return").items():
            if found:
                raise RunningError(f"worker {address}: {found}")

    def look(self) -> None:
        """Ask which workers there are, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._looked_s < _LOOK_S:
            return
        try:
            self._looked_s, self.there = now, set(self.client.nthreads()) - self._refused
        except OSError as error:
            raise _lost(str(error)) from error
        if not self.there and now - self._said_s >= _SAY_S:
            self._said_s = now
            self._advance(0, note="waiting for workers")

    def refuse(self, address: str, said: str) -> None:
        """Give no more pieces to a worker."""
        self._refused.add(address)
        self.there.discard(address)
        self._advance(0, note=f"worker {address} is not used: {said}")

    def fetch(self, future: "Future[Any]") -> "futures.Future[Any]":
        """Begin to fetch the answer of a piece.

        With the timeout of Dask's own future, an answer that takes longer to travel can leave the client unable to
        fetch that or any other (distributed 2026.8.0).
        """
        loop: Any = self.client.loop  # one of tornado, around asyncio's
        return asyncio.run_coroutine_threadsafe(self.client.gather(future, asynchronous=True), loop.asyncio_loop)

    def _dismiss(self) -> None:
        """Let the workers forget the job, whether it was done or not."""
        if self.client.status == "running":  # without a scheduler, nobody is left to tell them
            with suppress(OSError, LookupError, ValueError):  # it is lost just now, or not all knew of the job
                self.client.unregister_worker_plugin(self.desk)


def _lost(reason: str) -> RunningError:
    return RunningError(
        f"the Dask scheduler no longer answers ({reason}); what is finished is kept: repeat the command"
    )


def _require_version(address: str, version: object) -> None:
    """Raise if a worker has another version of hviskd, or none.

    Args:
        address: Of the worker.
        version: What it answered, or what went wrong there.
    """
    ours = metadata.version("hviskd")
    if isinstance(version, metadata.PackageNotFoundError):
        raise RunningError(f"worker {address}: has no hviskd; install version {ours} there")
    if version != ours:
        raise RunningError(f"worker {address}: has hviskd {version}, and this computer {ours}; install the same")


class _Round(Generic[Item, Result]):
    """The pieces that wait, and those that a worker is at."""

    def __init__(self, crew: _Crew, job: RemoteJob[Item, Result], retries: int, told: Callable[[Result], None]) -> None:
        self._crew, self._job, self._retries, self._told = crew, job, retries, told
        self._ended: SimpleQueue[Future[Any]] = SimpleQueue()
        self._at: dict[Any, tuple[str, Future[Any], Item]] = {}  # by the future's key: worker, future, piece
        self._deaths: dict[str, int] = {}

    def run(self, items: Sequence[Item]) -> None:
        """Do all pieces, the largest first, lest in the end all workers wait for one."""
        waiting = deque(sorted(items, key=self._job.size, reverse=True))
        try:
            while waiting or self._at:
                self._crew.look()
                waiting.extendleft(self._of_the_dead())
                busy = {address for address, _, _ in self._at.values()}
                for address in sorted(self._crew.there - busy)[: len(waiting)]:
                    self._give(address, waiting.popleft())
                try:
                    again = self._end(self._ended.get(timeout=_LOOK_S))
                except Empty:
                    continue
                waiting.extendleft(again)
        finally:
            for _, future, _ in self._at.values():
                future.cancel()

    def _give(self, address: str, item: Item) -> None:
        from hviskd.running.dask_worker import do

        future = self._crew.client.submit(
            do,
            self._crew.desk,
            item,
            self._crew.token,
            workers=[address],
            key=f"{self._crew.desk}-{uuid4().hex}",
            pure=False,
        )
        self._at[future.key] = address, future, item
        future.add_done_callback(self._ended.put)

    def _end(self, future: "Future[Any]") -> list[Item]:
        """Take the result of a piece; return the piece if it has to be done again."""
        from distributed import KilledWorker

        from hviskd.running.dask_worker import Obstacle

        if future.key not in self._at:  # it was given up
            return []
        address, _, item = self._at.pop(future.key)
        if future.status == "finished":
            result = self._answer(address, future)
            if result is _DIED_WITH_IT:
                return self._again(item)
            if isinstance(result, Obstacle):
                self._crew.refuse(address, result.said)
                return [item]
            self._told(result)
            return []
        if future.status == "error":
            error = future.exception()
            if not isinstance(error, KilledWorker):
                raise error
            return self._again(item)
        if future.status == "lost" and self._crew.client.status == "running":  # its worker died with the answer
            future.cancel()
            return self._again(item)
        raise _lost(f"the work given to it is {future.status}")

    def _answer(self, address: str, future: "Future[Any]") -> Any:
        """Fetch what a worker answered, while it lives.

        An answer stays with its worker until it is fetched. Dask would have one that was lost done again, but by this
        worker alone, and so wait for ever.
        """
        answer = self._crew.fetch(future)
        while True:
            try:
                return answer.result(timeout=_LOOK_S)
            except TimeoutError:
                self._crew.look()
                if address not in self._crew.there:
                    future.cancel()
                    return _DIED_WITH_IT

    def _of_the_dead(self) -> list[Item]:
        """Return the pieces of workers that are no longer there and that are tried again."""
        again: list[Item] = []
        for key, (address, future, item) in list(self._at.items()):
            if address not in self._crew.there:
                del self._at[key]
                future.cancel()
                again += self._again(item)
        return again

    def _again(self, item: Item) -> list[Item]:
        deaths = self._deaths[self._job.name(item)] = self._deaths.get(self._job.name(item), 0) + 1
        if deaths <= self._retries:
            return [item]
        self._told(self._job.lost(item, f"{deaths} workers died at it, perhaps for want of memory"))
        return []


@contextmanager
def _connected(scheduler: "str | Path | Client") -> Iterator[tuple["Client", tuple[str, ...]]]:
    """Yield a client of a scheduler, and the GPUs to share among its workers if it is started here.

    Raises:
        RunningError: There is no such scheduler.
    """
    import distributed

    if isinstance(scheduler, distributed.Client):
        yield scheduler, ()
        return
    named = str(scheduler)
    local = re.fullmatch(r"local:([1-9][0-9]{0,3})", named)
    with ExitStack() as open_until:
        try:
            if local is not None:
                cluster = distributed.LocalCluster(
                    n_workers=int(local[1]),
                    threads_per_worker=max(1, usable_cpus() // int(local[1])),
                    dashboard_address=":0",
                    silence_logs="CRITICAL",
                )
                place = {"address": open_until.enter_context(cluster)}
            elif named.endswith(".json"):
                if not Path(named).is_file():
                    raise RunningError(f"`scheduler={named!r}`: no such file")
                place = {"scheduler_file": named}
            else:
                place = {"address": named}
            client = open_until.enter_context(distributed.Client(**place, set_as_default=False))
        except (OSError, ValueError, TypeError) as error:
            said = f"{error}".partition("\n")[0]
            raise RunningError(
                f"`scheduler={named!r}`: no Dask scheduler answers there ({said}); give local:N, an address or its file"
            ) from error
        yield client, _gpus() if local is not None else ()


def _gpus() -> tuple[str, ...]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return tuple(filter(None, os.environ["CUDA_VISIBLE_DEVICES"].split(",")))
    return tuple(str(number) for number, _ in enumerate(_GPUS.iterdir())) if _GPUS.is_dir() else ()
