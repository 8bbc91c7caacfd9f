"""Folders say class and split, and a layout that would mislead is refused with what to do."""

import os

import pytest

from hviskd.errors import DataError
from hviskd.tiles.class_folders import find_pictures


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
        (("A/1.png", "train/A/1.png"), "A is beside split folders"),
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
