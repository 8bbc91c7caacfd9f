import builtins
import subprocess
import sys
import threading
import time

import pytest

from hviskd.progress import progress_bar, silent
from hviskd.threads import in_threads


def test_a_callers_function_is_told_of_every_step_and_nothing_is_drawn(capfd):
    told = []
    with progress_bar("maps", 5, lambda *at: told.append(at)) as advance:
        advance()
        advance(3, note="S1.svs")
        advance(note="")
    assert told == [(1, 5, "maps"), (4, 5, "maps: S1.svs"), (5, 5, "maps")]
    assert capfd.readouterr() == ("", "")


def test_no_step_is_lost_that_threads_take_at_once():
    told = []
    with progress_bar("tiles", 400, lambda done, *_: told.append(done)) as advance:
        list(in_threads(lambda _: advance(), range(400), threads=8, ahead=16))
    assert told == list(range(1, 401))


def test_what_the_callers_function_raises_ends_the_work():
    def stop(done, total, what):
        raise KeyboardInterrupt(what)

    with pytest.raises(KeyboardInterrupt, match="tiles"), progress_bar("tiles", 2, stop) as advance:
        advance()


@pytest.mark.parametrize("progress", [None, silent])
def test_nothing_is_drawn_where_nobody_watches(capfd, progress):
    with progress_bar("maps", 2, progress) as advance:
        advance(2)
    assert capfd.readouterr() == ("", "")


def test_a_log_file_gets_a_line_for_each_remark_and_each_minute(capfd, monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with progress_bar("train kd", 40) as advance:
        for step in range(1, 41):
            now += 10
            advance(note=f"step {step}")
            if step == 20:
                advance(0, note="half of it")
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        "train kd 6/40 in 0:01:00, 0:05:40 left: step 6",
        "train kd 12/40 in 0:02:00, 0:04:40 left: step 12",
        "train kd 18/40 in 0:03:00, 0:03:40 left: step 18",
        "train kd 20/40 in 0:03:20, 0:03:20 left: half of it",
        "train kd 26/40 in 0:04:20, 0:02:20 left: step 26",
        "train kd 32/40 in 0:05:20, 0:01:20 left: step 32",
        "train kd 38/40 in 0:06:20, 0:00:20 left: step 38",
    ]


def test_what_was_done_before_says_nothing_of_the_speed(capfd, monkeypatch):
    now, seen = 100.0, []
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with progress_bar("train kd", 40, done=20) as advance:
        now += 60
        advance(5)
    assert capfd.readouterr().err == "train kd 25/40 in 0:01:00, 0:03:00 left\n"
    with progress_bar("train kd", 40, lambda *at: seen.append(at), done=20) as advance:
        advance(5)
    assert seen == [(20, 40, "train kd"), (25, 40, "train kd")]


def test_a_bar_is_drawn_on_a_terminal(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress_bar("slides [1]", 3) as advance:
        advance(2, note="[S1].svs")
    shown = capfd.readouterr().err
    assert all(part in shown for part in ("slides [1]", "2/3", "[S1].svs"))


class ZMQInteractiveShell:
    """What Jupyter's kernels are known by."""


class Output:
    """Stands in for `IPython.display`, which only a kernel has: keeps each state of each output it is given."""

    def __init__(self):
        self.states = []

    def display(self, data, *, raw, display_id):
        assert raw
        assert display_id
        self.states.append([data])
        return self

    def update(self, data, *, raw):
        assert raw
        self.states[-1].append(data)


@pytest.fixture
def notebook(monkeypatch):
    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    monkeypatch.setitem(sys.modules, "IPython.display", output := Output())
    return output


def test_a_bar_in_a_notebook_is_one_output_that_is_replaced(capfd, notebook):
    with progress_bar("slides <1>", 3) as advance:
        advance(2, note="S<1>.svs")
    (states,) = notebook.states
    assert states[0]["text/plain"].startswith("slides <1> 0/3")
    assert all(part in states[-1]["text/plain"] for part in ("slides <1> 2/3", "left", "S<1>.svs"))
    assert '<progress value="2" max="3">' in states[-1]["text/html"]
    assert "S&lt;1&gt;.svs" in states[-1]["text/html"]
    assert capfd.readouterr() == ("", "")


def test_a_bar_in_a_notebook_moves_while_a_long_step_runs(notebook):
    with progress_bar("slides", 2) as advance:
        advance()
        deadline = time.monotonic() + 20
        while len(notebook.states[0]) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "slides 1/2" in notebook.states[0][2]["text/plain"]


def test_a_bar_in_a_notebook_stops_when_the_work_fails(notebook):
    threads = threading.active_count()
    with pytest.raises(ValueError, match="damaged"), progress_bar("slides", 2) as advance:
        advance()
        raise ValueError("damaged")
    assert "slides 1/2" in notebook.states[0][-1]["text/plain"]
    assert threading.active_count() == threads


def test_no_step_is_lost_in_a_notebook(notebook):
    with progress_bar("tiles", 400) as advance:
        list(in_threads(lambda _: advance(), range(400), threads=8, ahead=16))
    assert "tiles 400/400" in notebook.states[0][-1]["text/plain"]
    assert "left" not in notebook.states[0][-1]["text/plain"]


def test_rich_is_loaded_only_when_there_is_something_to_show():
    code = (
        "import sys; from hviskd.progress import silent, progress_bar\n"
        "with progress_bar('x', 1, silent) as advance: advance()\n"
        "sys.exit('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
