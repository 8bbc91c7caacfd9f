import numpy as np
import pytest
import shapely

from hviskd.annotations.drawn import DrawnFile
from hviskd.annotations.written import bridged, numbers, rounded

from .make import blob


def test_rounding_leaves_a_polygon_on_the_grid_as_it_is():
    polygon = shapely.Polygon([(0, 0), (10.25, 0), (3.5, 7.01)])
    assert rounded(polygon).equals_exact(polygon, 0)


def test_a_polygon_that_rounding_would_break_stays_valid():
    pinched = shapely.Polygon([(0, 0), (5, 2.001), (10, 0), (10, 4), (5, 2.003), (0, 4)])
    result = rounded(pinched)
    assert result.is_valid
    assert result.area == pytest.approx(pinched.area, abs=0.1)
    scaled = shapely.get_coordinates(result) * 100
    np.testing.assert_allclose(scaled, np.round(scaled), atol=1e-6)


def test_a_sliver_thinner_than_a_hundredth_vanishes():
    assert rounded(shapely.box(0, 0, 100, 0.001)).is_empty


def test_whole_numbers_are_written_without_a_point():
    assert str(numbers(np.array([[1.0, 2.25]]))) == "[[1, 2.25]]"


@pytest.mark.parametrize("seed", range(8))
def test_a_polygon_with_holes_comes_back_from_one_ring(tmp_path, seed):
    rng = np.random.default_rng(seed)
    polygon = shapely.box(0, 0, 100, 100)
    for centre in rng.uniform(10, 90, (12, 2)):
        polygon = polygon - blob(rng, centre=centre, radius=6)
    polygon = max(shapely.get_parts(polygon).tolist(), key=lambda part: part.area)
    drawn = DrawnFile(tmp_path / "x")
    back = drawn.polygon([bridged(polygon)], "here")
    assert len(polygon.interiors) > 3
    assert back.normalize().equals_exact(polygon.normalize(), 1e-9)
    assert not drawn.remarks
