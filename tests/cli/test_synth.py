"""`hviskd synth`, interrupted as a person interrupts it."""

import signal
import subprocess
import sys
import time

import pytest


@pytest.mark.slow
def test_an_interrupt_ends_it_at_once_and_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "hviskd", "synth", "-o", str(tmp_path / "cohort"), "--patients", "99"]
    command += ["--width-px", "600", "--height-px", "450", "--workers", "2"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".partial-cohort-*/slides/*.svs")):
        assert process.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)  # drawing all would take longer
    assert (process.returncode, said.splitlines()[-1]) == (130, "interrupted")
    assert list(tmp_path.iterdir()) == []
