"""CPU settings of the process: how waiting threads behave, and whether freed memory is returned to the system."""

import ctypes
import os
import sys
from typing import Any

_SPINS = 1000
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h
_LARGEST = 2**31 - 1


def let_threads_sleep() -> None:
    """Let waiting threads yield their core after some microseconds.

    Call it before NumPy and torch are loaded.

    Threads that spin for long, as is usual, make a training several times slower as soon as another program wants a
    core; threads that sleep at once cost an idle machine a tenth of it. NumPy's own products are small here, and one
    thread does them: others would spin for long after each. A user's own `OMP_WAIT_POLICY` and `OPENBLAS_NUM_THREADS`
    stand.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.environ.setdefault("GOMP_SPINCOUNT", str(_SPINS))


def keep_freed_memory() -> None:
    """Let this process keep freed tensor memory for reuse; has no effect without glibc.

    Each step of a training asks for the same large tensors. glibc hands them back to the system at once, and the next
    step's are filled with zeros page by page: a fifth of its time and more. A user's own `MALLOC_TRIM_THRESHOLD_`
    stands.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _LARGEST)


def give_back_memory() -> None:
    """Return freed memory to the operating system after a stage with large arrays; glibc would keep it.

    Does nothing where the C library is not glibc.
    """
    malloc_trim = _of_glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _of_glibc(name: str) -> Any:
    """Return one of glibc's functions, or None on other systems."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
