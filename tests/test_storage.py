"""What is written is whole or not there, also when the process dies in the middle."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from hviskd.errors import DataError
from hviskd.storage import (
    atomic_file,
    atomic_folder,
    file_digest,
    read_json,
    require_free,
    require_free_file,
    write_json,
    write_once,
)


def test_an_error_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "card.json"
    write_json(path, {"old": True})
    with pytest.raises(RuntimeError), atomic_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"old": True}
    assert [entry.name for entry in tmp_path.iterdir()] == ["card.json"]


@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
def test_a_place_that_cannot_be_written_to_is_named_and_not_the_temporary_one(atomic, tmp_path):
    path = tmp_path / ("n" * 250)  # is a name that any disk takes, but not with what is put before it
    with pytest.raises(OSError, match=path.name) as caught, atomic(path):
        pass
    assert caught.value.filename == str(path)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that takes no file, even of root")
@pytest.mark.parametrize("require", [require_free, require_free_file])
def test_a_place_that_cannot_be_written_to_is_known_before_long_work(require, tmp_path):
    place = Path("/proc/none/results")
    with pytest.raises(OSError, match=str(place)):
        require(place)
    require(tmp_path / "new" / "results")
    assert not list(tmp_path.iterdir())


def test_the_partial_file_keeps_the_suffix_that_some_writers_go_by(tmp_path):
    with atomic_file(tmp_path / "picture.png") as partial:
        assert partial.suffix == ".png"
        assert partial.parent == tmp_path


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "folder"
    with pytest.raises(RuntimeError), atomic_folder(target) as partial:
        (partial / "a").write_text("a")
        raise RuntimeError
    assert not target.exists()
    with atomic_folder(target) as partial:
        (partial / "a").write_text("a")
        assert not target.exists()
    assert (target / "a").read_text() == "a"
    assert [entry.name for entry in target.parent.iterdir()] == ["folder"]


def test_a_full_folder_is_replaced_only_when_asked(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "mine").write_text("precious")
    with pytest.raises(DataError, match="already exists"), atomic_folder(target):
        pass
    assert (target / "mine").read_text() == "precious"
    with atomic_folder(target, overwrite=True) as partial:
        (partial / "new").write_text("new")
    assert [entry.name for entry in target.iterdir()] == ["new"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_new_files_may_be_read_by_whom_the_umask_lets(tmp_path):
    write_json(tmp_path / "card.json", {})
    assert (tmp_path / "card.json").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.slow
def test_killed_while_writing_leaves_a_whole_file(tmp_path):
    path = tmp_path / "card.json"
    script = textwrap.dedent(f"""
        from pathlib import Path
        from hviskd.storage import write_json
        n = 0
        while True:
            n += 1
            write_json(Path({str(path)!r}), {{"n": n, "filler": [n] * 20000}})
    """)
    for _ in range(5):
        before = path.stat().st_mtime_ns if path.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", script])
        while not path.exists() or path.stat().st_mtime_ns == before:
            time.sleep(0.01)
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        content = read_json(path)
        assert content["filler"] == [content["n"]] * 20000


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not valid JSON"), (b"{", "not valid JSON"), (b"\xff\xfe", "not valid JSON"), (b"[" * 100_000, "not valid")],
)
def test_damaged_json_is_one_line(tmp_path, content, message):
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_json(path)


def test_a_huge_card_is_refused_unread(tmp_path):
    path = tmp_path / "card.json"
    with path.open("wb") as stream:
        stream.truncate(65 * 2**20)
    with pytest.raises(DataError, match="larger than 64 MiB"):
        read_json(path)


def test_nan_has_no_place_in_json(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "card.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_digest_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_name_that_is_not_utf8_can_be_told_of(tmp_path):
    write_json(tmp_path / "report.json", {"slide": "b\udcff.svs"})
    assert read_json(tmp_path / "report.json") == {"slide": "b?.svs"}


def test_a_folder_that_is_of_another_kind_is_kept(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    (place / "thesis.txt").write_text("ours")
    with (
        pytest.raises(DataError, match="contains no map, so it is not replaced"),
        atomic_folder(place, overwrite=True, replaces=("map.json", "map")),
    ):
        pass
    (place / "map.json").write_text("")
    with atomic_folder(place, overwrite=True, replaces=("map.json", "map")) as partial:
        (partial / "new").write_text("")
    assert [path.name for path in place.iterdir()] == ["new"]


def test_what_is_written_once_stays(tmp_path):
    for text in ("first", "second"):
        write_once(tmp_path / "sub" / "file", text)
    assert [path.read_text() for path in (tmp_path / "sub").iterdir()] == ["first"]
