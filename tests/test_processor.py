"""Threads that wait and memory that is freed: what a process asks of its C library, seen from outside."""

import os
import platform
import subprocess
import sys

import pytest

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
