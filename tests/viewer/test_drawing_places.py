"""What is drawn is saved where `tiles cut` finds it, and never where it would leave open which annotation counts."""

import os
from pathlib import Path

import pytest

from hviskd.errors import DataError
from hviskd.file_names import AnnotationFolder
from hviskd.viewer import drawing_places
from hviskd.viewer.drawing_places import DrawingPlaces
from hviskd.viewer.shelf import ShelfSlide


def target(folder, given=None, name="A.svs", slides=("A.svs", "B.svs")):
    places = DrawingPlaces(given, [folder / "slides" / each for each in slides])
    return places.target(ShelfSlide("0", folder / "slides" / name))


@pytest.fixture
def folder(tmp_path):
    for name in ("slides", "drawn-by-her"):
        (tmp_path / name).mkdir()
    for name in ("A.svs", "B.svs"):
        (tmp_path / "slides" / name).write_text("a slide")
    return tmp_path


def write(path, text="{}"):
    path.write_text(text)
    return path


def test_without_annotations_it_is_beside_the_slide(folder):
    assert target(folder) == folder / "slides" / "A.geojson"


def test_with_a_folder_it_is_there(folder):
    given = folder / "drawn-by-her"
    assert target(folder, given) == given / "A.geojson"
    there = write(given / "A.svs.geojson")
    assert target(folder, given) == there
    assert target(folder, given, "B.svs") == given / "B.geojson"


@pytest.mark.parametrize("name", ["A.json", "A.xml", "A_L.png", "A.ndpa"])
def test_beside_annotations_of_another_kind_it_is_in_a_subfolder_under_its_name(folder, name):
    given = folder / "drawn-by-her"
    write(given / name, "<x/>")
    path = target(folder, given)
    assert path == given / "drawn" / "A.geojson"
    path.parent.mkdir()
    write(path)
    assert AnnotationFolder(given).of(Path("A.svs")).name == name  # what counted before counts on
    assert AnnotationFolder(path.parent).of(Path("A.svs")) == path


def test_pictures_beside_a_slide_are_no_annotations_but_outlines_are(folder):
    write(folder / "slides" / "A.jpg")
    write(folder / "slides" / "A_L.png")
    assert target(folder) == folder / "slides" / "A.geojson"
    write(folder / "slides" / "A.xml")
    assert target(folder) == folder / "slides" / "drawn" / "A.geojson"


def test_slides_of_the_same_stem_have_files_of_their_own(folder):
    slides = ("A.svs", "A.ndpi", "B.svs")
    names = [target(folder, None, name, slides).name for name in slides]
    assert names == ["A.svs.geojson", "A.ndpi.geojson", "B.geojson"]


def test_one_file_is_changed_where_it_is_of_the_only_slide(folder):
    mine = write(folder / "mine.geojson")
    assert target(folder, mine, slides=("A.svs",)) == mine
    assert target(folder, mine) == folder / "drawn" / "A.geojson"
    assert target(folder, write(folder / "all.json"), slides=("A.svs",)) == folder / "drawn" / "A.geojson"


def test_what_is_shown_is_what_was_given_or_else_what_was_drawn(folder):
    given, which = folder / "drawn-by-her", ShelfSlide("0", folder / "slides" / "A.svs")
    for places in (DrawingPlaces(None), DrawingPlaces(given)):
        with pytest.raises(DataError, match=r"A\.svs"):
            places.annotation(which)
        own = write(places.target(which))
        assert places.annotation(which) == own
    mask = write(folder / "drawn-by-her" / "B_L.png")
    places = DrawingPlaces(given)
    other = ShelfSlide("1", folder / "slides" / "B.svs")
    places.target(other).parent.mkdir()
    write(places.target(other))
    assert places.annotation(other) == mask


def test_a_folder_is_listed_again_only_when_files_came_or_went(folder, monkeypatch):
    listed = []
    monkeypatch.setattr(
        drawing_places, "AnnotationFolder", lambda *given: listed.append(given) or AnnotationFolder(*given)
    )
    given, which = folder / "drawn-by-her", ShelfSlide("0", folder / "slides" / "A.svs")
    os.utime(given, ns=(1, 1))
    places = DrawingPlaces(given)
    for _ in range(3):
        with pytest.raises(DataError):
            places.annotation(which)
    assert len(listed) == 1
    exported = write(given / "A.xml", "<x/>")  # by another program, while the viewer runs
    assert [places.annotation(which) for _ in range(3)] == [exported] * 3
    assert len(listed) == 2


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        DrawingPlaces(tmp_path / "none")
