"""How many threads an engine may take; `open_engine` asks."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cpus(cgroup: Path = _CGROUP) -> int:
    """Count the CPUs this process may use: those it is bound to, or fewer where its container gets less time.

    Args:
        cgroup: Where Linux says what the container gets.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, _container_cpus(cgroup) or bound))


def _container_cpus(cgroup: Path) -> int | None:
    """Read the CPU time a container may take in each period, version 2 or 1 of control groups; None: no limit."""
    try:
        if (cgroup / "cpu.max").is_file():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota, period = ((cgroup / "cpu" / name).read_text() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
        return int(quota) // int(period) or 1 if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # no control group, or "max"
        return None
