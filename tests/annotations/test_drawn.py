import numpy as np
import pytest
import shapely

from hviskd.annotations.drawn import CROSSING_LIMIT, MENDED, NO_AREA, OUTLINE_LIMIT_POINTS, DrawnFile
from hviskd.errors import DataError


@pytest.fixture
def drawn(tmp_path):
    return DrawnFile(tmp_path / "drawn.json")


def polygon(drawn, *rings):
    return drawn.polygon([np.array(ring, dtype=float) for ring in rings], "here")


def test_a_sound_polygon_stays_as_it_was_drawn(drawn):
    ring = [(0, 0), (9, 1), (5, 8)]
    assert shapely.get_coordinates(polygon(drawn, ring)).tolist() == [[0, 0], [9, 1], [5, 8], [0, 0]]
    assert not drawn.remarks


def test_a_bow_tie_keeps_both_of_its_wings(drawn):
    mended = polygon(drawn, [(0, 0), (10, 10), (10, 0), (0, 10)])
    assert mended.is_valid
    assert mended.area == pytest.approx(50)
    assert drawn.remarks == {MENDED: 1}


def test_a_hole_drawn_by_a_cut_is_a_hole_and_no_fault(drawn):
    ring = [(0, 0), (10, 0), (10, 10), (0, 10), (0, 0), (3, 3), (3, 6), (6, 6), (6, 3), (3, 3)]
    assert polygon(drawn, ring).equals(shapely.box(0, 0, 10, 10) - shapely.box(3, 3, 6, 6))
    assert not drawn.remarks


@pytest.mark.parametrize(
    "ring",
    [
        [(0, 0), (10, 0), (10, 10), (15, 10), (10, 10), (0, 10)],  # a spike out of it
        [(0, 0), (10, 0), (10, 5), (5, 5), (10, 5), (10, 10), (0, 10)],  # and one into it
        [(0, 0), (10, 0), (10, 10), (10, 0), (10, 10), (0, 10)],  # a side walked three times
    ],
)
def test_a_spike_is_mended_and_counted(drawn, ring):
    assert polygon(drawn, ring).equals(shapely.box(0, 0, 10, 10))
    assert drawn.remarks == {MENDED: 1}


def test_a_hole_outside_is_left_out_and_one_across_the_border_cut_out(drawn):
    shell = [(0, 0), (10, 0), (10, 10), (0, 10)]
    outside, across = [(20, 0), (25, 0), (25, 5)], [(8, 2), (12, 2), (12, 4), (8, 4)]
    assert polygon(drawn, shell, outside).equals(shapely.box(0, 0, 10, 10))
    assert polygon(drawn, shell, outside, across).equals(shapely.box(0, 0, 10, 10) - shapely.box(8, 2, 10, 4))
    assert drawn.remarks == {MENDED: 2}


def test_parts_that_share_a_border_are_no_fault(drawn):
    assert drawn.outline([shapely.box(0, 0, 4, 4), shapely.box(4, 0, 8, 4)], "here").area == 32
    assert not drawn.remarks


def test_parts_that_overlap_become_one(drawn):
    joined = drawn.outline([shapely.box(0, 0, 4, 4), shapely.box(2, 2, 6, 6)], "here")
    assert joined.area == pytest.approx(28)
    assert joined.geom_type == "Polygon"


@pytest.mark.parametrize("ring", [[], [(1, 1)], [(1, 1), (2, 2)], [(1, 1)] * 3, [(0, 0), (5, 5), (0, 0)]])
def test_what_has_no_area_is_left_out_and_told(drawn, ring):
    assert polygon(drawn, ring or np.empty((0, 2))) is None
    assert drawn.remarks == {NO_AREA: 1}


@pytest.mark.slow
def test_a_scribble_that_would_take_all_memory_is_refused(drawn):
    scribble = np.random.default_rng(0).random((3000, 2)) * 1000
    with pytest.raises(DataError, match=f"more than {CROSSING_LIMIT} times"):
        polygon(drawn, scribble)


@pytest.mark.slow
def test_many_small_scribbles_are_refused_as_one_large_one_is(drawn):
    scribble = np.random.default_rng(0).random((200, 2)) * 1000
    with pytest.raises(DataError, match="intersects itself"):
        for _ in range(100):
            polygon(drawn, scribble)


def comb(teeth, *ending):
    x = np.arange(teeth)
    return np.concatenate([np.stack([x, x % 2], axis=1), [[teeth, -5], *ending, [0, -5]]]).astype(float)


def test_an_outline_of_too_many_points_is_refused_in_one_line(drawn):
    with pytest.raises(DataError, match=r"here: an outline with 1000002 points, more than 1000000; simplify it or"):
        drawn.polygon([comb(OUTLINE_LIMIT_POINTS)], "here")


def test_outlines_of_too_many_points_together_are_not_mended(tmp_path, monkeypatch):
    monkeypatch.setattr("hviskd.annotations.drawn.MENDED_LIMIT_POINTS", 10_000)
    drawn = DrawnFile(tmp_path / "drawn.json")
    crossed = comb(5_000, [10, -9], [5, -5], [10, -5], [5, -9])
    assert drawn.polygon([crossed], "here").is_valid
    with pytest.raises(DataError, match=r"more than 10000 points, too many to repair; simplify it or export fewer"):
        drawn.polygon([crossed], "here")


@pytest.mark.parametrize(
    "points",
    [
        None,
        7,
        "points",
        {"0": 1},
        [1, 2, 3],
        [[1, 2], [3]],
        [[1], [2]],
        [[1, 2, 3, 4]],
        [["a", "b"]],
        [["5", "6"], ["7", "8"]],
        [[1, 2], ["3", 4]],
        [[True, 1], [2, 3]],
        [[1, 2, None]],
        [[None, 1]],
        [[{}, 1]],
        [[1e308, 1]],
        [[float("inf"), 1]],
        [[10**400, 1]],
        [[[[1, 2]]]],
    ],
)
def test_what_are_no_coordinates_is_refused_with_its_place(drawn, points):
    with pytest.raises(DataError, match=r"drawn\.json: here: "):
        drawn.points(points, "here")


def test_a_third_coordinate_is_dropped(drawn):
    assert drawn.points([[1, 2, 3], [4, 5, 6]], "here").tolist() == [[1, 2], [4, 5]]


@pytest.mark.parametrize("text", [3, ["a"], "a" * 2000, "\ud800"])
def test_what_is_no_label_is_refused(drawn, text):
    with pytest.raises(DataError, match="here"):
        drawn.text(text, "here")
