"""What a Dask worker keeps of a job from piece to piece, and whether it can do it at all; imported with Dask only."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from hviskd.processor import memory_bytes
from hviskd.progress import silent
from hviskd.running.job import RemoteJob


@dataclass(frozen=True)
class Obstacle:
    """Why a worker cannot do a job; nothing `said` if it can."""

    said: str


class Desk(WorkerPlugin):
    """A worker's copy of a job, with what that keeps.

    Args:
        job: What is done.
        gpus: Of this computer, if its workers are our own: each gets one.
    """

    def __init__(self, job: RemoteJob[Any, Any], gpus: tuple[str, ...]) -> None:
        self._job, self._gpus = job, gpus

    def setup(self, worker: Worker) -> None:
        """Take the worker's own cores and GPU, before anything is loaded."""
        if self._gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = self._gpus[int(worker.name) % len(self._gpus)]
        self._job = self._job.with_threads(worker.state.nthreads)
        self._memory_bytes = worker.memory_manager.memory_limit or memory_bytes()
        self._one_at_a_time = threading.Lock()
        self._found: Obstacle | None = None

    def do(self, item: Any, token: Path | None) -> Any:
        """Do one piece; or return the obstacle."""
        results: list[Any] = []
        with self._one_at_a_time:
            found = self._found = self._found or Obstacle(self.obstacle(token))
            if found.said:
                return found
            self._job.run([item], results.append, silent)
        return results[0]

    def obstacle(self, token: Path | None) -> str:
        """Return why this worker cannot do the job; nothing if it can.

        Args:
            token: A file that has just been written to the output folder, if there is one.
        """
        if token is not None and not token.is_file():
            return f"does not see {token.parent}; workers need the same folders as this computer"
        if self._memory_bytes is not None and self._memory_bytes < self._job.memory_bytes:
            has, needs = self._memory_bytes / 2**30, self._job.memory_bytes / 2**30
            return f"has {has:.1f} GiB of memory, but needs {needs:.1f} GiB"
        return self._job.obstacle()


def do(desk: str, item: Any, token: Path | None) -> Any:
    """Do one piece at the desk of that name, or return the obstacle; called in a worker."""
    return _desk(get_worker(), desk).do(item, token)


def obstacle(desk: str, token: Path | None, dask_worker: Worker) -> str:
    """Return why a worker cannot do the job; called in a worker."""
    return _desk(dask_worker, desk).obstacle(token)


def _desk(worker: Worker, name: str) -> Desk:
    found = worker.plugins[name]
    assert isinstance(found, Desk)
    return found
