"""What file names tell: patients by rule, and the annotation that belongs to a slide."""

from pathlib import Path

import pytest

from hviskd.errors import DataError
from hviskd.tiles.file_names import AnnotationFolder, patients_of


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("rule", "name", "patient"),
    [
        ("ivygap", "W10-1-1-B.2.02.jpg", "W10"),
        ("tcga", "TCGA-02-0001-01C-01-BS1.0cc8ca55.svs", "TCGA-02-0001"),
        (r"(\w+?)_", "P7_slide_2.svs", "P7"),
        (r".*/?case([0-9]+)", "case12b.svs", "12"),
    ],
)
def test_rules_give_the_patient(rule, name, patient):
    assert patients_of([Path("slides") / name], rule) == [patient]


def test_without_a_rule_nobody_is_known():
    assert patients_of([Path("a.svs"), Path("b.svs")], None) == [None, None]


def test_a_csv_names_slides_with_or_without_suffix(tmp_path):
    table = tmp_path / "patients.csv"
    table.write_text("\ufeffslide,patient,age\na.b,P1,50\nc.svs, P2 ,60\n")
    assert patients_of([Path("x/a.b.svs"), Path("c.svs")], str(table)) == ["P1", "P2"]
    with pytest.raises(DataError, match=r"1 of 2 slides \(d\.svs\)"):
        patients_of([Path("c.svs"), Path("d.svs")], str(table))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("slide|patient\na|b", "columns"),
        ("slide,patient\na,", "line 2"),
        ("slide,patient\na,1\na,2", "two different"),
    ],
)
def test_a_csv_that_does_not_tell_is_refused(tmp_path, content, word):
    table = tmp_path / "patients.csv"
    table.write_text(content)
    with pytest.raises(DataError, match=word):
        patients_of([Path("a.svs")], str(table))


@pytest.mark.parametrize("rule", ["([a-z", "W[0-9]+", "(a)(b)", "none.csv"])
def test_a_rule_that_is_none_is_refused(rule):
    with pytest.raises(DataError):
        patients_of([Path("W1.svs")], rule)


def test_the_more_telling_name_wins(tmp_path):
    folder = touch(
        tmp_path, "s.1_L.jpg", "s.1.png", "w_L.png", "w_mask.tif", "t_mask.PNG", "u.tif", "._u_L.jpg", "s.1_L.txt"
    )
    masks = AnnotationFolder(folder, masks=True)
    assert masks.of(Path("x/s.1.svs")).name == "s.1_L.jpg"
    assert masks.of(Path("t.svs")).name == "t_mask.PNG"
    assert masks.of(Path("u.svs")).name == "u.tif"
    with pytest.raises(DataError, match=r"has several masks in .*, w_L\.png and w_mask\.tif; keep one"):
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
