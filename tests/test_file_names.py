"""Which file holds the annotation of a slide: naming conventions."""

import json
from pathlib import Path

import pytest

from hviskd.errors import DataError
from hviskd.file_names import AnnotationFolder, qc_folder


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_the_more_telling_name_wins(tmp_path):
    folder = touch(
        tmp_path, "s.1_L.jpg", "s.1.png", "w_L.png", "w_mask.tif", "t_mask.PNG", "u.tif", "._u_L.jpg", "s.1_L.txt"
    )
    masks = AnnotationFolder(folder, "masks")
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
    masks = AnnotationFolder(touch(tmp_path, "s.jpg", "s_L.jpg", "t.jpg"), "masks")
    assert masks.of(tmp_path / "s.jpg").name == "s_L.jpg"
    with pytest.raises(DataError, match="no mask"):
        masks.of(tmp_path / "t.jpg")


def test_two_that_fit_alike_are_refused(tmp_path):
    folder = touch(tmp_path, "s.json", "s.geojson", "t.geojson", "t.png")
    outlines = AnnotationFolder(folder, "outlines")
    assert outlines.of(Path("t.svs")).name == "t.geojson"
    with pytest.raises(DataError, match=r"s\.geojson and s\.json"):
        outlines.of(Path("s.svs"))
    with pytest.raises(DataError, match="no such folder"):
        AnnotationFolder(tmp_path / "none", "masks")


def test_a_slide_s_suffix_may_stay_and_its_ome_may_go(tmp_path):
    folder = touch(tmp_path, "a.svs.geojson", "b.geojson", "c.ome.json", "c.json", "d_mask.png", "e.ndpi_mask.png")
    either = AnnotationFolder(folder)
    slides = ("a.svs", "b.ome.tif", "c.ome.tiff", "c.svs", "d.OME.TIF", "e.ndpi")
    found = [either.of(tmp_path / slide).name for slide in slides]
    assert found == ["a.svs.geojson", "b.geojson", "c.ome.json", "c.json", "d_mask.png", "e.ndpi_mask.png"]
    touch(tmp_path, "a.geojson")
    with pytest.raises(DataError, match=r"several annotations in .* \(a\.svs\.geojson and a\.geojson\); keep only one"):
        AnnotationFolder(folder).of(Path("a.svs"))
    with pytest.raises(DataError, match="no annotation"):
        either.of(Path("a.svs.x.svs"))


def test_outlines_of_every_program_are_found(tmp_path):
    names = ("S1.xml", "S2.svs.xml", "S3.annotations", "S4.svs.annotations", "S5.XML")
    either = AnnotationFolder(touch(tmp_path, *names, "S6.txt"))
    assert [either.of(Path(f"S{n}.svs")).name for n in range(1, 6)] == list(names)
    with pytest.raises(DataError, match="no annotation"):
        either.of(Path("S6.svs"))
    touch(tmp_path, "S1.geojson")
    with pytest.raises(DataError, match=r"several annotations in .* \(S1\.geojson and S1\.xml\); keep only one"):
        AnnotationFolder(tmp_path).of(Path("S1.svs"))


def coco_file(path, *names):
    images = [{"id": n, "file_name": name} for n, name in enumerate(names)]
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    return path


def test_a_coco_file_holds_the_outlines_of_many_slides(tmp_path):
    one = coco_file(tmp_path / "instances.json", "train/S1.svs", "S10.png", "Größe.svs")
    (tmp_path / "labels.json").write_text('{"shapes": [], "images": 0}')
    touch(tmp_path, "S2.geojson", "empty.json")
    assert AnnotationFolder(one).of(Path("S5.svs")) == one  # reading says that it has none
    either = AnnotationFolder(tmp_path)
    assert [either.of(Path(name)).name for name in ("S1.svs", "S2.svs", "S3.svs")] == [one.name, "S2.geojson", one.name]
    with pytest.raises(DataError, match="no mask"):
        AnnotationFolder(tmp_path, "masks").of(Path("S1.svs"))
    other = coco_file(tmp_path / "val.json", "a\\S3.svs", "Größe.svs")
    either = AnnotationFolder(tmp_path, "outlines")
    assert [either.of(Path(name)).name for name in ("S1.svs", "S10.svs", "S3.svs")] == [one.name, one.name, other.name]
    with pytest.raises(DataError, match="S4.svs: has no annotation in"):
        either.of(Path("S4.svs"))
    with pytest.raises(DataError, match=r"Größe\.svs: is named in several files of .*instances\.json and val\.json"):
        either.of(Path("Größe.svs"))
    for file in ("labels.json", "S2.geojson", "empty.json"):
        with pytest.raises(DataError, match="no such folder"):
            AnnotationFolder(tmp_path / file)


def test_without_a_kind_a_slide_has_whichever_there_is(tmp_path):
    names = ("a.geojson", "b_mask.png", "c.png", "c.json", "d.tif", "e.geojson", "e_L.png")
    either = AnnotationFolder(str(touch(tmp_path, *names)))
    found = [either.of(tmp_path / slide).name for slide in ("a.svs", "b.svs", "c.svs", "d.svs")]
    assert found == ["a.geojson", "b_mask.png", "c.json", "d.tif"]
    with pytest.raises(DataError, match=r"e\.geojson and e_L\.png\); keep only one, or choose `masks` or `outlines`"):
        either.of(Path("e.svs"))
    assert AnnotationFolder(tmp_path, "masks").of(Path("e.svs")).name == "e_L.png"
    with pytest.raises(
        DataError, match=r"f\.svs: has no annotation in .*; name it f\.geojson or f\.json or f\.xml or f_L\.png or"
    ):
        either.of(Path("f.svs"))
    with pytest.raises(DataError, match="`kind='mask'`"):
        AnnotationFolder(tmp_path, "mask")


def test_pictures_and_report_stand_beside_their_tiles(tmp_path):
    assert qc_folder(tmp_path / "tiles") == (tmp_path / "tiles-qc").resolve()
