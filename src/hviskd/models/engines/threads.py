"""The number of threads that an engine may use."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cpus(cgroup: Path = _CGROUP) -> int:
    """Count the CPUs available to this process: those it is bound to, or fewer if its container is limited.

    Args:
        cgroup: Where Linux says what the container gets.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, _container_cpus(cgroup) or bound))


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
