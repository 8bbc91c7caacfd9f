"""How much memory a process took; scripts that tests start begin with `PEAK_KIB`."""

import sys

import pytest

PEAK_KIB = """
def peak_kib():  # what `resource` gives is never less than what the process had that started this one
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""
knows_its_peak = pytest.mark.skipif(sys.platform != "linux", reason="a process's own peak is read as on Linux")
