"""Slides on servers: real ones of S3 and HTTP, read through a cache that stays within its size."""

import errno
import threading

import fsspec
import pytest

from hviskd.claims import any_claimed
from hviskd.errors import DataError
from hviskd.slides import find_cohort, open_slide, remote_files, slide_cache, slide_fingerprint, survey
from hviskd.slides.remote_path import as_remote
from hviskd.slides.slide_cache import borrow, slides_folder
from hviskd.slides.slide_files import changed_at, known_bytes
from tests.slides.make import glass, write_svs
from tests.slides.servers import KEY, SECRET, s3, web


@pytest.fixture(scope="module")
def svs(tmp_path_factory):
    return write_svs(tmp_path_factory.mktemp("svs") / "a.svs", glass((300, 300)), levels=1)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with s3(tmp_path_factory.mktemp("s3")) as client:
        yield client


@pytest.fixture
def bucket(served, svs, tmp_path, monkeypatch):
    """A function that puts a slide into the bucket, with an empty cache here."""
    monkeypatch.setenv("HVISKD_CACHE", str(tmp_path / "cache"))
    for each in served.list_objects_v2(Bucket="slides").get("Contents", []):
        served.delete_object(Bucket="slides", Key=each["Key"])

    def put(key, content=None):
        served.put_object(Bucket="slides", Key=key, Body=svs.read_bytes() if content is None else content)
        return as_remote(f"s3://slides/{key}")

    return put


@pytest.fixture
def downloads(monkeypatch):
    """The URLs that were copied whole."""
    done = []

    def download(path, place):
        done.append(str(path))
        remote_files.download(path, place)

    monkeypatch.setattr(slide_cache, "download", download)
    return done


def library():
    """What reads from S3 in this thread."""
    return fsspec.filesystem("s3", **remote_files._OPTIONS["s3"])


def copies():
    return sorted(slides_folder().glob("*/slide*"))


def test_a_slide_is_that_of_the_file(bucket, svs, downloads):
    url = str(bucket("x/a.svs"))
    assert slide_fingerprint(url) == slide_fingerprint(svs)
    assert known_bytes(as_remote(url)) == svs.stat().st_size
    assert abs(changed_at(as_remote(url)) / 1e9 - svs.stat().st_mtime) < 600
    assert downloads == []  # sizes and fingerprints need parts of it alone
    for _ in range(2):
        with open_slide(url) as slide, open_slide(svs) as local:
            slide.verify()
            assert (slide.read(0, 0, 99, 99) == local.read(0, 0, 99, 99)).all()
            assert (str(slide.path), slide.path.stem) == (url, "a")
            assert slide_fingerprint(slide.path) == slide_fingerprint(svs)
    assert downloads == [url]


def test_a_changed_slide_is_copied_again(bucket, svs, downloads):
    for content in (b"1", b"2"):
        path = bucket("a.svs", content)
        for _ in range(2):
            copy, give_back = borrow(path)
            assert copy.read_bytes() == content
            give_back()
    assert len(downloads) == 2


def test_folders_and_tables_are_listed(bucket, tmp_path):
    for key in ("f/a.svs", "f/a_mask.png", "f/.hidden.svs", "f/b.mrxs", "f/notes.txt", "f/deep/c.svs"):
        bucket(key)
    bucket("f/list.csv", b"slide,mpp\na.svs,0.5\ns3://slides/f/none.svs,\n")
    found = find_cohort("s3://slides/f/")
    assert [str(each.path) for each in found] == ["s3://slides/f/a.svs"]
    assert found.notes == (
        "s3://slides/f: files of slides that consist of several are not read from servers: 1 of .mrxs, .dcm, …",
    )
    assert [each.path.name for each in find_cohort("s3://slides/f", recursive=True)] == ["a.svs", "c.svs"]
    listed = find_cohort("s3://slides/f/list.csv")
    assert [(str(each.path), each.slide_mpp) for each in listed] == [
        ("s3://slides/f/a.svs", 0.5),
        ("s3://slides/f/none.svs", None),
    ]
    assert list(listed.absolute()) == list(listed)
    with pytest.raises(DataError, match="s3://slides/g: contains no slides"):
        find_cohort("s3://slides/g")


def test_a_slide_that_cannot_be_read_stops_only_itself(bucket):
    bucket("a.svs")
    bucket("b.mrxs")
    bucket("cut.svs", b"II*\0")
    names = ("a.svs", "none.svs", "b.mrxs", "cut.svs")
    problems = [each.problem for each in survey([f"s3://slides/{name}" for name in names])]
    assert problems[:3] == [
        "",
        "s3://slides/none.svs: no such file on the server",
        "s3://slides/b.mrxs: consists of several files, which are not read from servers; copy them to this computer",
    ]
    assert problems[3].startswith("s3://slides/cut.svs: damaged")


def test_two_that_want_one_slide_copy_it_once(bucket, downloads):
    path, borrowed = bucket("a.svs"), []
    threads = [threading.Thread(target=lambda: borrowed.append(borrow(path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(borrowed) == 3
    assert downloads == [str(path)]
    entry = copies()[0].parent
    for _, give_back in borrowed:
        assert any_claimed(entry / ".in-use")
        give_back()
    assert not any_claimed(entry / ".in-use")


def test_what_was_used_longest_ago_makes_room_but_not_what_is_open(bucket, monkeypatch, downloads):
    monkeypatch.setenv("HVISKD_SLIDE_CACHE_GB", str(2500 / 1e9))
    a, b, c = (bucket(f"{name}.svs", name.encode() * 1000) for name in "abc")
    kept_a, give_back_a = borrow(a)
    borrow(b)[1]()
    kept_c, give_back_c = borrow(c)
    assert sorted(copy.read_bytes()[:1] for copy in copies()) == [b"a", b"c"]
    with pytest.raises(DataError, match=r"s3://slides/b\.svs: no room .* raise HVISKD_SLIDE_CACHE_GB"):
        borrow(b)
    assert (kept_a.read_bytes()[:1], kept_c.read_bytes()[:1]) == (b"a", b"c")
    give_back_a()
    borrow(b)[1]()
    assert sorted(copy.read_bytes()[:1] for copy in copies()) == [b"b", b"c"]
    give_back_c()
    assert len(downloads) == 4


def test_what_a_killed_process_left_is_removed(bucket):
    left = slides_folder() / "0123-999"
    left.mkdir(parents=True)
    (left / ".partial-slide.svs-x").write_bytes(b"half")
    borrow(bucket("a.svs"))[1]()
    assert not left.exists()
    assert len(copies()) == 1


def test_a_torn_copy_is_never_left(bucket, monkeypatch):
    path = bucket("a.svs")
    monkeypatch.setattr(slide_cache, "download", lambda _, place: place.write_bytes(b"torn"))
    with pytest.raises(OSError, match="cut off") as raised:
        borrow(path)
    assert (raised.value.filename, copies()) == (str(path), [])


def test_a_full_disk_is_one_line(bucket, monkeypatch):
    def full(path, place):
        raise OSError(errno.ENOSPC, "No space left on device", str(place))

    path = bucket("a.svs")
    monkeypatch.setattr(library(), "get_file", full)
    report = survey([path])[0]
    assert report.problem.startswith(
        f"s3://slides/a.svs: cannot be copied to {slides_folder()} (No space left on device)"
    )
    assert "HVISKD_CACHE" in report.problem
    assert copies() == []


def test_a_cache_that_cannot_be_written_is_one_line(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("HVISKD_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").write_bytes(b"")
    report = survey([bucket("a.svs")])[0]
    assert report.problem.startswith(f"s3://slides/a.svs: cannot be copied to {slides_folder()} (")
    assert report.problem.endswith("or set HVISKD_CACHE to another folder")


@pytest.mark.parametrize("said", ["0", "-1", "nan", "many", "inf"])
def test_a_size_must_be_a_size(bucket, monkeypatch, said):
    monkeypatch.setenv("HVISKD_SLIDE_CACHE_GB", said)
    with pytest.raises(DataError, match=f"HVISKD_SLIDE_CACHE_GB={said}"):
        borrow(bucket("a.svs"))


def test_a_missing_library_is_named_before_the_first_slide(monkeypatch):
    monkeypatch.setattr(remote_files, "find_spec", lambda _: None)
    with pytest.raises(DataError, match=r"needs s3fs; pip install 'hviskd\[remote\]'"):
        find_cohort("s3://slides/a.svs")
    with pytest.raises(DataError, match="needs gcsfs; pip install gcsfs"):
        find_cohort("gs://slides/a.svs")


def test_no_key_is_in_an_error(bucket, monkeypatch):
    path = bucket("a.svs")

    def angry(path):
        raise RuntimeError(f"https://{KEY}:{SECRET}@host/?X-Amz-Signature={SECRET}")

    monkeypatch.setattr(library(), "info", angry)
    with pytest.raises(OSError, match="RuntimeError") as raised:
        open_slide(path)
    assert SECRET not in f"{raised.value!s}{raised.value!r}{raised.value.__cause__!r}"
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("ranges", ["none", None])
def test_a_web_server_without_ranges_serves_whole_slides(svs, tmp_path, monkeypatch, downloads, ranges):
    monkeypatch.setenv("HVISKD_CACHE", str(tmp_path / "cache"))
    with web(svs.parent, ranges) as address:
        url = f"{address}/{svs.name}"
        assert slide_fingerprint(url) == slide_fingerprint(svs)
        with open_slide(url) as slide:
            assert (str(slide.path), slide.size) == (url, (300, 300))
        assert downloads == [url]
        with pytest.raises(FileNotFoundError, match="no such file on the server"):
            open_slide(f"{address}/none.svs")
        with pytest.raises(DataError, match="list URLs in a CSV"):
            find_cohort(address + "/folder")
    with pytest.raises(OSError, match="the server cannot be read .*; check the network"):
        open_slide(url)
