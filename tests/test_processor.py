"""What a process takes of its computer: CPUs, threads that wait, and memory that is freed."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hviskd.processor import memory_bytes, usable_cpus

SPINS = "import os; from hviskd.processor import let_threads_sleep as f; f(); print(*map(os.environ.get, {names}))"
PAGES = """
import ctypes
import resource
import numpy as np
from hviskd.processor import keep_freed_memory

ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: pages of one size, however full the machine is

def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if {keep}:
    keep_freed_memory()
for _ in range(3):
    before = pages()
    np.ones(2**23)
    taken = pages() - before
print(taken)
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")


def printed(code, **environment):
    ours = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_")
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run([sys.executable, "-c", code], env=clean | environment, capture_output=True, check=True)
    return done.stdout.decode().split()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["passive", "1000", "1"]),
        ({"OMP_WAIT_POLICY": "active"}, ["active", "None", "1"]),
        ({"GOMP_SPINCOUNT": "7"}, ["passive", "7", "1"]),
        ({"OPENBLAS_NUM_THREADS": "4"}, ["passive", "1000", "4"]),
    ],
)
def test_a_users_own_waiting_stands(environment, expected):
    names = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_NUM_THREADS"
    assert printed(SPINS.format(names=names), **environment) == expected


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library decides for itself")
def test_freed_memory_is_not_asked_for_anew():
    anew, kept, users_own = (
        int(printed(PAGES.format(keep=keep), **environment)[0])
        for keep, environment in ((False, {}), (True, {}), (True, {"MALLOC_TRIM_THRESHOLD_": "131072"}))
    )
    assert kept < anew / 10
    assert users_own > anew / 2


@linux
@pytest.mark.parametrize(
    ("quota", "cpus"), [("100000 100000", 1), ("50000 100000", 1), ("150000 100000", 1), ("max 100000", None)]
)
def test_a_container_of_today_is_heeded(tmp_path, quota, cpus):
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert usable_cpus(tmp_path) == (cpus or len(os.sched_getaffinity(0)))


@linux
@pytest.mark.parametrize(("quota", "cpus"), [("100000", 1), ("-1", None), ("nonsense", None)])
def test_a_container_of_yesterday_is_heeded(tmp_path, quota, cpus):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cpus(tmp_path) == (cpus or len(os.sched_getaffinity(0)))


@linux
def test_a_process_bound_to_one_cpu_takes_one(tmp_path):
    bound = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(bound)})
    try:
        assert usable_cpus(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, bound)


@linux
def test_memory_is_the_computers_or_less_in_a_container(tmp_path):
    """/proc/meminfo names the same pages as sysconf does."""
    with Path("/proc/meminfo").open(encoding="ascii") as lines:
        whole = 1024 * int(next(line.split()[1] for line in lines if line.startswith("MemTotal:")))
    assert memory_bytes(tmp_path) == whole
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_bytes(tmp_path) == whole
    (tmp_path / "memory.max").write_text("1048576\n")
    assert memory_bytes(tmp_path) == 1048576
    (tmp_path / "memory.max").unlink()
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory_bytes(tmp_path) == whole


ORPHAN = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from hviskd.processor import end_with_parent

if __name__ == "__main__":
    pool = ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=end_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 600)
    time.sleep(600)
"""


@linux
def test_a_child_ends_with_a_parent_that_was_killed(tmp_path):
    """Without this, the workers of a pool wait for one another for ever."""
    (tmp_path / "parent.py").write_text(ORPHAN)
    with subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 60
    while runs(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def runs(process):
    """Return whether a process is there and is not only waiting for somebody to ask how it ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
