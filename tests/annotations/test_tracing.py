import tracemalloc

import numpy as np
import pytest
import shapely

from hviskd.annotations import Outlines, Region
from hviskd.annotations.tracing import EDGE_LIMIT, trace


@pytest.mark.parametrize("density", [0.1, 0.5, 0.9, 1.0])
def test_the_polygons_cover_exactly_the_pixels_of_the_mask(density):
    inside = np.random.default_rng(0).random((60, 70)) < density
    polygons = trace(inside)
    assert shapely.is_valid(polygons).all()
    assert shapely.area(polygons).sum() == inside.sum()
    image = Outlines.of([Region("a", polygon) for polygon in polygons]).rasterise(0, 0, 70, 60, 1)
    np.testing.assert_array_equal(image == 0, inside)


def test_there_is_one_polygon_for_each_connected_piece():
    from scipy.ndimage import label

    inside = np.random.default_rng(3).random((50, 50)) < 0.45
    assert len(trace(inside)) == label(inside)[1]  # pixels that share a side


def test_straight_borders_have_no_points_between_their_ends():
    inside = np.zeros((500, 500), dtype=bool)
    inside[100:400, 50:450] = True
    (polygon,) = trace(inside)
    assert sorted(set(polygon.exterior.coords)) == [(50, 100), (50, 400), (450, 100), (450, 400)]


def test_an_empty_mask_has_no_polygons():
    assert trace(np.zeros((5, 5), dtype=bool)) == []


def test_a_mask_of_noise_is_refused_before_it_takes_all_memory():
    with pytest.raises(ValueError, match="segments"):
        trace(np.random.default_rng(0).random((700, 700)) < 0.5)


def test_the_borders_of_other_masks_count_too():
    inside = np.ones((5, 5), dtype=bool)
    assert trace(inside, before=EDGE_LIMIT - 4)
    with pytest.raises(ValueError, match="4 segments plus 299997 of those before it, more than 300000"):
        trace(inside, before=EDGE_LIMIT - 3)


def test_a_checkerboard_is_refused_in_little_more_memory_than_it_takes_itself():
    inside = np.indices((2000, 2000)).sum(axis=0) % 2 == 0
    tracemalloc.start()
    with pytest.raises(ValueError, match="8000000 segments"):
        trace(inside)
    assert tracemalloc.get_traced_memory()[1] < 10 * inside.nbytes
    tracemalloc.stop()
