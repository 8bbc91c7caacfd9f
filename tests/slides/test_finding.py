"""Slides are found once each, and whatever was offered and is not used is told."""

import os
import subprocess
import sys

import pytest

from hviskd.errors import DataError
from hviskd.slides import find_cohort, find_slides, open_slide, survey
from tests.slides.make import glass, write_svs


def test_slides_of_kinds_that_are_not_read_are_counted_and_named_once(tmp_path):
    write_svs(tmp_path / "A.svs", glass((64, 64)), levels=1)
    for name in ("B.vsi", "C.vsi", "D.isyntax", "E.jp2", "_B_/stack1/frame_t.ets", "sub/F.kfb", "G.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(range(100)))
    (tmp_path / "H.ome.zarr" / "0").mkdir(parents=True)
    write_svs(tmp_path / "H.ome.zarr" / "0" / "x.svs", glass((64, 64)), levels=1)  # not a slide of its own
    found = find_slides([tmp_path, tmp_path])
    assert found == [tmp_path / "A.svs"]
    qupath = "export a pyramidal OME-TIFF with QuPath or Bio-Formats"
    scanner = "export a pyramidal TIFF with the scanner's own program"
    assert found.notes == (
        f"left out, since Philips iSyntax is not read: D.isyntax; {scanner}",
        "left out, since JPEG 2000 is not read: E.jp2; save it as TIFF, PNG or JPEG in 8-bit RGB",
        f"left out, since Olympus/Evident VSI is not read: 2 files .vsi (B.vsi, …); {qupath}",
        f"left out, since OME-Zarr is not read: H.ome.zarr; {qupath}",
    )
    deep = find_slides(tmp_path, recursive=True)
    assert deep == [tmp_path / "A.svs"]
    assert f"left out, since KFBIO is not read: F.kfb; {scanner}" in deep.notes
    assert find_cohort(tmp_path).notes == find_cohort(find_cohort(tmp_path)).notes == found.notes
    assert survey(tmp_path).notes == found.notes


def test_a_folder_of_nothing_else_says_so(tmp_path):
    (tmp_path / "B.vsi").touch()
    with pytest.raises(
        DataError, match=r"contains no slides.*; left out, since Olympus/Evident VSI is not read: B\.vsi"
    ):
        find_slides(tmp_path)


@pytest.mark.parametrize("name", ["a.vsi", "a.bmp", "a.jp2", "a.zvi", "a.tmap", "a.sdpc", "a.qptiff"])
def test_by_name_it_is_told_what_it_is_and_what_to_do(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(range(1, 200)))
    with pytest.raises(DataError, match=rf"a\.\w+: .* \(\.{name[2:]}\) is not read; (export|save)") as caught:
        open_slide(tmp_path / name, slide_mpp=0.5)
    assert "damaged" not in str(caught.value)


def test_a_zarr_given_by_name_is_told_as_well(tmp_path):
    (tmp_path / "a.ome.zarr").mkdir()
    assert find_slides(tmp_path / "a.ome.zarr") == [tmp_path / "a.ome.zarr"]
    with pytest.raises(DataError, match=r"OME-Zarr \(\.zarr\) is not read; export"):
        open_slide(tmp_path / "a.ome.zarr")


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_two_links_to_one_slide_are_used_once_and_told(tmp_path, link):
    slide = write_svs(tmp_path / "slides" / "A.svs", glass((64, 64)), levels=1)
    link(slide, tmp_path / "slides" / "B.svs")
    found = find_slides(tmp_path / "slides")
    assert found == [slide]
    note = f"{tmp_path / 'slides' / 'B.svs'} leads to the same file as {slide}, which is used once"
    assert found.notes == (note,)
    cohort = find_cohort([slide, tmp_path / "slides" / "B.svs", slide])
    assert [each.path for each in cohort] == [slide]
    assert cohort.notes == (note,)


@pytest.mark.slow
def test_the_verb_tells_it(tmp_path):
    slide = write_svs(tmp_path / "slides" / "A.svs", glass((64, 64)), levels=1)
    (tmp_path / "slides" / "B.vsi").touch()
    (tmp_path / "slides" / "C.svs").symlink_to(slide)
    command = [sys.executable, "-m", "hviskd", "slides", "info", str(tmp_path / "slides")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("note: left out, since Olympus/Evident VSI is not read: B.vsi") == 1
    assert done.stdout.count("C.svs leads to the same file as") == 1


def test_links_to_folders_are_followed_once_and_never_in_a_circle(tmp_path):
    slide = write_svs(tmp_path / "archive" / "A.svs", glass((64, 64)), levels=1)
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    (cohort / "batch").symlink_to(slide.parent, target_is_directory=True)
    (slide.parent / "back").symlink_to(cohort, target_is_directory=True)
    assert find_slides(cohort, recursive=True) == [cohort / "batch" / "A.svs"]
    (cohort / "again").symlink_to(slide.parent, target_is_directory=True)
    found = find_slides(cohort, recursive=True)
    assert found == [cohort / "again" / "A.svs"]
    assert "which is used once" in found.notes[0]
