"""Unlabelled tiles join a training only if they fit and are of no held-out patient, slide, place or image."""

import numpy as np
import pytest

from hviskd.errors import DataError, LeakError
from hviskd.tiles import join_unlabelled
from hviskd.tiles.leaks import without_names
from tests.tiles.samples import make_tileset, noise

SPLIT = [{"patient": f"P{n}", "slide": f"S{n}", "split": split} for n, split in enumerate(("train", "val", "test"))]


def unlabelled(folder, rows, **card):
    named = [{"class_name": None, "pixels": noise(100 + number, 4), **row} for number, row in enumerate(rows)]
    return make_tileset(folder, named, classes=(), **card)


@pytest.fixture
def tiles(tmp_path):
    return make_tileset(tmp_path / "tiles", SPLIT, mpp=0.5)


def test_tiles_of_training_and_of_other_patients_join(tiles, tmp_path):
    more = unlabelled(tmp_path / "more", [{"patient": "P0", "slide": "S0"}, {"patient": "Q", "slide": "Q"}])
    joined = join_unlabelled(tiles, more)
    assert joined.rows.tolist() == [0, 1]
    assert not joined.leaks
    assert joined.statement == "No patient of the val or test split is among the unlabelled tiles."


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"patient": "P2"}, "1 patient appears both in the val or test split and among the unlabelled tiles (P2)"),
        ({"slide": "S1"}, "1 slide appears both in the val or test split and among the unlabelled tiles (S1)"),
        ({"pixels": noise(1, 4)}, "1 identical image appears both"),
    ],
)
def test_what_is_held_out_does_not_join(tiles, tmp_path, row, said):
    more = unlabelled(tmp_path / "more", [{}, row])
    with pytest.raises(LeakError) as refused:
        join_unlabelled(tiles, more)
    assert said in str(refused.value)
    assert "`allow_leak=True`" in str(refused.value)
    joined = join_unlabelled(tiles, more, allow_leak=True)
    assert joined.leaks
    assert said in joined.statement
    assert "(" not in without_names(joined.statement)


def test_tiles_beside_a_held_out_one_do_not_join(tmp_path):
    place = {"x_px": 0, "y_px": 0, "side_px": 8, "slide": "S"}
    tiles = make_tileset(tmp_path / "tiles", [{"split": "train"}, {"split": "test", **place}])
    more = unlabelled(tmp_path / "more", [place | {"x_px": 8}])
    joined = join_unlabelled(tiles, more, allow_leak=True)
    assert "1 slide appears" in joined.statement
    assert "neighbouring tiles appear" in joined.statement


def test_a_plain_image_is_of_no_patient(tmp_path):
    white = np.full((4, 4, 3), 255, np.uint8)
    tiles = make_tileset(tmp_path / "tiles", [{"split": "train"}, {"split": "val", "pixels": white}])
    assert not join_unlabelled(tiles, unlabelled(tmp_path / "more", [{"pixels": white}])).leaks


@pytest.mark.parametrize(
    ("row", "statement"),
    [
        ({"slide": "Q"}, "No slide of the val or test split is among the unlabelled tiles; whether a patient is"),
        ({}, "Whether patients of the val or test split are among the unlabelled tiles is unknown for some"),
    ],
)
def test_it_says_what_is_unknown(tiles, tmp_path, row, statement):
    assert statement in join_unlabelled(tiles, unlabelled(tmp_path / "more", [row])).statement


def test_of_a_tileset_that_is_split_only_the_training_tiles_join(tiles, tmp_path):
    rows = [
        {"patient": f"Q{n}", "split": split, "pixels": noise(50 + n, 4)} for n, split in enumerate(("test", "train"))
    ]
    other = make_tileset(tmp_path / "other", rows)
    assert join_unlabelled(tiles, other).rows.tolist() == [1]
    tests = make_tileset(tmp_path / "tests", rows[:1])
    with pytest.raises(DataError, match="no tiles in the train split"):
        join_unlabelled(tiles, tests)


@pytest.mark.parametrize(
    ("card", "said"),
    [({"tile_px": 6}, "has tiles of 6 px, but"), ({"mpp": 0.25}, "has tiles at 0.25 µm/px, but")],
)
def test_tiles_of_another_scale_do_not_join(tiles, tmp_path, card, said):
    px = card.get("tile_px", 4)
    more = unlabelled(tmp_path / "more", [{"pixels": noise(7, px)}], **card)
    with pytest.raises(DataError, match=said):
        join_unlabelled(tiles, more)
