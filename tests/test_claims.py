"""Several processes at one output: each piece is done by one, and nothing is held by one that was killed."""

import os
import subprocess
import sys

import pytest

from hviskd.claims import Claims, any_claimed, is_claimed, turn

HOLD = """
import sys, time
from pathlib import Path
from hviskd.claims import Claims, turn
folder, how, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
if how == "claim":
    with Claims(folder) as claims:
        assert claims.take("a")
        print("held", flush=True)
        time.sleep(seconds)
else:
    with turn(folder / "out", how):
        print("held", flush=True)
        time.sleep(seconds)
        (folder / "out").mkdir()
"""


@pytest.fixture
def another(tmp_path):
    """Start another process that holds something in a folder for some seconds."""
    started = []

    def start(how, seconds):
        command = [sys.executable, "-c", HOLD, str(tmp_path), how, str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_piece_is_claimed_by_one_process_until_that_is_killed(another, tmp_path):
    process = another("claim", 60)
    with Claims(tmp_path) as claims:
        assert not claims.take("a")
        assert claims.take("b")
        process.kill()
        process.wait()
        assert claims.take("a")
        claims.release("a")
    with Claims(tmp_path) as claims:
        assert claims.take("a")
    assert not tmp_path.exists()  # whoever leaves last takes the locks away


def test_who_leaves_while_others_work_leaves_their_claims(another, tmp_path):
    another("claim", 60)
    with Claims(tmp_path) as claims:
        assert claims.take("b")
    with Claims(tmp_path) as claims:
        assert not claims.take("a")


def test_one_may_wait_for_a_piece(another, tmp_path):
    another("claim", 0.3)
    with Claims(tmp_path) as claims, claims.holding("a"):
        assert not Claims(tmp_path).take("a")


def test_a_folder_is_claimed_as_long_as_something_in_it_is(tmp_path):
    folder = tmp_path / "claims"
    assert not any_claimed(folder)
    with Claims(folder) as claims, Claims(folder) as others:
        claims.take("a")
        others.take("b")
        assert any_claimed(folder)
        claims.release("a")
        assert any_claimed(folder)
        others.release("b")
        assert not any_claimed(folder)


@pytest.mark.parametrize(("request_", "killed", "done"), [("x", False, True), ("y", False, False), ("x", True, False)])
def test_an_output_is_written_by_one_and_taken_by_those_that_want_the_same(another, tmp_path, request_, killed, done):
    process = another("x", 0.4)
    told = []
    if killed:
        process.kill()
        process.wait()
    with turn(tmp_path / "out", request_, waiting=lambda: told.append(1)) as written:
        assert written is done
    assert told == [1] * (not killed)
    assert [path.name for path in tmp_path.iterdir()] == ["out"] * (not killed)


def test_an_output_from_before_is_not_taken_for_what_was_waited_for(tmp_path):
    (tmp_path / "out").mkdir()
    with turn(tmp_path / "out", "x") as written:
        assert not written
    with turn(tmp_path / "out", "x") as written:
        assert not written


def test_a_folder_that_another_removes_while_it_is_made_is_made_again(tmp_path, monkeypatch):
    real, removed = os.mkdir, []

    def mkdir(path, *mode):
        if not removed:
            removed.append(path)
            raise FileExistsError(path)  # as it was then; it is gone when one looks at what is there
        real(path, *mode)

    monkeypatch.setattr("os.mkdir", mkdir)
    with Claims(tmp_path / "claims") as claims:
        assert claims.take("a piece")
    assert removed == [tmp_path / "claims"]
    (tmp_path / "a-file").touch()
    with Claims(tmp_path / "a-file") as claims, pytest.raises(FileExistsError):
        claims.take("a piece")


def test_file_systems_without_locks_let_everyone_work(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with Claims(tmp_path / "locks") as claims:
        assert claims.take("a")
        claims.release("a")
    monkeypatch.setattr("filelock.FileLock.acquire", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "no")))
    with Claims(tmp_path / "locks") as claims, pytest.raises(PermissionError):
        claims.take("a")


def test_who_only_asks_learns_whether_a_piece_is_held_and_holds_nothing(tmp_path, monkeypatch):
    assert is_claimed(tmp_path / "locks", "a") is False
    with Claims(tmp_path / "locks") as claims:
        claims.take("a")
        assert is_claimed(tmp_path / "locks", "a") is True
        assert is_claimed(tmp_path / "locks", "b") is False
        claims.release("a")
        assert is_claimed(tmp_path / "locks", "a") is False
        assert claims.take("a")
    assert not (tmp_path / "locks").exists()

    def refuse(*_, **__):
        raise OSError(95, "Operation not supported")

    with Claims(tmp_path / "locks") as claims:
        claims.take("a")
        monkeypatch.setattr("filelock.FileLock.acquire", refuse)
        assert is_claimed(tmp_path / "locks", "a") is None
