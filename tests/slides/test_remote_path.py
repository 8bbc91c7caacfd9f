"""URLs as paths of slides: named as files are, and free of what must stay secret."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from hviskd.errors import DataError
from hviskd.file_names import slide_names
from hviskd.slides import CohortSlide, find_cohort, find_slides, open_slide
from hviskd.slides.remote_path import RemotePath, as_remote
from hviskd.slides.slide_files import known_bytes, place_digest

URL = "s3://bucket/folder/S1.ome.tif"
SECRET = "hunter2"
SECRET_URLS = (
    f"https://user:{SECRET}@host/slide.svs",
    f"https://host/slide.svs?X-Amz-Signature={SECRET}{'0' * 300}",
    f"https://host/slide.svs#{SECRET}",
    f"https://host?{SECRET}/slide.svs",
    f"s3://bucket/slide.svs?versionId={SECRET}",
    f"s3://key:{SECRET}@bucket/slide.svs",
    f"ftp://user:{SECRET}@host/slide.svs",
)


@pytest.mark.parametrize(
    "given", [URL, Path(URL), RemotePath("s3:/bucket/folder/S1.ome.tif"), "S3://bucket/folder/S1.ome.tif"]
)
def test_a_url_is_a_path_that_prints_as_the_url(given):
    path = as_remote(given)
    assert isinstance(path, Path)
    assert str(path) == URL
    assert slide_names(path) == ("S1.ome.tif", "S1.ome", "S1")
    assert path.absolute() is path.resolve() is path
    again = pickle.loads(pickle.dumps(path))
    assert (type(again), str(again), again) == (RemotePath, URL, path)
    assert str(path.parent) == "s3://bucket/folder"


def test_files_are_no_urls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s3:/mine").mkdir(parents=True)
    assert [as_remote(each) for each in ("slide.svs", "/a/s3:/b.svs", "C:/slide.svs", "s3:/mine/x.svs")] == [None] * 4


def test_only_a_copy_is_known_to_the_system(tmp_path):
    path = as_remote(URL)
    assert not path.exists()
    (tmp_path / "copy.tif").write_bytes(b"12")
    kept = path.kept_at(tmp_path / "copy.tif")
    assert (kept.read_bytes(), str(kept), kept.name) == (b"12", URL, "S1.ome.tif")
    assert known_bytes(kept) == 2


def test_no_folder_is_made_for_a_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match="nothing is written to servers"):
        (as_remote(URL).parent / ".claims").mkdir(parents=True)
    assert not list(tmp_path.iterdir())


def test_the_place_of_a_url_is_the_same_from_every_folder(tmp_path, monkeypatch):
    here = place_digest(as_remote(URL))
    monkeypatch.chdir(tmp_path)
    assert place_digest(as_remote(URL)) == here


@pytest.mark.parametrize("url", SECRET_URLS)
@pytest.mark.parametrize(
    "use", [find_cohort, find_slides, open_slide, lambda url: find_cohort([CohortSlide(Path(url))])]
)
def test_a_secret_in_a_url_is_refused_and_not_told(url, use):
    with pytest.raises(DataError) as raised:
        use(url)
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("url", SECRET_URLS)
def test_a_csv_with_a_secret_is_refused_by_its_line(url, tmp_path):
    table = tmp_path / "cohort.csv"
    table.write_text(f"slide\na.svs\n{url}\n")
    with pytest.raises(DataError, match=r"cohort\.csv: line 3: \w+://") as raised:
        find_cohort(table)
    assert SECRET not in str(raised.value)


def test_local_slides_import_nothing_remote(tmp_path):
    (tmp_path / "a.svs").write_bytes(b"0")
    code = (
        "import sys; from hviskd.slides import find_cohort; find_cohort(sys.argv[1]);"
        "print([name for name in ('fsspec', 's3fs', 'aiohttp', 'hviskd.slides.slide_cache') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
