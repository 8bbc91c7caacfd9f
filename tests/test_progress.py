import builtins
import subprocess
import sys

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


def test_a_bar_is_drawn_on_a_terminal(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress_bar("slides [1]", 3) as advance:
        advance(2, note="[S1].svs")
    shown = capfd.readouterr().err
    assert all(part in shown for part in ("slides [1]", "2/3", "[S1].svs"))


class ZMQInteractiveShell:
    """What Jupyter's kernels are known by."""


def test_a_bar_is_drawn_in_jupyter_too_without_its_widgets(capfd, monkeypatch):
    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # as if it were not there
    with progress_bar("slides", 3) as advance:
        advance(3)
    assert "3/3" in capfd.readouterr().err


def test_rich_is_loaded_only_when_there_is_something_to_show():
    code = (
        "import sys; from hviskd.progress import silent, progress_bar\n"
        "with progress_bar('x', 1, silent) as advance: advance()\n"
        "sys.exit('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
