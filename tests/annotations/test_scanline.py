import numpy as np
import pytest
import shapely

from hviskd.annotations import Outlines, Region, read_annotation, scanline
from tests.data import name

from .make import FIELDS, blobs, by_shapely


@pytest.mark.parametrize("px_per_cell", [0.37, 1, 2.5, 13])
@pytest.mark.parametrize("corner", [(0, 0), (-30.5, 17.25), (150, 180)])
def test_a_cell_has_the_class_of_the_last_polygon_its_centre_lies_in(px_per_cell, corner):
    annotation = Outlines.of(blobs(60))
    image = annotation.rasterise(*corner, 120, 90, px_per_cell)
    np.testing.assert_array_equal(image, by_shapely(annotation, *corner, *image.shape, px_per_cell))
    assert image.dtype == np.int16


def test_later_regions_lie_over_earlier_ones():
    under, over = shapely.box(0, 0, 10, 10), shapely.box(5, 0, 10, 10)
    image = Outlines.of([Region("b", under), Region("a", over)]).rasterise(0, 0, 10, 1, 1)
    assert image.tolist() == [[1] * 5 + [0] * 5]


def test_holes_stay_empty_and_an_island_in_a_hole_is_filled():
    ring = shapely.box(0, 0, 9, 9).difference(shapely.box(2, 2, 7, 7))
    island = shapely.MultiPolygon([ring, shapely.box(4, 4, 5, 5)])
    image = Outlines.of([Region("a", island)]).rasterise(0, 0, 9, 9, 1)
    assert (image[4] >= 0).tolist() == [True, True, False, False, True, False, False, True, True]


def test_of_two_polygons_with_a_common_border_just_one_has_a_centre_on_it():
    rng = np.random.default_rng(1)
    corners = rng.integers(0, 40, (25, 2)) + 0.5  # every corner is a cell centre
    triangles = shapely.get_parts(shapely.delaunay_triangles(shapely.MultiPoint(corners))).tolist()
    counts = sum(Outlines.of([Region("t", t)]).rasterise(0, 0, 41, 41, 1).astype(int) + 1 for t in triangles)
    hull = Outlines.of([Region("hull", shapely.MultiPoint(corners).convex_hull)])
    np.testing.assert_array_equal(counts, hull.rasterise(0, 0, 41, 41, 1) + 1)


def test_a_box_on_cell_borders_covers_exactly_its_cells():
    image = Outlines.of([Region("a", shapely.box(2, 3, 5, 4))]).rasterise(0, 0, 8, 8, 1)
    assert np.argwhere(image == 0).tolist() == [[3, 2], [3, 3], [3, 4]]


def test_many_crossings_are_worked_off_in_bands_with_the_same_outcome(monkeypatch):
    annotation = Outlines.of(blobs(40, seed=5))
    whole = annotation.rasterise(0, 0, 200, 200, 1)
    monkeypatch.setattr(scanline, "CROSSINGS_AT_ONCE", 50)
    np.testing.assert_array_equal(annotation.rasterise(0, 0, 200, 200, 1), whole)


def test_windows_side_by_side_make_up_the_whole():
    annotation = Outlines.of(blobs(50, seed=2))
    whole = annotation.rasterise(0, 0, 200, 200, 1)
    left, right = (annotation.rasterise(x, 0, 100, 200, 1) for x in (0, 100))
    np.testing.assert_array_equal(np.hstack([left, right]), whole)


def test_the_area_of_a_disc_comes_out_at_any_resolution():
    disc = Outlines.of([Region("a", shapely.Point(50_000, 40_000).buffer(9_000, quad_segs=500))])
    for px_per_cell in (100.0, 33.3):
        cells = (disc.rasterise(0, 0, 100_000, 80_000, px_per_cell) == 0).sum()
        assert cells * px_per_cell**2 == pytest.approx(np.pi * 9_000**2, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("field", FIELDS, ids=name)
def test_nuclei_are_filled_as_shapely_says(field):
    annotation = read_annotation(field)
    width, height = read_annotation(field.with_suffix(".json")).size
    image = annotation.rasterise(0, 0, width, height, 1)
    np.testing.assert_array_equal(image, by_shapely(annotation, 0, 0, height, width, 1))
    assert (image == 0).mean() > 0.19
