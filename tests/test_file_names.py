"""Which file holds the annotation of a slide: naming conventions."""

from pathlib import Path

import pytest

from hviskd.errors import DataError
from hviskd.file_names import AnnotationFolder


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_the_more_telling_name_wins(tmp_path):
    folder = touch(
        tmp_path, "s.1_L.jpg", "s.1.png", "w_L.png", "w_mask.tif", "t_mask.PNG", "u.tif", "._u_L.jpg", "s.1_L.txt"
    )
    masks = AnnotationFolder(folder, masks=True)
    assert masks.of(Path("x/s.1.svs")).name == "s.1_L.jpg"
    assert masks.of(Path("t.svs")).name == "t_mask.PNG"
    assert masks.of(Path("u.svs")).name == "u.tif"
    with pytest.raises(DataError, match=r"has several masks in .* \(w_L\.png and w_mask\.tif\); keep only one"):
        masks.of(Path("w.svs"))
    with pytest.raises(
        DataError, match=r"^v\.svs: has no mask in .*name it v_L\.png or v_mask\.png or v-mask\.png or v\.png"
    ):
        masks.of(Path("v.svs"))


def test_a_flat_slide_is_not_its_own_mask(tmp_path):
    masks = AnnotationFolder(touch(tmp_path, "s.jpg", "s_L.jpg", "t.jpg"), masks=True)
    assert masks.of(tmp_path / "s.jpg").name == "s_L.jpg"
    with pytest.raises(DataError, match="no mask"):
        masks.of(tmp_path / "t.jpg")


def test_two_that_fit_alike_are_refused(tmp_path):
    folder = touch(tmp_path, "s.json", "s.geojson", "t.geojson", "t.png")
    outlines = AnnotationFolder(folder, masks=False)
    assert outlines.of(Path("t.svs")).name == "t.geojson"
    with pytest.raises(DataError, match=r"s\.geojson and s\.json"):
        outlines.of(Path("s.svs"))
    with pytest.raises(DataError, match="no such folder"):
        AnnotationFolder(tmp_path / "none", masks=True)
