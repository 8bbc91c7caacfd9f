"""An engine takes the CPUs that this process may use, no more."""

import os
import sys

import pytest

from hviskd.models.engines.threads import usable_cpus

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")


@pytest.mark.parametrize(
    ("quota", "cpus"), [("100000 100000", 1), ("50000 100000", 1), ("150000 100000", 1), ("max 100000", None)]
)
def test_a_container_of_today_is_heeded(tmp_path, quota, cpus):
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert usable_cpus(tmp_path) == (cpus or len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(("quota", "cpus"), [("100000", 1), ("-1", None), ("nonsense", None)])
def test_a_container_of_yesterday_is_heeded(tmp_path, quota, cpus):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cpus(tmp_path) == (cpus or len(os.sched_getaffinity(0)))


def test_a_process_bound_to_one_cpu_takes_one(tmp_path):
    bound = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(bound)})
    try:
        assert usable_cpus(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, bound)
