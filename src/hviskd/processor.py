"""The CPU and the process: its name, how many CPUs, how threads wait, and what becomes of freed memory and garbage."""

import ctypes
import gc
import hashlib
import multiprocessing
import os
import platform
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

_CGROUP = Path("/sys/fs/cgroup")
_SPINS = 1000
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h
_LARGEST = 2**31 - 1


def cpu_name() -> str:
    """Return the processor's name, which `platform` does not know on Linux."""
    return _cpu_line("model name") or platform.processor() or platform.machine()


def cpu_kind() -> str:
    """Return the processor's name with a digest of its instruction sets, which decide how libraries calculate."""
    sets = f"{platform.machine()} {_cpu_line('flags') or _cpu_line('Features')}"
    return f"{cpu_name()} {hashlib.sha256(sets.encode()).hexdigest()[:8]}"


def usable_cpus(cgroup: Path = _CGROUP) -> int:
    """Count the CPUs available to this process: those it is bound to, or fewer if its container is limited.

    Args:
        cgroup: Where Linux says what the container gets.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, _container_cpus(cgroup) or bound))


def memory_bytes(cgroup: Path = _CGROUP) -> int | None:
    """Return the memory of this computer, or of its container if that is less; None where it is not known.

    Args:
        cgroup: Where Linux says what the container gets.
    """
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no such question
        return None
    return min(whole, _container_memory(cgroup) or whole)


@cache
def _cpu_line(key: str) -> str:
    """Return what Linux says of the first processor under a key; nothing elsewhere."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == key), "")
    except OSError:
        return ""


def _container_cpus(cgroup: Path) -> int | None:
    """Read the CPU quota of a container, from control groups version 2 or 1; None if unlimited."""
    try:
        if (cgroup / "cpu.max").is_file():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota, period = ((cgroup / "cpu" / name).read_text() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
        return int(quota) // int(period) or 1 if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # no control group, or "max"
        return None


def _container_memory(cgroup: Path) -> int | None:
    """Read the memory limit of a container, from control groups version 2 or 1; None if unlimited."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            return int((cgroup / name).read_text())
        except (OSError, ValueError):  # no control group, or "max"
            continue
    return None


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


def collect_garbage_rarely() -> None:
    """Look for garbage in cycles after 10,000 new objects, not after 700; call it before torch is loaded.

    torch and what it brings along make half a million objects that stay. To look at them again and again is a tenth of
    the time in which they are loaded, half a second.
    """
    gc.set_threshold(10_000, 20, 20)


def keep_freed_memory() -> None:
    """Let this process keep freed tensor memory for reuse; has no effect without glibc.

    Each step of a training, and each batch of an evaluation, asks for the same large tensors. glibc hands them back to
    the system at once, and the next ones are filled with zeros page by page: a fifth of a training's time and more, and
    up to four fifths of an evaluation's. A user's own `MALLOC_TRIM_THRESHOLD_` stands.
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


def end_with_parent() -> None:
    """Let this child process exit at once when its parent is gone, even killed.

    Otherwise it would wait for work for ever, and keep what it has locked.
    """
    parent = multiprocessing.parent_process()

    def watch() -> None:
        assert parent is not None
        parent.join()
        os._exit(1)

    if parent is not None:
        threading.Thread(target=watch, daemon=True).start()


def _of_glibc(name: str) -> Any:
    """Return one of glibc's functions, or None on other systems."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
