import json
import math
import uuid

import pytest
import shapely

from hviskd.annotations import UNCLASSIFIED, Outlines, Region, read_annotation, write_geojson
from hviskd.annotations.drawn import MENDED, NO_AREA
from hviskd.errors import DataError
from tests.data import name

from .make import FIELDS, SQUARE, blobs, feature, save

HOLE = [[15, 15], [20, 15], [20, 20], [15, 20], [15, 15]]
FAR = [[60, 60], [70, 60], [70, 70], [60, 60]]


def read(tmp_path, document, **options):
    return read_annotation(save(tmp_path / "drawn.geojson", document), **options)


def collection(*features):
    return {"type": "FeatureCollection", "features": list(features)}


@pytest.mark.parametrize("wrap", [collection, lambda one: one, lambda one: [one]])
def test_a_collection_one_feature_or_a_list_may_stand_at_the_top(tmp_path, wrap):
    (region,) = read(tmp_path, wrap(feature([SQUARE], classification="Tumor"))).regions
    assert (region.label, region.geometry.area) == ("Tumor", 400)


@pytest.mark.parametrize(
    ("classification", "label", "colour"),
    [
        ("Tumor", "Tumor", None),
        ({"name": "Tumor", "color": [1, 2, 3]}, "Tumor", (1, 2, 3)),
        ({"name": "Tumor", "color": [1, 2, 3, 255]}, "Tumor", (1, 2, 3)),
        ({"name": "Tumor"}, "Tumor", None),
        ({"names": ["Tumor", "Positive"], "color": [1, 2, 3]}, "Tumor: Positive", (1, 2, 3)),
        ({"name": "Tumor", "colorRGB": -3670016}, "Tumor", (200, 0, 0)),
        ({"name": "Tumor", "color": "red"}, "Tumor", None),
        ({}, UNCLASSIFIED, None),
        (None, UNCLASSIFIED, None),
    ],
)
def test_a_class_is_read_in_every_form_qupath_has_written(tmp_path, classification, label, colour):
    (region,) = read(tmp_path, feature([SQUARE], classification=classification)).regions
    assert (region.label, region.colour) == (label, colour)


def test_measurements_that_are_no_numbers_cost_nothing_but_a_coordinate_must_be_one(tmp_path):
    """QuPath up to 0.4 writes NaN and Infinity without quotes."""
    drawn = feature([SQUARE], classification={"name": "Tumor"}, measurements={"Solidity": math.nan, "Area": math.inf})
    path = save(tmp_path / "a.geojson", {"type": "FeatureCollection", "features": [drawn]})
    assert "NaN" in path.read_text()
    (region,) = read_annotation(path).regions
    assert (region.label, region.geometry.area) == ("Tumor", 400)
    for wrong in (math.nan, -math.inf, 10**400):
        with pytest.raises(DataError, match="coordinate that is not finite"):
            read_annotation(save(path, feature([[*SQUARE[:2], [30, wrong], *SQUARE[3:]]])))


def test_an_object_without_properties_has_no_class(tmp_path):
    bare = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [SQUARE]}, "properties": None}
    assert read(tmp_path, bare).regions[0].label == UNCLASSIFIED


def test_an_objects_own_name_and_colour_are_read(tmp_path):
    (region,) = read(tmp_path, feature([SQUARE], name="focus 1", color=[9, 8, 7])).regions
    assert (region.name, region.colour) == ("focus 1", (9, 8, 7))


def test_holes_and_parts_are_kept(tmp_path):
    (region,) = read(tmp_path, feature([[SQUARE, HOLE], [FAR]], kind="MultiPolygon")).regions
    assert region.geometry.geom_type == "MultiPolygon"
    assert region.geometry.area == 400 - 25 + 50


def test_of_a_geometry_collection_the_polygons_are_taken(tmp_path):
    inner = {"type": "GeometryCollection", "geometries": [{"type": "Polygon", "coordinates": [FAR]}]}
    point = {"type": "Point", "coordinates": [1, 1]}
    geometries = [{"type": "Polygon", "coordinates": [SQUARE, HOLE]}, point, inner]
    mixed = {"type": "Feature", "geometry": {"type": "GeometryCollection", "geometries": geometries}}
    annotation = read(tmp_path, mixed)
    assert annotation.regions[0].geometry.area == 425
    assert annotation.remarks == {NO_AREA: 1}


def test_the_nucleus_of_a_cell_is_left(tmp_path):
    cell = feature([SQUARE], objectType="cell") | {"nucleusGeometry": {"type": "Polygon", "coordinates": "nonsense"}}
    assert read(tmp_path, cell).regions[0].geometry.area == 400


def test_points_lines_and_nothing_are_left_out_and_told(tmp_path):
    empty = [
        feature([1, 2], kind="Point"),
        feature([[1, 2], [3, 4]], kind="LineString"),
        feature([[1, 2]], kind="MultiPoint"),
        feature([], kind="Polygon"),
        {"type": "Feature", "geometry": None, "properties": {}},
    ]
    annotation = read(tmp_path, collection(*empty, feature([SQUARE])))
    assert len(annotation.regions) == 1
    assert annotation.remarks == {NO_AREA: 5}


def test_a_ring_left_open_or_crossing_itself_is_mended(tmp_path):
    tie = [[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]
    annotation = read(tmp_path, collection(feature([SQUARE[:-1]]), feature([tie])))
    assert [region.geometry.area for region in annotation.regions] == pytest.approx([400, 50])
    assert annotation.remarks == {MENDED: 2}


def test_a_ring_left_open_counts_once_whatever_else_is_wrong_with_it(tmp_path):
    tie = [[0, 0], [10, 10], [10, 0], [0, 10]]
    assert read(tmp_path, feature([tie])).remarks == {MENDED: 1}
    assert read(tmp_path, feature([SQUARE, HOLE[:-1]])).remarks == {MENDED: 1}
    assert read(tmp_path, collection(feature([SQUARE]), feature([SQUARE[:2]]))).remarks == {NO_AREA: 1}


def test_a_hole_outside_its_outline_is_left_out_and_counted(tmp_path):
    annotation = read(tmp_path, feature([SQUARE, HOLE, FAR]))
    assert annotation.regions[0].geometry.equals(shapely.box(10, 10, 30, 30) - shapely.box(15, 15, 20, 20))
    assert annotation.remarks == {MENDED: 1}


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "FeatureCollection"},
        {"type": "FeatureCollection", "features": {}},
        [3],
        [{"type": "Polygon", "coordinates": [SQUARE]}],
        feature([SQUARE], kind="Circle"),
        feature([SQUARE], kind=["Polygon"]),
        feature(SQUARE),
        feature("abc"),
        feature([[SQUARE]]),
        feature([[[float("1e308"), 0], *SQUARE]]),
        feature([SQUARE], classification=5),
        feature([SQUARE], classification={"name": 5}),
        feature([SQUARE], classification={"names": [["a"]]}),
        feature([SQUARE], name=5),
        {"type": "Feature", "geometry": 4, "properties": {}},
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [SQUARE]}, "properties": 4},
        {"type": "Feature", "geometry": {"type": "GeometryCollection", "geometries": 4}},
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, broken):
    with pytest.raises(DataError, match=r"drawn\.geojson: ") as caught:
        read(tmp_path, broken)
    assert "\n" not in str(caught.value)


def test_more_objects_than_the_limit_are_refused(tmp_path):
    with pytest.raises(DataError, match="more than 1000000"):
        read(tmp_path, "[" + "0," * 1_000_000 + "0]")


def test_what_is_written_is_read_back_and_written_again_alike(tmp_path):
    first, second = tmp_path / "1.geojson", tmp_path / "2.geojson"
    parts = shapely.MultiPolygon([shapely.box(0, 0, 5, 5.25), shapely.box(7, 7, 9, 9)])
    special = [Region("Tumor: Positive", parts, 'a "name"', (1, 2, 3)), Region(UNCLASSIFIED, shapely.box(0, 0, 9, 9))]
    written = Outlines.of([*blobs(30), *special])
    back = read_annotation(write_geojson(written, first))
    write_geojson(back, second)
    assert first.read_bytes() == second.read_bytes()
    assert back.remarks == written.remarks == {"regions hidden under later ones of another class": 1}
    assert back.classes == written.classes
    assert back.regions[30].geometry.equals_exact(parts, 0)
    assert back.regions[30].colour == (1, 2, 3)
    assert [(r.label, r.name) for r in back.regions] == [(r.label, r.name) for r in written.regions]
    differing = back.rasterise(0, 0, 200, 200, 1) != written.rasterise(0, 0, 200, 200, 1)
    assert differing.mean() < 1e-3


def test_a_written_file_has_what_qupath_needs_to_open_it(tmp_path):
    """QuPath drops ids that are no UUID, reads only `properties`, and refuses a class without a colour."""
    path = write_geojson(Outlines.of([*blobs(9), blobs(1)[0]]), tmp_path / "a.geojson")
    features = json.loads(path.read_text())["features"]
    assert len({str(uuid.UUID(written["id"])) for written in features}) == 10
    for written in features:
        assert set(written) == {"type", "id", "geometry", "properties"}
        assert written["properties"]["objectType"] == "annotation"
        colour = written["properties"]["classification"]["color"]
        assert len(colour) == 3
        assert all(isinstance(channel, int) and 0 <= channel <= 255 for channel in colour)
        for ring in written["geometry"]["coordinates"]:
            assert ring[0] == ring[-1]
            assert all(round(value, 6) == value for point in ring for value in point)


def test_no_regions_make_a_valid_file(tmp_path):
    path = write_geojson(Outlines.of([]), tmp_path / "a.geojson")
    assert json.loads(path.read_text()) == {"type": "FeatureCollection", "features": []}
    assert read_annotation(path).regions == ()


@pytest.mark.parametrize("field", FIELDS, ids=name)
def test_qupath_and_labelme_files_of_one_field_give_one_label_image(field):
    labelme = read_annotation(field.with_suffix(".json"))
    qupath = read_annotation(field, size=labelme.size)
    images = [each.rasterise(0, 0, *labelme.size, 0.5) for each in (labelme, qupath)]
    assert (images[0] == images[1]).all()
