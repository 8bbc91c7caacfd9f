"""Which maps are a slide's: by its content, not by its name alone."""

import os
import shutil

import pytest

from hviskd.errors import DataError
from hviskd.segmentation.outputs import read_summary, write_summary
from hviskd.slides import CohortSlide
from hviskd.slides.slide_files import place_digest
from hviskd.viewer import map_shelf
from hviskd.viewer.map_shelf import MapShelf
from hviskd.viewer.shelf import put_up
from tests.slides.make import patterned, write_svs


def shelved(path):
    (slide,) = put_up([CohortSlide(path)]).values()
    return slide


def test_a_slide_that_was_moved_keeps_its_maps_and_another_of_its_name_has_none(cohort, tmp_path):
    maps = MapShelf([cohort / "kd", cohort / "hviskd"])
    assert [one.name for one in maps.of(shelved(cohort / "slides" / "A.svs"))] == ["kd", "hviskd"]
    moved = shutil.copy(cohort / "slides" / "A.svs", tmp_path / "A.svs")
    assert len(maps.of(shelved(tmp_path / moved))) == 2
    other = write_svs(tmp_path / "other" / "A.svs", patterned(300, 300))
    assert maps.of(shelved(other)) == ()
    assert maps.of(shelved(tmp_path / "missing.svs")) == ()


def test_maps_by_models_of_one_name_are_told_apart_by_their_folders(cohort, tmp_path):
    shutil.copytree(cohort / "kd", tmp_path / "again")
    maps = MapShelf([cohort / "kd", tmp_path / "again"])
    assert [one.name for one in maps.of(shelved(cohort / "slides" / "A.svs"))] == ["kd, kd", "kd, again"]


def test_one_map_alone_and_a_damaged_one(cohort, tmp_path):
    assert len(MapShelf([cohort / "kd" / "A"]).of(shelved(cohort / "slides" / "A.svs"))) == 1
    shutil.copytree(cohort / "kd", tmp_path / "kd")
    (tmp_path / "kd" / "A" / "summary.json").write_text("{")
    maps = MapShelf([tmp_path / "kd"])
    assert maps.of(shelved(cohort / "slides" / "A.svs")) == ()
    assert len(maps.notes) == 1
    assert "A" in maps.notes[0]
    with pytest.raises(DataError, match="no such folder"):
        MapShelf([tmp_path / "missing"])


def test_what_cannot_be_read_at_another_look_neither_raises_nor_takes_maps_away(cohort, tmp_path, monkeypatch):
    slide = shelved(cohort / "slides" / "A.svs")
    shutil.copytree(cohort / "kd", tmp_path / "kd")
    maps = MapShelf([tmp_path / "kd"])

    def vanished(place):
        raise FileNotFoundError(place)

    monkeypatch.setattr(map_shelf, "read_summary", vanished)  # as a slide that is mapped again at this moment
    os.utime(tmp_path / "kd" / "A" / "summary.json", (1, 1))
    maps.look_again()
    (tmp_path / "kd" / "slides.csv").write_text("no,table\n")
    maps.look_again()
    shutil.rmtree(tmp_path / "kd")
    maps.look_again()
    assert len(maps.of(slide)) == 1


def test_maps_are_loaded_once(cohort):
    maps = MapShelf([cohort / "kd"])
    (one,) = maps.of(shelved(cohort / "slides" / "A.svs"))
    assert maps.load(one) is maps.load(one)


@pytest.fixture
def own(cohort, tmp_path):
    """A slide at the place where it was mapped, and its map's summary."""
    path = tmp_path / "A.svs"
    shutil.copy(cohort / "slides" / "A.svs", path)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    shutil.copytree(cohort / "kd" / "A", tmp_path / "kd" / "A")
    summary = read_summary(tmp_path / "kd" / "A")
    write_summary(tmp_path / "kd" / "A", summary.model_copy(update={"place": place_digest(path)}))
    return path


def test_a_slide_is_read_once_to_find_its_maps_until_it_changes(cohort, tmp_path, monkeypatch):
    path = shutil.copy(cohort / "slides" / "A.svs", tmp_path / "A.svs")
    read, real = [], map_shelf.slide_fingerprint
    monkeypatch.setattr(map_shelf, "slide_fingerprint", lambda slide: (read.append(slide), real(slide))[1])
    maps = MapShelf([cohort / "kd", cohort / "hviskd"])
    for _ in range(3):
        assert len(maps.of(shelved(path))) == 2
    assert len(read) == 1
    write_svs(path, patterned(300, 300))
    assert maps.of(shelved(path)) == ()
    assert len(read) == 2


def test_a_slide_that_was_not_changed_since_it_was_mapped_is_not_read(own, monkeypatch):
    monkeypatch.setattr(map_shelf, "slide_fingerprint", lambda _slide: pytest.fail("read"))
    assert len(MapShelf([own.parent / "kd"]).of(shelved(own))) == 1


def test_another_slide_at_the_place_of_one_that_was_mapped_has_no_map(own):
    write_svs(own, patterned(300, 300))
    later = (own.parent / "kd" / "A" / "summary.json").stat().st_mtime + 10
    os.utime(own, (later, later))
    assert MapShelf([own.parent / "kd"]).of(shelved(own)) == ()
