import csv
from itertools import product

import numpy as np
import pytest
from PIL import Image

from hviskd.annotations import find_masks, load_legend, take_census
from hviskd.errors import DataError

LEGEND = load_legend("ivygap")


@pytest.fixture
def folder(tmp_path):
    one = np.full((10, 20, 3), (5, 208, 4), dtype=np.uint8)
    one[:2] = (128, 0, 128)
    two = np.full((10, 10, 4), (0, 0, 0, 255), dtype=np.uint8)
    two[:5, :, 3] = 0
    Image.fromarray(one).save(tmp_path / "one_L.png")
    Image.fromarray(two).save(tmp_path / "two_L.tif")
    (tmp_path / "notes.txt").write_text("not a mask")
    return tmp_path


def test_colours_are_counted_over_all_masks_the_widest_first(folder):
    census = take_census(find_masks(folder), LEGEND)
    rows = list(census.rows())
    assert [row[:2] for row in rows] == [("#05D004", 160), ("#000000", 50), ("#800080", 40)]
    assert [row[3] for row in rows[:2]] == ["CT", "CTne"]
    assert rows[1][4] == pytest.approx(np.sqrt(75))
    assert census.transparent_px == 50
    assert census.total_px == 300
    assert rows[0][2] == pytest.approx(160 / 300)


def test_class_areas_count_what_is_within_the_tolerance(folder):
    for tolerance, necrosis in ((20, 50), (5, 0)):
        areas = take_census(find_masks(folder), LEGEND, tolerance=tolerance).class_areas()
        assert (areas["CT"], areas["CTne"], sum(areas.values())) == (160, necrosis, 160 + necrosis)


def test_a_wide_colour_of_no_legend_is_listed_and_counts_for_no_class(tmp_path):
    pixels = np.full((100, 100, 3), (5, 208, 4), np.uint8)
    pixels[:40] = (5, 208, 14)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    census = take_census([tmp_path / "a.png"], LEGEND)
    assert [(row.colour, row.nearest_class, row.class_px) for row in census.rows()] == [
        ("#05D004", "CT", 6000),
        ("#05D00E", "CT", 0),
    ]
    assert census.class_areas()["CT"] == 6000


def test_class_numbers_are_counted_as_numbers(tmp_path):
    (tmp_path / "l.yaml").write_text("name: l\nnumbers: {1: tumour, 700: stroma}\n")
    numbers = np.repeat(np.array([0, 0, 0, 1, 700, 2], np.uint16), 10).reshape(6, 10)
    Image.fromarray(numbers).save(tmp_path / "a.png")
    census = take_census([tmp_path / "a.png"], load_legend(tmp_path / "l.yaml"))
    rows = {row.colour: (row.nearest_class, row.area_px, row.class_px) for row in census.rows()}
    assert rows == {"0": ("none", 30, 0), "1": ("tumour", 10, 10), "2": ("none", 10, 0), "700": ("stroma", 10, 10)}
    assert census.class_areas() == {"tumour": 10, "stroma": 10}


@pytest.mark.slow
def test_large_and_small_masks_are_counted_alike(tmp_path):
    pixels = np.random.default_rng(0).choice(np.array([0, 51, 255], dtype=np.uint8), (1100, 1000, 3))
    Image.fromarray(pixels).save(tmp_path / "large.png", compress_level=1)
    for part, name in ((pixels[:500], "a.png"), (pixels[500:], "b.png")):
        Image.fromarray(part).save(tmp_path / name, compress_level=1)
    whole = take_census([tmp_path / "large.png"], LEGEND)
    parts = take_census([tmp_path / "a.png", tmp_path / "b.png"], LEGEND)
    assert list(whole.rows()) == list(parts.rows())
    red, green, blue = np.moveaxis(pixels, -1, 0)
    counts = {(r, g, b): ((red == r) & (green == g) & (blue == b)).sum() for r, g, b in product((0, 51, 255), repeat=3)}
    assert counts == {
        (code >> 16, code >> 8 & 255, code & 255): n
        for code, n in zip(whole.codes.tolist(), whole.area_px.tolist(), strict=True)
    }


def test_a_mask_that_breaks_off_is_listed_and_does_not_count(folder):
    content = (folder / "one_L.png").read_bytes()
    (folder / "bad_L.png").write_bytes(content[:-30])
    census = take_census(find_masks(folder), LEGEND)
    assert list(census.failed) == [folder / "bad_L.png"]
    assert census.total_px == 300


def test_the_csv_holds_every_colour(folder):
    path = take_census(find_masks(folder), LEGEND).write_csv(folder / "out" / "c.csv")
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["colour"] for row in rows] == ["#05D004", "#000000", "#800080"]
    assert [row["within_tolerance"] for row in rows] == ["True", "True", "False"]
    assert sum(int(row["area_px"]) for row in rows) == 250


def test_a_pattern_picks_the_masks_of_a_folder(folder):
    assert [path.name for path in find_masks(folder, "*_L.png")] == ["one_L.png"]
    with pytest.raises(DataError, match="neither a mask nor a folder"):
        find_masks(folder, "*.jpg")
    with pytest.raises(DataError, match="neither a mask nor a folder"):
        find_masks(folder / "none")
