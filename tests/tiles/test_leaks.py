"""Whatever crosses the splits is found and named, and nothing that does not cross is blamed."""

from itertools import product
from time import process_time

import numpy as np
import pytest

from hviskd.errors import LeakError
from hviskd.tiles import check_leak, require_no_leak, split_tiles
from hviskd.tiles.leaks import _touching
from tests.tiles.samples import make_tileset, noise


def report_on(tmp_path, rows):
    return check_leak(make_tileset(tmp_path / "set", rows))


def test_patients_that_stay_apart(tmp_path):
    rows = [{"patient": f"P{n:02}", "split": ("train", "val", "test")[n % 3]} for n in range(20)]
    report = report_on(tmp_path, rows + rows[:6])
    assert (report.leaks, report.known_by) == (False, "patient")
    assert report.statement == "No patient appears in more than one split (20 patients)."


def test_patients_that_cross_are_counted_and_named(tmp_path):
    rows = [{"patient": f"P{n:02}", "split": split} for n in range(12) for split in ("train", "val")]
    report = report_on(tmp_path, [*rows, {"patient": "P99", "split": "train"}])
    assert report.leaks
    assert (report.patients.count, len(report.patients.names)) == (12, 10)
    assert report.statement == "LEAK: 12 patients appear in more than one split (P00, P01, P02, …)."


def test_one_patient_that_crosses(tmp_path):
    rows = [{"patient": "P1", "split": "train"}, {"patient": "P1", "split": "test"}]
    assert report_on(tmp_path, rows).statement == "LEAK: 1 patient appears in more than one split (P1)."


def test_slides_count_where_patients_are_not_all_known(tmp_path):
    rows = [{"slide": "S1", "patient": "P1", "split": "train"}, {"slide": "S2", "split": "val"}]
    report = report_on(tmp_path, rows)
    assert (report.leaks, report.known_by) == (False, "slide")
    assert report.statement == "No slide appears in more than one split (2 slides); whether a patient does is unknown."


def test_a_slide_that_crosses_is_a_leak_though_patients_are_said_to_differ(tmp_path):
    rows = [{"slide": "S1", "patient": "P1", "split": "train"}, {"slide": "S1", "patient": "P2", "split": "val"}]
    report = report_on(tmp_path, rows)
    assert report.slides.names == ("S1",)
    assert "1 slide appears" in report.statement


def test_what_is_unknown_is_said_to_be(tmp_path):
    unknown = report_on(tmp_path, [{"split": "train"}, {"split": "test"}])
    assert (unknown.leaks, unknown.known_by) == (False, None)
    assert unknown.statement == (
        "Patients and slides are unknown, so the splits may not be independent; "
        "no identical image appears in more than one split."
    )
    partly = check_leak(make_tileset(tmp_path / "partly", [{"split": "train", "patient": "P"}, {"split": "test"}]))
    assert partly.statement.startswith("Patients and slides are unknown for some tiles, so")


def test_a_patient_that_crosses_counts_though_others_are_unknown(tmp_path):
    rows = [{"patient": "P", "split": "train"}, {"patient": "P", "split": "test"}, {"split": "val"}]
    report = report_on(tmp_path, rows)
    assert report.known_by is None
    assert report.patients.names == ("P",)


def test_no_split_or_one_split_cannot_leak(tmp_path):
    assert report_on(tmp_path, [{"patient": "P"}, {"patient": "P"}]).statement == "The tiles have not been split."
    single = check_leak(make_tileset(tmp_path / "one", [{"patient": "P", "split": "test"}, {"patient": "P"}]))
    assert (single.leaks, single.splits) == (False, ("test",))
    assert "in test" in single.statement


def test_identical_pictures_that_cross(tmp_path):
    rows = [
        {"file": "a.png", "pixels": noise(1, 4), "split": "train", "patient": "P1"},
        {"file": "b.png", "pixels": noise(1, 4), "split": "val", "patient": "P2"},
        {"file": "c.png", "pixels": noise(1, 4), "split": "val", "patient": "P2"},
        {"file": "d.png", "pixels": noise(2, 4), "split": "train", "patient": "P1"},
        {"file": "e.png", "pixels": noise(2, 4), "split": "train", "patient": "P1"},
    ]
    report = report_on(tmp_path, rows)
    assert (report.pictures.count, report.pictures.names) == (1, ("a.png = b.png",))
    assert report.leaks
    assert report.patients.count == 0


def test_empty_glass_is_no_leak(tmp_path):
    white = np.full((4, 4, 3), (250, 248, 251), np.uint8)
    rows = [{"pixels": white, "split": "train"}, {"pixels": white, "split": "test"}]
    assert not report_on(tmp_path, rows).leaks


def squares(*places):
    return [
        {"file": f"{n}", "slide": "S", "x_px": x, "y_px": y, "side_px": side, "split": split}
        for n, (x, y, side, split) in enumerate(places)
    ]


@pytest.mark.parametrize(
    ("other", "touches"),
    [
        ((100, 0, 100), True),  # side by side
        ((100, 100, 100), True),  # corner to corner
        ((50, -30, 100), True),  # overlapping
        ((0, 0, 100), True),  # the same square
        ((101, 0, 100), False),
        ((100, 101, 100), False),
        ((-100, 0, 100), True),
        ((-101, 0, 100), False),
        ((-50, 0, 50), True),  # squares of different side
        ((-51, 0, 50), False),
        ((20, 20, 10), True),  # one inside the other
        ((-1000, -1000, 2000), True),
    ],
)
def test_neighbours_across_splits(tmp_path, other, touches):
    report = report_on(tmp_path, squares((0, 0, 100, "train"), (*other, "val")))
    assert report.neighbours.count == (2 if touches else 0)
    if touches:
        assert report.neighbours.names == ("0 beside 1", "1 beside 0")
        assert "2 neighbouring tiles appear in more than one split" in report.statement


def test_neighbours_in_one_split_or_on_two_slides_are_no_leak(tmp_path):
    rows = squares((0, 0, 100, "train"), (100, 0, 100, "train"), (0, 0, 100, "val"))
    rows[2]["slide"] = "T"
    assert not report_on(tmp_path, rows).leaks


@pytest.mark.slow
def test_touching_agrees_with_trying_every_pair():
    rng = np.random.default_rng(0)
    origins = rng.integers(0, 4000, (400, 2)).astype(float)
    sides, splits = rng.choice([50.0, 80.0, 81.0], 400), rng.choice(["train", "val", "test"], 400)
    expected = np.zeros(400, bool)
    for a, b in product(range(400), repeat=2):
        apart = any(
            origins[a, axis] > origins[b, axis] + sides[b] or origins[b, axis] > origins[a, axis] + sides[a]
            for axis in (0, 1)
        )
        expected[a] |= splits[a] != splits[b] and not apart
    partners = _touching(origins, sides, splits)
    assert 0 < expected.sum() < 400
    assert ((partners >= 0) == expected).all()
    assert (splits[partners[expected]] != splits[expected]).all()


def test_a_hundred_thousand_tiles_take_seconds():
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(320), np.arange(320)), axis=-1).reshape(-1, 2)[:100_000] * 224.0
    start = process_time()
    partners = _touching(grid, np.full(100_000, 224.0), rng.choice(["train", "val", "test"], 100_000))
    assert process_time() - start < 10
    assert (partners >= 0).mean() > 0.99


def test_a_random_split_of_known_patients_leaks_and_is_refused(tmp_path):
    rows = [{"patient": f"P{n % 5}", "class_name": "AB"[n % 2]} for n in range(60)]
    tileset = split_tiles(make_tileset(tmp_path / "set", rows), by="random")
    with pytest.raises(LeakError, match="LEAK: 5 patients") as caught:
        require_no_leak(tileset)
    message = str(caught.value)
    assert "Split the tiles again by patient, or pass `allow_leak=True` to continue" in message
    assert str(tileset.folder) in message
    assert "\n" not in message
    assert require_no_leak(tileset, allow_leak=True).leaks
    assert not require_no_leak(split_tiles(tileset, by="patient")).leaks
