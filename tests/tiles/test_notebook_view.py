"""A TileSet in a notebook: counts that can be read back, and tiles of every class."""

import base64
import io
import re

import numpy as np
from PIL import Image

from hviskd.tiles import check_leak, summary_table
from tests.html_tables import read_tables
from tests.tiles.samples import make_tileset


def test_counts_and_tiles_of_every_class_are_shown(tmp_path):
    rows = [{"class_name": "<A>", "split": "train", "patient": "P1"}] * 2 + [{"class_name": "B", "split": "test"}]
    tileset = make_tileset(tmp_path / "set", rows, classes=("<A>", "B", "C"))
    html = tileset._repr_html_()
    counts = summary_table(tileset)
    head, *lines = [row[:-1] for row in read_tables(html)]
    assert head == ["", *counts.columns]
    assert lines == [[name, *map(str, row)] for name, row in counts.iterrows()]
    assert "<A>" not in html
    strips = [
        Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r'image/jpeg;base64,([^"]*)"', html)
    ]
    assert [strip.size for strip in strips] == [(82, 40), (40, 40)]  # C has no tile
    expected = Image.fromarray(np.asarray(tileset.pixels[2])).resize((40, 40), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(strips[1], int) - np.asarray(expected, int)).mean() < 20


def test_a_set_of_many_tiles_and_classes_stays_small(tmp_path):
    classes = [f"class {number}" for number in range(40)]
    rows = [{"class_name": name} for name in classes for _ in range(12)]
    html = make_tileset(tmp_path / "set", rows, classes=classes)._repr_html_()
    assert html.count("<img") == 30
    assert len(html) < 1_000_000


def test_a_leak_is_shown_with_its_first_names(tmp_path):
    rows = [{"patient": "P<1>", "split": split} for split in ("train", "test")]
    leaking = check_leak(make_tileset(tmp_path / "leaks", rows))
    html = leaking._repr_html_()
    assert read_tables(html)[1:] == [["patients", "1", "P<1>"]]
    assert "LEAK" in html
    sound = check_leak(make_tileset(tmp_path / "sound", [{"patient": "P1", "split": "train"}]))
    assert sound._repr_html_() == f"<p>{sound.statement}</p>"
