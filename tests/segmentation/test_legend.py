import numpy as np
import pytest

from hviskd.segmentation.certainty import UNSURE, label_map
from hviskd.segmentation.legend import MapLegend

from .make import CLASSES
from .maps import map_of, random_map


def test_the_legend_lists_areas_and_shares():
    some = map_of([[0, 0, 0], [2, -1, -1]])
    legend = MapLegend.of(some, label_map(some))
    cell = 0.016**2
    assert [(row.mark, row.lines, row.share) for row in legend.rows] == [
        ("1", [CLASSES[0]], "75.0%"),
        ("3", [CLASSES[2]], "25.0%"),
    ]
    assert [float(row.area) for row in legend.rows] == pytest.approx([3 * cell, cell], rel=0.02)
    assert float(legend.together) == pytest.approx(4 * cell, rel=0.01)
    assert legend.absent == [f"not found: {CLASSES[1]}"]


def test_what_is_hardly_there_is_not_called_nothing():
    labels = np.zeros((60, 60), int)
    labels[3, 3] = 1
    some = map_of(labels)
    row = MapLegend.of(some, label_map(some)).rows[1]
    assert row.share == "<0.1%"
    assert row.area.startswith("<")


def test_what_is_unsure_is_counted_apart_and_striped_grey():
    some = random_map(9, 9, density=1.0)
    legend = MapLegend.of(some, label_map(some, 0.7))
    last = legend.rows[-1]
    assert (last.mark, last.lines, last.striped) == ("?", [UNSURE], True)
    unsure = (some.probabilities.max(axis=1) < 0.7).sum()
    assert last.share == f"{unsure / 81:.1%}"


def test_it_is_as_wide_as_its_names_need_and_no_name_takes_more_than_three_lines():
    wide = map_of([[0, 1, 2]], classes=("w" * 300, "two words " * 40, "short"))
    short = map_of([[0, 1, 2]])
    legend = MapLegend.of(wide, label_map(wide))
    assert [len(row.lines) for row in legend.rows] == [3, 3, 1]
    assert "…" in "".join(legend.rows[0].lines)
    assert MapLegend.of(short, label_map(short)).width_in < legend.width_in < 4
