"""Processes of their own that start at once: each is forked from one that has imported what takes seconds.

They are killed, wait for each other and share files as any process does. Where it matters what a fresh interpreter
imports or says, start one with `subprocess`.
"""

import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hviskd.cli.app import app

if TYPE_CHECKING:
    from distributed import LocalCluster

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        "hviskd.agreement.folder",
        "hviskd.cli.app",
        "hviskd.cutting.cutting",
        "hviskd.experiments.workers",
        "hviskd.models.engines.by_torch",
        "hviskd.segmentation.cohort",
        "hviskd.segmentation.outputs",
        "hviskd.training.fit",
    ]
)


def start(function: Callable[..., None], *arguments: Any, says: Path | str = os.devnull) -> ForkServerProcess:
    """Call a function of a module in a process of its own, with our environment; what it prints goes to a file."""
    process = _SERVER.Process(target=_run, args=(dict(os.environ), str(says), function, arguments))
    process.start()
    return process


def start_hviskd(*words: object, says: Path | str = os.devnull, **environment: str) -> ForkServerProcess:
    """Run a command of `hviskd` in a process of its own, with these variables beside our environment."""
    return start(_hviskd, [str(word) for word in words], environment, says=says)


@contextmanager
def dask_cluster(*, workers: int, threads: int) -> "Iterator[LocalCluster]":
    """Yield a Dask cluster on this computer."""
    from distributed import LocalCluster

    # Workers forked from the server of the other test processes would start in a tenth of the time, but one that was
    # killed was once never replaced.
    quiet = {"dashboard_address": ":0", "silence_logs": "CRITICAL"}
    with LocalCluster(n_workers=workers, threads_per_worker=threads, **quiet) as cluster:
        yield cluster


def free_port() -> int:
    """Return a port of this computer on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_until(happened: Callable[[], bool], *processes: ForkServerProcess, seconds: float = 120) -> None:
    """Wait for something that these processes do before they end."""
    end = time.monotonic() + seconds
    while not happened():
        assert all(process.exitcode is None for process in processes), "it ended before it happened"
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.002)


def _hviskd(words: list[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    app(words)


def _run(environment: dict[str, str], says: str, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    with Path(says).open("w") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    function(*arguments)
