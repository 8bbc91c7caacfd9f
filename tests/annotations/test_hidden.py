"""Regions that lie under others are found by the pixels that are left of them."""

import time

import numpy as np
import pytest
import shapely

from hviskd.annotations import Outlines, Region
from hviskd.annotations.hidden import find_hidden

from .make import blobs

TOLD = "regions hidden under later ones of another class"


def box(label, left, top, right, bottom) -> Region:
    return Region(label, shapely.box(left, top, right, bottom))


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        ([box("tumour", 20, 20, 60, 60), box("stroma", 0, 0, 90, 90)], 1),
        ([box("stroma", 0, 0, 90, 90), box("tumour", 20, 20, 60, 60)], 0),
        ([box("tumour", 20, 20, 60, 60), box("tumour", 0, 0, 90, 90)], 0),  # they say the same
        ([box("tumour", 20, 20, 60, 60), box("stroma", 0, 0, 40, 90), box("fat", 40, 0, 90, 90)], 1),
        ([box("tumour", 20, 20, 60, 60), box("stroma", 0, 0, 40, 90), box("fat", 41, 0, 90, 90)], 0),
        ([box("tumour", 20, 20, 60, 60), box("stroma", 20, 20, 60, 60)], 1),
        ([box("a", 0, 0, 9, 9), box("b", 0, 0, 9, 9), box("c", 0, 0, 9, 9)], 2),
    ],
)
def test_a_region_wholly_under_later_ones_of_another_class_is_counted(regions, expected):
    assert Outlines.of(regions).remarks.get(TOLD, 0) == expected


def test_a_hole_in_what_lies_over_it_lets_a_region_be_seen():
    ring = shapely.box(0, 0, 90, 90) - shapely.box(30, 30, 40, 40)
    assert not Outlines.of([box("a", 20, 20, 60, 60), Region("b", ring)]).remarks
    assert Outlines.of([box("a", 50, 50, 60, 60), Region("b", ring)]).remarks == {TOLD: 1}


def test_what_the_legend_leaves_out_hides_nothing():
    from hviskd.annotations import Legend

    legend = Legend.model_validate({"name": "l", "classes": [{"name": "a", "colours": [[1, 2, 3]]}]})
    found = Outlines.of([box("a", 20, 20, 60, 60), box("b", 0, 0, 90, 90)], legend=legend)
    assert TOLD not in found.remarks


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_hidden_are_just_those_without_a_pixel(seed):
    regions = blobs(60, seed=seed, extent=50)
    geometries = np.array([region.geometry for region in regions], dtype=object)
    hidden = find_hidden(geometries, np.arange(60))
    pixels = Outlines.of([Region(f"{k:02d}", g) for k, g in enumerate(geometries)]).rasterise(-40, -40, 140, 140, 0.05)
    seen = np.isin(np.arange(60), pixels)
    assert not (hidden & seen).any()
    assert hidden.any()
    for missed in np.flatnonzero(~hidden & ~seen):  # narrower than a pixel
        left = shapely.difference(geometries[missed], shapely.union_all(geometries[missed + 1 :]))
        assert 0 < left.area < 0.1


@pytest.mark.slow
def test_thousands_of_outlines_on_one_place_take_no_ages():
    circle = shapely.Point(0, 0).buffer(50, quad_segs=500)
    geometries = np.array([circle] * 3000, dtype=object)
    start = time.process_time()
    find_hidden(geometries, np.arange(3000))
    assert time.process_time() - start < 30
