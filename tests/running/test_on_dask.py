"""A real Dask cluster of processes: work is shared, workers and schedulers die for real."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from importlib import metadata
from types import SimpleNamespace

import pytest
from distributed import Client

from hviskd.errors import DataError, RunningError
from hviskd.processor import usable_cpus
from hviskd.progress import silent
from hviskd.running import Dask
from hviskd.running.dask_worker import Desk
from hviskd.running.on_dask import _require_version, _Round
from tests.processes import dask_cluster
from tests.running.piecework import Piecework

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client():
    with dask_cluster(workers=2, threads=3) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


def count(folder, item, what):
    return len(list(folder.glob(f"{item}.{what}.*")))


def pids_of(client):
    return list(client.run(os.getpid).values())


def jobs_known(dask_worker):
    return [name for name in dask_worker.plugins if name.startswith("hviskd-")]


def test_workers_share_the_pieces_and_keep_their_copy_of_the_job(client, tmp_path):
    told, seen = [], []
    job = Piecework(tmp_path, seconds=0.05)
    results = Dask(client, report=told.append).run(job, range(12), lambda *now: seen.append(now))
    assert told == results
    assert sorted(result[0] for result in results) == list(range(12))
    by_worker = {pid: [result[2] for result in results if result[1] == pid] for pid in pids_of(client)}
    assert all(nth == list(range(1, len(nth) + 1)) for nth in by_worker.values())
    assert min(map(len, by_worker.values())) >= 2
    assert {result[3] for result in results} == {3}  # a worker uses its own threads, and one piece has them all
    assert [now[:2] for now in seen] == [(done, 12) for done in range(1, 13)]
    assert not list(tmp_path.glob(".workers-*"))
    assert {result[0] for result in results if result[2] == 1} == {10, 11}  # the largest, lest one be waited for


@pytest.mark.parametrize("retries", [0, 2])
def test_a_piece_that_kills_its_workers_is_named_after_its_retries_and_the_others_are_done(client, tmp_path, retries):
    job = Piecework(tmp_path, deadly=(1,))
    results = {result[0]: result[1] for result in Dask(client, retries).run(job, range(4), silent)}
    assert results[1] == f"{retries + 1} workers died at it, perhaps for want of memory"
    assert count(tmp_path, 1, "begun") == retries + 1
    assert [count(tmp_path, item, "done") for item in range(4)] == [1, 0, 1, 1]


def test_workers_killed_at_random_moments_lose_nothing_and_repeat_nothing_that_is_finished(client, tmp_path):
    ended, moments = threading.Event(), random.Random(4)

    def kill():
        while len(killed) < 5 and not ended.wait(moments.uniform(0.1, 0.8)):
            begun = max(tmp_path.glob("*.begun.*"), key=lambda path: int(path.suffix[1:]), default=None)
            if begun is not None and begun not in killed and begun.read_text():
                os.kill(int(begun.read_text()), signal.SIGKILL)
                killed.append(begun)

    killed = []
    killer = threading.Thread(target=kill)
    killer.start()
    results = Dask(client, retries=20).run(Piecework(tmp_path, seconds=0.3), range(12), silent)
    ended.set()
    killer.join()
    assert len(killed) >= 3
    assert sorted(result[0] for result in results) == list(range(12))
    told = {result[0] for result in results if len(result) == 5}
    assert told == set(range(12))
    # A worker killed between the end of a piece and its answer repeats that piece: at most one for each kill.
    assert sum(count(tmp_path, item, "done") - 1 for item in range(12)) <= len(killed)


def test_a_worker_that_cannot_do_the_job_is_named_before_any_piece_is_begun(client, tmp_path):
    for job, problem in (
        (Piecework(tmp_path, memory_bytes=2**50), "GiB of memory, but needs 1048576.0 GiB"),
        (Piecework(tmp_path, hindrance="does not see the Model"), "does not see the Model"),
    ):
        with pytest.raises(RunningError, match=f"worker tcp://.*: .*{problem}"):
            Dask(client).run(job, range(3), silent)
    assert not list(tmp_path.glob("*.begun.*"))
    assert set(map(tuple, client.run(jobs_known).values())) == {()}


def test_an_answer_may_travel_for_longer_than_it_is_waited_for_at_a_time(client, tmp_path, monkeypatch):
    monkeypatch.setattr("hviskd.running.on_dask._LOOK_S", 1e-4)  # less than any takes
    results = Dask(client).run(Piecework(tmp_path), range(8), silent)
    assert sorted(result[0] for result in results) == list(range(8))


class Answered:
    """A piece that was done, by a worker that is dead before its answer is fetched."""

    key, status = "piece-3", "finished"

    def __init__(self, crew):
        self.crew, self.asked, self.cancelled = crew, 0, False

    def result(self, timeout):
        self.asked += 1
        if self.asked == 2:
            self.crew.there.clear()
        raise TimeoutError

    def cancel(self):
        self.cancelled = True


@pytest.mark.parametrize("status", ["finished", "lost"])  # as the client knows it: the death is told a moment later
def test_an_answer_that_died_with_its_worker_is_not_waited_for(tmp_path, status):
    client = SimpleNamespace(status="running")
    crew = SimpleNamespace(there={"tcp://gone:1"}, look=lambda: None, client=client, fetch=lambda future: future)
    told = []
    future, again = Answered(crew), _Round(crew, Piecework(tmp_path), 1, told.append)
    future.status = status
    for expected in ([3], []):  # once more, as after any death; then it is given up
        crew.there.add("tcp://gone:1")
        future.asked, again._at = 0, {future.key: ("tcp://gone:1", future, 3)}
        assert again._end(future) == expected
    assert future.cancelled
    assert len(told) == 1


def test_work_that_is_lost_with_the_scheduler_is_not_tried_again(tmp_path):
    crew = SimpleNamespace(client=SimpleNamespace(status="connecting"))
    future, again = Answered(crew), _Round(crew, Piecework(tmp_path), 1, print)
    future.status, again._at = "lost", {future.key: ("tcp://gone:1", future, 3)}
    with pytest.raises(RunningError, match="the Dask scheduler no longer answers"):
        again._end(future)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("0.0.1", "has hviskd 0.0.1, and this computer .*; install the same"),
        (metadata.PackageNotFoundError("hviskd"), "has no hviskd; install version"),
    ],
)
def test_a_worker_with_another_version_is_named(answer, problem):
    with pytest.raises(RunningError, match=f"worker tcp://there:1: {problem}"):
        _require_version("tcp://there:1", answer)
    _require_version("tcp://there:1", metadata.version("hviskd"))


def test_a_worker_that_does_not_see_the_output_folder_says_so(tmp_path):
    desk = Desk(Piecework(tmp_path), ())
    desk._memory_bytes = None
    assert "does not see" in desk.obstacle(tmp_path / "elsewhere" / ".workers-1")
    (tmp_path / ".workers-1").touch()
    assert desk.obstacle(tmp_path / ".workers-1") == ""


def test_what_goes_wrong_in_a_worker_as_a_fault_of_the_program_is_raised_here(client, tmp_path):
    with pytest.raises(ValueError, match="piece -1"):
        Dask(client).run(Piecework(tmp_path), [-1], silent)
    assert set(map(tuple, client.run(jobs_known).values())) == {()}


def test_workers_of_this_computer_share_its_cores_and_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    results = Dask("local:2").run(Piecework(tmp_path, seconds=0.2), range(4), silent)
    assert {result[3] for result in results} == {max(1, usable_cpus() // 2)}
    assert {result[4] for result in results} == {"3", "5"}


def test_a_scheduler_that_dies_is_told_and_what_is_finished_stays(tmp_path):
    place = tmp_path / "scheduler.json"
    start = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
    scheduler = subprocess.Popen([*start, "--scheduler-file", place], stderr=subprocess.DEVNULL)
    start = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    worker = subprocess.Popen([*start, "--scheduler-file", place], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not place.is_file():
        assert time.monotonic() < until
        time.sleep(0.05)
    try:
        with pytest.raises(RunningError, match="the Dask scheduler no longer answers .* repeat the command"):
            Dask(place, report=lambda _: scheduler.kill()).run(Piecework(tmp_path, 0.1), range(50), silent)
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
    assert 1 <= len(list(tmp_path.glob("*.done.*"))) < 50


def test_a_scheduler_that_is_not_there_and_numbers_below_zero_are_refused(tmp_path):
    with pytest.raises(RunningError, match="`scheduler='.*none.json'`: no such file"):
        Dask(str(tmp_path / "none.json")).run(Piecework(tmp_path), [1], silent)
    with pytest.raises(DataError, match="`retries=-1`"):
        Dask("local:2", retries=-1)
