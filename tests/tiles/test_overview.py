"""Counts are those of the table, and the contact sheet shows the right tiles and is the same every time."""

import numpy as np
import pytest
from PIL import Image

from hviskd.tiles import draw_contact_sheet, summary_table
from tests.tiles.samples import make_tileset


def test_counts_by_class_split_patient_and_slide(tmp_path):
    rows = [
        {"class_name": "A", "split": "train", "patient": "P1", "slide": "S1"},
        {"class_name": "A", "split": "train", "patient": "P1", "slide": "S2"},
        {"class_name": "B", "split": "test", "patient": "P2"},
        {"class_name": "B"},
    ]
    counts = summary_table(make_tileset(tmp_path / "set", rows, classes="ABC"))
    assert counts.columns.tolist() == ["train", "test", "no split", "all"]
    assert counts.T.to_dict("list") == {
        "A": [2, 0, 0, 2],
        "B": [0, 1, 1, 2],
        "C": [0, 0, 0, 0],
        "all tiles": [2, 1, 1, 4],
        "patients": [1, 1, 0, 2],
        "slides": [2, 0, 0, 2],
    }


def test_unknown_patients_are_not_counted_as_none(tmp_path):
    assert summary_table(make_tileset(tmp_path / "set", [{}])).index.tolist() == ["A", "B", "all tiles"]


COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


@pytest.fixture
def plain(tmp_path):
    """Tiles of one colour a class."""
    rows = [{"class_name": "ABC"[n % 3], "pixels": np.full((16, 16, 3), COLOURS[n % 3], np.uint8)} for n in range(30)]
    return make_tileset(tmp_path / "set", rows, classes="ABC", tile_px=16, mpp=0.5)


def test_every_class_is_shown_in_its_row(plain, tmp_path):
    path = draw_contact_sheet(plain, tmp_path / "sheet.png", per_class=4)
    sheet = np.asarray(Image.open(path).convert("RGB"))
    rows = [np.flatnonzero((sheet == colour).all(axis=-1).any(axis=1)) for colour in COLOURS]
    assert all(len(row) > 50 for row in rows)
    assert rows[0].max() < rows[1].min() < rows[1].max() < rows[2].min()


def test_the_sheet_is_the_same_every_time(plain, tmp_path):
    first, again = (draw_contact_sheet(plain, tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == again


@pytest.mark.slow
def test_strange_names_many_classes_and_empty_ones_are_drawn(tmp_path):
    names = [f"class $x^{n}$ with_a very long name indeed, Ω {n}" for n in range(150)]
    tileset = make_tileset(tmp_path / "set", [{"class_name": names[3]}], classes=names)
    path = draw_contact_sheet(tileset, tmp_path / "sheet.png")
    with Image.open(path) as sheet:
        assert sheet.height < 9_000


def test_tiles_without_labels_are_counted_and_shown_in_one_row(tmp_path):
    pixels = np.full((16, 16, 3), (255, 0, 0), np.uint8)
    rows = [{"class_name": None, "slide": f"S{n}", "pixels": pixels} for n in range(3)]
    tileset = make_tileset(tmp_path / "set", rows, classes=(), tile_px=16)
    assert summary_table(tileset).index.tolist() == ["all tiles", "slides"]
    sheet = np.asarray(Image.open(draw_contact_sheet(tileset, tmp_path / "sheet.png")).convert("RGB"))
    shown = (sheet == (255, 0, 0)).all(axis=-1)
    assert 3 * 100**2 < shown.sum() < 3 * 124**2
