"""Which maps are a slide's: by its content, not by its name alone."""

import shutil

import pytest

from hviskd.errors import DataError
from hviskd.slides import CohortSlide
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


def test_maps_are_loaded_once(cohort):
    maps = MapShelf([cohort / "kd"])
    (one,) = maps.of(shelved(cohort / "slides" / "A.svs"))
    assert maps.load(one) is maps.load(one)
