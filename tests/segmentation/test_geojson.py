import json
import tracemalloc
import uuid

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from shapely.geometry import shape

from hviskd.annotations import read_annotation
from hviskd.errors import DataError
from hviskd.segmentation import SlideMap
from hviskd.segmentation.certainty import UNSURE
from hviskd.segmentation.geojson import write_geojson

from .make import CLASSES, COLOURS, map_card
from .maps import map_of, maps, no_tiles, random_map


def features(some, tmp_path, **options):
    document = json.loads(write_geojson(some, tmp_path / "map.geojson", **options).read_text("utf-8"))
    assert document["type"] == "FeatureCollection"
    assert set(document) == {"type", "features"}
    return document["features"]


def of_kind(found, kind):
    return [feature for feature in found if feature["properties"]["objectType"] == kind]


def flat(coordinates):
    return [value for part in coordinates for value in (flat(part) if isinstance(part, list) else [part])]


def check_as_qupath_reads(feature):
    """Hold one object against what QuPath's reader asks for; anything else it drops in silence or refuses."""
    assert set(feature) == {"type", "id", "geometry", "properties"}
    assert feature["type"] == "Feature"
    assert str(uuid.UUID(feature["id"])) == feature["id"]
    assert feature["geometry"]["type"] in ("Polygon", "MultiPolygon")
    assert all(type(value) is int for value in flat(feature["geometry"]["coordinates"]))
    geometry = shape(feature["geometry"])
    assert geometry.is_valid
    assert geometry.area > 0
    properties = feature["properties"]
    assert set(properties) <= {"objectType", "name", "color", "classification", "isLocked", "measurements", "metadata"}
    assert properties["objectType"] in ("annotation", "tile")
    assert properties["isLocked"] is True
    classification = properties["classification"]
    assert ("name" in classification) != ("names" in classification)
    assert len(classification["color"]) == 3
    assert all(type(part) is int and 0 <= part <= 255 for part in classification["color"])
    assert all(type(value) in (int, float) and np.isfinite(value) for value in properties["measurements"].values())


@pytest.mark.slow
@given(maps())
@settings(max_examples=40)
def test_every_object_is_one_that_qupath_reads(tmp_path_factory, some):
    found = features(some, tmp_path_factory.mktemp("map"), unsure_below=0.5)
    for feature in found:
        check_as_qupath_reads(feature)
    assert len({feature["id"] for feature in found}) == len(found)
    assert len(of_kind(found, "tile")) == len(some)


def test_a_tile_carries_its_class_and_probabilities(tmp_path):
    some = random_map(4, 5)
    tiles = of_kind(features(some, tmp_path), "tile")
    for position, tile in enumerate(tiles):
        x, y = int(some.x_px[position]), int(some.y_px[position])
        ring = [[x, y], [x + 64, y], [x + 64, y + 64], [x, y + 64], [x, y]]
        assert tile["geometry"] == {"type": "Polygon", "coordinates": [ring]}
        place = int(some.probabilities[position].argmax())
        assert tile["properties"]["classification"] == {"name": CLASSES[place], "color": list(COLOURS[place])}
        measured = tile["properties"]["measurements"]
        assert set(measured) == {"entropy_bits", *(f"prob_{name}" for name in CLASSES)}
        shares = [measured[f"prob_{name}"] for name in CLASSES]
        np.testing.assert_allclose(shares, some.probabilities[position], atol=5.1e-5)
        assert measured["entropy_bits"] == pytest.approx(some.entropy[position], abs=5.1e-5)


@given(maps())
@settings(max_examples=40)
def test_regions_cover_their_cells_and_nothing_else(tmp_path_factory, some):
    regions = features(some, tmp_path_factory.mktemp("map"), tiles=False)
    classes, step = some.class_grid(), some.stride0_px
    edges = [np.floor(np.arange(side + 1) * step + 0.5) for side in classes.shape]
    sizes = np.outer(np.diff(edges[0]), np.diff(edges[1]))
    found = {region["properties"]["classification"]["name"]: region for region in regions}
    assert set(found) == {CLASSES[place] for place in np.unique(classes) if place != 255}
    for name, region in found.items():
        inside = classes == CLASSES.index(name)
        geometry = shape(region["geometry"])
        assert geometry.area == sizes[inside].sum()
        row, column = np.indices(classes.shape)
        centres = shapely.points((column + 0.5) * step, (row + 0.5) * step)
        np.testing.assert_array_equal(shapely.contains(geometry, centres), inside)
        assert region["properties"]["measurements"]["area_mm2"] == pytest.approx(some.areas_mm2()[name], abs=1e-6)
        mean = some.grid()[inside][:, CLASSES.index(name)].mean()
        assert region["properties"]["measurements"]["mean_prob"] == pytest.approx(mean, abs=1e-4)


def test_at_a_whole_step_a_regions_area_is_its_cells_times_the_steps_square(tmp_path):
    ring = [[0, 0, 0, 1], [0, 2, 0, 1], [0, 0, 0, -1]]
    regions = {r["properties"]["classification"]["name"]: r for r in features(map_of(ring), tmp_path, tiles=False)}
    around = shape(regions[CLASSES[0]]["geometry"])
    assert around.area == 8 * 64**2
    assert [len(polygon.interiors) for polygon in [around]] == [1]
    assert shape(regions[CLASSES[2]]["geometry"]).equals(shapely.Polygon(around.interiors[0]))
    assert regions[CLASSES[0]]["properties"]["measurements"]["area_mm2"] == pytest.approx(8 * 0.016**2)


def test_tiles_of_neighbouring_places_meet_at_a_broken_step(tmp_path):
    tiles = features(random_map(8, 8, density=1.0, slide_mpp=0.2527), tmp_path, regions=False)
    together = shapely.union_all([shape(tile["geometry"]) for tile in tiles])
    assert together.area == sum(shape(tile["geometry"]).area for tile in tiles)
    assert len(together.interiors) == 0
    assert together.equals(shapely.box(*together.bounds))


def test_what_is_improbable_is_left_out(tmp_path):
    some = random_map(6, 7, density=1.0)
    best = some.probabilities.max(axis=1)
    found = features(some, tmp_path, min_probability=0.7)
    assert len(of_kind(found, "tile")) == (best >= 0.7).sum() < len(some)
    area = sum(shape(region["geometry"]).area for region in of_kind(found, "annotation"))
    assert area == (best >= 0.7).sum() * 64**2


def test_what_is_unsure_is_a_class_of_its_own_in_grey(tmp_path):
    some = random_map(6, 7, density=1.0)
    unsure = some.probabilities.max(axis=1) < 0.7
    found = features(some, tmp_path, unsure_below=0.7)
    named = [tile["properties"]["classification"]["name"] == UNSURE for tile in of_kind(found, "tile")]
    assert named == unsure.tolist()
    (region,) = [r for r in of_kind(found, "annotation") if r["properties"]["classification"]["name"] == UNSURE]
    assert shape(region["geometry"]).area == unsure.sum() * 64**2
    red, green, blue = region["properties"]["classification"]["color"]
    assert red == green == blue


def test_where_qupaths_image_begins_elsewhere_all_moves_by_as_much(tmp_path):
    here = features(random_map(4, 5), tmp_path)
    there = features(random_map(4, 5, slide_origin_px=(100, 30)), tmp_path)
    for before, after in zip(here, there, strict=True):
        moved = shapely.transform(shape(before["geometry"]), lambda points: points - (100, 30))
        assert moved.equals(shape(after["geometry"]))


def test_the_same_map_gives_the_same_file_and_another_model_other_ids(tmp_path):
    some = random_map(5, 5)
    first = write_geojson(some, tmp_path / "a.geojson").read_bytes()
    assert write_geojson(some, tmp_path / "b.geojson").read_bytes() == first
    other = SlideMap(some.card.model_copy(update={"model_fingerprint": "1"}), some.column, some.row, some.probabilities)
    ids = {feature["id"] for feature in features(some, tmp_path)}
    assert not ids & {feature["id"] for feature in features(other, tmp_path)}


def test_our_own_reader_of_qupath_files_gives_the_regions_back(tmp_path):
    some = map_of([[0, 1, 1], [2, 2, -1]])
    path = write_geojson(some, tmp_path / "map.geojson", tiles=False)
    labels = read_annotation(path).rasterise(0, 0, 192, 128, 64)
    np.testing.assert_array_equal(labels, [[0, 1, 1], [2, 2, -1]])


def test_names_may_hold_anything(tmp_path):
    names = ('quote "x"', "Tumor: necrotic", "line\nend é \\")
    (tile,) = features(map_of([[1]], classes=names), tmp_path, regions=False)
    assert tile["properties"]["classification"]["names"] == ["Tumor", "necrotic"]
    (tile,) = features(map_of([[2]], classes=names), tmp_path, regions=False)
    assert tile["properties"]["classification"]["name"] == "line end é \\"
    assert f"prob_{names[0]}" in tile["properties"]["measurements"]


def test_a_map_without_tiles_and_one_with_a_single_tile(tmp_path):
    assert features(SlideMap(map_card(), *no_tiles()), tmp_path) == []
    assert features(SlideMap(map_card(slide_width_px=10), *no_tiles()), tmp_path) == []
    assert len(features(map_of([[1]]), tmp_path)) == 2


@pytest.mark.slow
def test_a_map_of_noise_is_outlined_in_parts(tmp_path, monkeypatch):
    some = random_map(60, 60, density=1.0)
    whole = {
        r["properties"]["classification"]["name"]: shape(r["geometry"]) for r in features(some, tmp_path, tiles=False)
    }
    monkeypatch.setattr("hviskd.segmentation.geojson._BORDERS_AT_ONCE", 500)
    found = features(some, tmp_path, tiles=False)
    assert len(found) > 3 * len(CLASSES)
    assert len({region["id"] for region in found}) == len(found)
    for name, geometry in whole.items():
        parts = [shape(r["geometry"]) for r in found if r["properties"]["classification"]["name"] == name]
        assert all(part.is_valid for part in parts)
        assert shapely.union_all(parts).equals(geometry)


@pytest.mark.slow
def test_many_tiles_take_little_memory(tmp_path):
    some = random_map(120, 120, density=1.0)
    tracemalloc.start()
    try:
        path = write_geojson(some, tmp_path / "map.geojson", regions=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 5e6
    assert peak < 3e6


@pytest.mark.parametrize(
    "options", [{"min_probability": 1.5}, {"unsure_below": -0.1}, {"min_probability": float("nan")}]
)
def test_a_threshold_is_a_share(tmp_path, options):
    with pytest.raises(ValueError, match="between 0 and 1"):
        write_geojson(map_of([[1]]), tmp_path / "map.geojson", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_step_of_less_than_a_px_is_refused(tmp_path):
    some = SlideMap(map_card(stride_px=1, slide_mpp=0.6, mpp=0.5), *no_tiles())
    with pytest.raises(DataError, match="integer coordinates"):
        write_geojson(some, tmp_path / "map.geojson")
