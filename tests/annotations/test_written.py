import numpy as np
import pytest
import shapely

from hviskd.annotations import convert, read_annotation
from hviskd.annotations.drawn import DrawnFile
from hviskd.annotations.written import bridged, numbers, rounded
from tests.data import name

from .make import FIELDS, blob


def test_rounding_leaves_a_polygon_on_the_grid_as_it_is():
    polygon = shapely.Polygon([(0, 0), (10.25, 0), (3.5, 7.010001)])
    assert rounded(polygon).equals_exact(polygon, 0)


def test_a_polygon_that_rounding_would_break_stays_valid():
    pinched = shapely.Polygon([(0, 0), (5, 2.0000001), (10, 0), (10, 4), (5, 2.0000003), (0, 4)])
    result = rounded(pinched)
    assert result.is_valid
    assert result.area == pytest.approx(pinched.area, abs=0.1)
    scaled = shapely.get_coordinates(result) * 1e6
    np.testing.assert_allclose(scaled, np.round(scaled), atol=1e-3)


def test_a_sliver_thinner_than_a_millionth_vanishes():
    assert rounded(shapely.box(0, 0, 100, 0.0000001)).is_empty


def test_whole_numbers_are_written_without_a_point_and_no_number_with_blind_decimals():
    assert str(numbers(np.array([[1.0, 2.25]]))) == "[[1, 2.25]]"
    third = rounded(shapely.box(0, 0, 100_000 / 3, 0.1 + 0.2))
    assert str(numbers(shapely.get_coordinates(third))[:2]) == "[[33333.333333, 0], [33333.333333, 0.3]]"


@pytest.mark.parametrize("field", FIELDS, ids=name)
@pytest.mark.parametrize("suffix", ["json", "geojson"])
def test_converting_there_and_back_changes_no_pixel(tmp_path, field, suffix):
    size = width, height = read_annotation(field.with_suffix(".json")).size
    drawn = read_annotation(field.with_suffix(f".{suffix}"), size=size)
    there = read_annotation(convert(drawn, tmp_path / "there.geojson"), size=size)
    back = read_annotation(convert(there, tmp_path / "back.json"))
    for px_per_cell in (1, 0.5):
        images = [each.rasterise(0, 0, width, height, px_per_cell) for each in (drawn, there, back)]
        assert (images[0] == images[1]).all()
        assert (images[0] == images[2]).all()
    assert not back.remarks


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
