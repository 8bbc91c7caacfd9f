"""Folders say class and split, and a layout that would mislead is refused with what to do."""

import os

import pytest

from hviskd.errors import DataError
from hviskd.tiles.class_folders import find_pictures
from hviskd.tiles.layouts import Layout, split_of


def lay_out(folder, *files):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def found(folder, classes=None):
    pictures, others = find_pictures(folder, classes)
    return [(picture.file, picture.class_name, picture.split) for picture in pictures], others


def test_plain_class_folders(tmp_path):
    lay_out(tmp_path, "B/2.png", "A/x/1.JPG", "A/0.tiff", "A/notes.txt", "A/.hidden.png", "readme.md", ".git/a.png")
    assert found(tmp_path) == ([("A/0.tiff", "A", None), ("A/x/1.JPG", "A", None), ("B/2.png", "B", None)], 2)


def test_split_folders_of_any_usual_name(tmp_path):
    lay_out(tmp_path, "Train/A/1.png", "validation/A/2.png", "test/A/3.webp")
    assert {(name, split) for _, name, split in found(tmp_path)[0]} == {("A", "train"), ("A", "val"), ("A", "test")}


def test_a_lone_test_set_is_welcome(tmp_path):
    assert found(lay_out(tmp_path, "test/A/1.png"))[0] == [("test/A/1.png", "A", "test")]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "no class folders"),
        (("1.png",), "no class folders"),
        (("A/1.png", "B/notes.txt"), "B: contains no JPEG"),
        (("A/1.png", "train/A/1.png"), "A is beside split folders but is not one; name it train, val or test"),
        (("A/x/1.png", "B/y/2.png"), r"A: has folders \(x\), not images; .* for example `layout='class/patient'`"),
        (("p/0/1.png", "p/1/2.png", "q/0/3.png", "q/1/4.png"), "for example `layout='patient/class'`"),
        (("A/train/1.png", "A/test/2.png", "B/train/3.png"), "for example `layout='class/split'`"),
        (("train/A/x/1.png", "test/A/x/2.png"), "for example `layout='split/class/patient'`"),
        (("val/A/1.png", "valid/A/1.png"), "both val and valid mean val"),
        (("train/A/1.png", "test/A/2.png", "test/B/3.png"), "class B is only in test"),
        (("train/A/1.png", "test/B/2.png", "val/B/3.png"), "class B is only in test and val"),
        (("train/notes.txt", "test/x.txt"), "no class folders"),
    ],
)
def test_a_layout_that_misleads_is_refused(tmp_path, files, message):
    with pytest.raises(DataError, match=message):
        find_pictures(lay_out(tmp_path, *files), None)


def test_a_folder_that_is_not_among_the_classes_is_refused(tmp_path):
    lay_out(tmp_path, "A/1.png", "B/2.png")
    with pytest.raises(DataError, match="B: not one of the classes A, C"):
        find_pictures(tmp_path, ["A", "C"])


def test_names_that_are_no_utf8_are_made_so(tmp_path):
    (tmp_path / "A").mkdir()
    try:
        (tmp_path / "A" / os.fsdecode(b"\xff.png")).touch()
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    assert found(tmp_path)[0][0][0] == "A/?.png"


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Training", "train"),
        ("train_set", "train"),
        ("TrainData", "train"),
        ("testing", "test"),
        ("Test images", "test"),
        ("valid", "val"),
        ("Validation-Set", "val"),
        ("data", None),
        ("contest", None),
        ("trained", None),
    ],
)
def test_splits_go_by_many_names(name, split):
    assert split_of(name) == split


def test_training_and_testing_are_splits(tmp_path):
    lay_out(tmp_path, "training/A/1.png", "testing/A/2.png")
    assert [(file, split) for file, _, split in found(tmp_path)[0]] == [
        ("testing/A/2.png", "test"),
        ("training/A/1.png", "train"),
    ]


def test_what_systems_leave_behind_is_passed_over(tmp_path):
    lay_out(tmp_path, "A/1.png", "__MACOSX/A/._1.png", "__MACOSX/x.png", "A/@eaDir/1.png/thumb.jpg", "A/.thumbs/1.png")
    assert found(tmp_path) == ([("A/1.png", "A", None)], 0)


def test_a_layout_says_what_folders_stand_for(tmp_path):
    lay_out(tmp_path, "P1/0/1.png", "P1/1/2.png", "P2/0/deep/3.png", "4.png", "P2/5.png")
    pictures, others = find_pictures(tmp_path, None, Layout("patient/class"))
    assert [(picture.file, picture.class_name, picture.source.patient) for picture in pictures] == [
        ("P1/0/1.png", "0", "P1"),
        ("P1/1/2.png", "1", "P1"),
        ("P2/0/deep/3.png", "0", "P2"),
    ]
    assert others == 2


def test_a_layout_may_choose_folders_by_name(tmp_path):
    lay_out(tmp_path, "train/A/S1/40X/1.png", "train/A/S1/100X/2.png", "Testing/A/S2/40X/3.png")
    pictures, others = find_pictures(tmp_path, ["A"], Layout("split/class/slide/40X"))
    assert [(picture.split, picture.source.slide) for picture in pictures] == [("test", "S2"), ("train", "S1")]
    assert others == 1


@pytest.mark.parametrize("text", ["", "patient", "class/class", "split/split/class"])
def test_a_layout_without_one_class_is_refused(text):
    with pytest.raises(DataError, match="must name `class` once"):
        Layout(text)


def test_a_layout_that_fits_nothing_or_no_split_is_refused(tmp_path):
    lay_out(tmp_path, "odd/A/1.png")
    with pytest.raises(DataError, match="odd is not a split; name it train, val or test"):
        find_pictures(tmp_path, None, Layout("split/class"))
    with pytest.raises(DataError, match="`layout='class/x/y/z'`"):
        find_pictures(tmp_path, None, Layout("class/x/y/z"))
    with pytest.raises(DataError, match="A: not one of the classes B"):
        find_pictures(tmp_path, ["B"], Layout("*/class"))


BREAKHIS = (
    "benign/SOB/adenosis/SOB_B_A_14-22549AB/40X/SOB_B_A-14-22549AB-40-001.png",
    "benign/SOB/adenosis/SOB_B_A_14-22549CD/40X/SOB_B_A-14-22549CD-40-001.png",
    "malignant/SOB/ductal_carcinoma/SOB_M_DC_14-2523/40X/SOB_M_DC-14-2523-40-001.png",
)


def test_breakhis_tells_class_slide_and_patient(tmp_path):
    pictures, others = find_pictures(lay_out(tmp_path, *BREAKHIS, "README.txt"), None)
    assert [(picture.class_name, *picture.source[:2]) for picture in pictures] == [
        ("benign", "14-22549AB", "14-22549"),
        ("benign", "14-22549CD", "14-22549"),
        ("malignant", "14-2523", "14-2523"),
    ]
    assert others == 1


def test_of_several_magnifications_one_is_chosen(tmp_path):
    lay_out(tmp_path, *BREAKHIS, *(file.replace("40X", "100X").replace("-40-", "-100-") for file in BREAKHIS))
    with pytest.raises(DataError, match=r"images at 40X, 100X, .*`layout='class/\*/\*/patient/40X'`"):
        find_pictures(tmp_path, None)
    pictures, others = find_pictures(tmp_path, None, Layout("class/*/*/patient/40X"))
    assert (len(pictures), others) == (3, 3)
    assert pictures[0].source.patient == "SOB_B_A_14-22549AB"


def test_a_stranger_among_files_of_breakhis_is_named(tmp_path):
    lay_out(tmp_path, *BREAKHIS, "malignant/other.png")
    with pytest.raises(DataError, match=r"malignant/other\.png: is among files of BreakHis"):
        find_pictures(tmp_path, None)
