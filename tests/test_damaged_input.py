"""Damaged slides, masks, outlines, legends and tables end in a result or in one clear line."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "fuzz_inputs.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of processes as Linux does")
def test_some_of_the_damaged_files_of_the_benchmark(tmp_path):
    numbers = map(str, range(0, 2400, 40))
    command = [sys.executable, str(SCRIPT), "--keep", str(tmp_path / "faults"), "--only", *numbers]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| all | 60 |" in done.stdout
