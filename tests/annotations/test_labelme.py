import json

import numpy as np
import pytest
import shapely

from hviskd.annotations import Outlines, Region, load_legend, read_annotation, tracing, write_labelme
from hviskd.annotations.drawn import MENDED, NO_AREA
from hviskd.errors import DataError

from .make import SQUARE, blobs, labelme, mask_shape, save


def read(tmp_path, shapes, *, size=None, legend=None, **more):
    path = save(tmp_path / "drawn.json", labelme(shapes, **more))
    return read_annotation(path, size=size, legend=legend)


def shape(kind, points, label="a", **more):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}} | more


def test_a_polygon_is_read_with_its_label_and_the_size_of_its_image(tmp_path):
    annotation = read(tmp_path, [shape("polygon", SQUARE[:-1], description="first")])
    (region,) = annotation.regions
    assert (region.label, region.name, annotation.size) == ("a", "first", (100, 80))
    assert region.geometry.equals(shapely.box(10, 10, 30, 30))


def test_a_shape_without_a_type_is_a_polygon(tmp_path):
    (region,) = read(tmp_path, [{"label": "a", "points": SQUARE}]).regions
    assert region.geometry.area == 400


@pytest.mark.parametrize("corners", [[[1, 2], [5, 9]], [[5, 9], [1, 2]], [[5, 2], [1, 9]], [[1, 9], [5, 2]]])
def test_a_rectangle_may_be_given_by_any_two_opposite_corners(tmp_path, corners):
    (region,) = read(tmp_path, [shape("rectangle", corners)]).regions
    assert region.geometry.equals(shapely.box(1, 2, 5, 9))


@pytest.mark.parametrize("radius", [0.5, 20, 40_000])
def test_a_circle_is_round_to_a_twentieth_of_a_px(tmp_path, radius):
    (region,) = read(tmp_path, [shape("circle", [[50, 40], [50 + radius, 40]])]).regions
    middles = shapely.get_coordinates(region.geometry.segmentize(1e9))
    middles = (middles[1:] + middles[:-1]) / 2
    distance = np.hypot(*(middles - (50, 40)).T)
    assert radius - 0.05 <= distance.min() <= distance.max() <= radius


def test_a_mask_covers_exactly_its_pixels(tmp_path):
    inside = np.random.default_rng(0).random((20, 30)) < 0.6
    image = read(tmp_path, [mask_shape(inside, left=50, top=40)]).rasterise(0, 0, 100, 80, 1)
    expected = np.full((80, 100), -1)
    expected[40:60, 50:80][inside] = 0
    np.testing.assert_array_equal(image, expected)


def test_several_shapes_of_one_label_are_all_labelled(tmp_path):
    boxes = [[[0, 0], [10, 10]], [[5, 5], [20, 20]], [[50, 50], [60, 60]]]
    image = read(tmp_path, [shape("rectangle", box) for box in boxes]).rasterise(0, 0, 100, 80, 1)
    assert (image == 0).sum() == 100 + 225 - 25 + 100


def test_neighbouring_shapes_of_one_group_are_one_region(tmp_path):
    shapes = [shape("rectangle", [[k, 0], [k + 5, 5]], group_id=group) for k, group in ((0, 1), (10, 1), (20, 2))]
    areas = [region.geometry.area for region in read(tmp_path, shapes).regions]
    assert areas == [50, 25]


def test_a_group_with_another_shape_between_keeps_its_place_in_the_order(tmp_path):
    under = shape("rectangle", [[0, 0], [10, 10]], label="x", group_id=1)
    between = shape("rectangle", [[0, 0], [10, 10]], label="y")
    image = read(tmp_path, [under, between, under]).rasterise(0, 0, 10, 10, 1)
    assert (image == 0).all()


@pytest.mark.parametrize("kind", ["point", "points", "line", "linestrip"])
def test_shapes_without_an_area_are_left_out_and_told(tmp_path, kind):
    annotation = read(tmp_path, [shape(kind, [[1, 1], [2, 2]]), shape("polygon", SQUARE)])
    assert len(annotation.regions) == 1
    assert annotation.remarks == {NO_AREA: 1}


@pytest.mark.parametrize("kind", ["ellipse", "cuboid", "something new"])
def test_shapes_of_a_kind_that_is_not_read_are_left_out_and_called_by_it(tmp_path, kind):
    annotation = read(tmp_path, [shape(kind, SQUARE[:-1]), shape("polygon", SQUARE)])
    assert len(annotation.regions) == 1
    assert annotation.remarks == {f"shapes of type '{kind}', which is not read, left out": 1}


@pytest.mark.parametrize("kind", ["oriented_rectangle", "rotation"])
def test_a_turned_rectangle_is_its_four_corners(tmp_path, kind):
    corners = [[10, 5], [30, 15], [25, 25], [5, 15]]
    annotation = read(tmp_path, [shape(kind, corners, label="Tumor")])
    (region,) = annotation.regions
    assert region.geometry.equals(shapely.Polygon(corners))
    assert not annotation.remarks


def test_what_is_wrong_with_a_shape_that_is_not_read_does_not_matter(tmp_path):
    shapes = [shape("point", [[float("nan"), 1]]), shape("ellipse", None), shape("polygon", SQUARE[:-1])]
    annotation = read(tmp_path, shapes)
    assert len(annotation.regions) == 1
    assert sum(annotation.remarks.values()) == 2


def test_a_rectangle_may_be_given_by_its_four_corners(tmp_path):
    turned = [[20, 10], [30, 20], [20, 30], [10, 20]]
    (region,) = read(tmp_path, [shape("rectangle", turned)]).regions
    assert region.geometry.equals(shapely.Polygon(turned))


def test_a_polygon_with_a_spike_counts_as_mended_and_one_that_is_not_closed_does_not(tmp_path):
    spiked = [[0, 0], [10, 0], [10, 10], [15, 10], [10, 10], [0, 10]]
    annotation = read(tmp_path, [shape("polygon", SQUARE[:-1]), shape("polygon", spiked)])
    assert [region.geometry.area for region in annotation.regions] == [400, 100]
    assert annotation.remarks == {MENDED: 1}


@pytest.mark.parametrize(("group", "regions"), [(1.0, 1), (1.0e300, 1), ("1", 1), (None, 2)])
def test_a_group_may_be_any_whole_number_or_text(tmp_path, group, regions):
    boxes = [shape("rectangle", [[k, 0], [k + 5, 5]], group_id=group) for k in (0, 10)]
    assert len(read(tmp_path, boxes).regions) == regions


def test_a_mask_lies_at_the_whole_px_that_its_corner_is_in(tmp_path):
    lying = mask_shape(np.ones((4, 6), dtype=bool)) | {"points": [[10.9, 20.2], [15.9, 23.2]]}
    assert read(tmp_path, [lying]).regions[0].geometry.equals(shapely.box(10, 20, 16, 24))


@pytest.mark.parametrize("corner", [[16, 23], [15, 24], [14, 23]])
def test_a_mask_that_does_not_fit_its_box_is_refused(tmp_path, corner):
    with pytest.raises(DataError, match=r"its image has 6 × 4 px, but its box \d × \d"):
        read(tmp_path, [mask_shape(np.ones((4, 6), dtype=bool)) | {"points": [[10, 20], corner]}])


def test_an_empty_mask_has_no_area(tmp_path):
    annotation = read(tmp_path, [mask_shape(np.zeros((4, 6), dtype=bool)), shape("polygon", SQUARE)])
    assert annotation.remarks == {NO_AREA: 1}


def test_ragged_masks_share_one_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(tracing, "EDGE_LIMIT", 3000)
    ragged = mask_shape(np.indices((20, 20)).sum(axis=0) % 2 == 0)  # 800 pieces
    assert len(read(tmp_path, [ragged] * 3).regions) == 3
    with pytest.raises(DataError, match=r"shapes\[3\]: .* plus 2400 of those before it, more than 3000"):
        read(tmp_path, [ragged] * 4)


def test_an_image_of_another_size_than_the_slide_is_refused(tmp_path):
    assert read(tmp_path, [shape("polygon", SQUARE)], size=(100, 80)).size == (100, 80)
    with pytest.raises(DataError, match="100 × 80 px, but the slide has 200 × 160"):
        read(tmp_path, [shape("polygon", SQUARE)], size=(200, 160))


def test_a_file_without_a_size_takes_the_slides(tmp_path):
    annotation = read(tmp_path, [shape("polygon", SQUARE)], size=(200, 160), imageWidth=None, imageHeight=None)
    assert annotation.size == (200, 160)


def test_the_image_inside_the_file_is_not_looked_at(tmp_path):
    assert read(tmp_path, [shape("polygon", SQUARE)], imageData="no base64 of anything!").regions


@pytest.mark.parametrize(
    "broken",
    [
        {"shapes": None},
        {"shapes": {}},
        {"shapes": [3]},
        {"shapes": [{"label": 4, "points": SQUARE}]},
        {"shapes": [{"label": "a"}]},
        {"shapes": [shape("rectangle", SQUARE[:3])]},
        {"shapes": [shape("circle", [[1, 1]])]},
        {"shapes": [shape("polygon", SQUARE, group_id=[[]])]},
        {"shapes": [shape("polygon", SQUARE, group_id=1.5)]},
        {"shapes": [shape("polygon", [["10", 10], [30, 10], [30, 30]])]},
        {"shapes": [shape("polygon", [[True, 10], [30, 10], [30, 30]])]},
        {"shapes": [shape("polygon", SQUARE, shape_type=5)]},
        {"imageWidth": "100"},
        {"imageWidth": -1},
        {"imageWidth": None},
        {"imageWidth": True},
        {"shapes": [shape("mask", [[0, 0], [9, 9]])]},
        {"shapes": [shape("mask", [[0, 0], [9, 9]], mask="####")]},
        {"shapes": [shape("mask", [[0, 0], [9, 9]], mask="QUJD")]},
        {"shapes": [mask_shape(np.ones((5, 5), dtype=bool)) | {"points": [[0, 0], [90, 90]]}]},
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, broken):
    path = save(tmp_path / "drawn.json", labelme([shape("polygon", SQUARE)]) | broken)
    with pytest.raises(DataError) as caught:
        read_annotation(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mask_that_unpacks_to_more_than_it_may_is_refused(tmp_path):
    bomb = mask_shape(np.zeros((9_000, 9_000), dtype=bool))
    assert len(bomb["mask"]) < 100_000
    with pytest.raises(DataError, match="64 million px"):
        read(tmp_path, [bomb])


def test_what_is_written_is_read_back_and_written_again_alike(tmp_path):
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    written = Outlines.of([*blobs(30), Region("a", shapely.MultiPoint([(5, 5), (50, 50)]).buffer(4), "two parts")])
    write_labelme(written, first, image_path="slide.png")
    back = read_annotation(first)
    write_labelme(back, second, image_path="slide.png")
    assert first.read_bytes() == second.read_bytes()
    assert not back.remarks
    assert len(back.regions) == len(written.regions)
    for region, original in zip(back.regions, written.regions, strict=True):
        assert (region.label, region.name) == (original.label, original.name)
        assert region.geometry.symmetric_difference(original.geometry).area < 0.01 * original.geometry.length
    differing = back.rasterise(0, 0, 200, 200, 1) != written.rasterise(0, 0, 200, 200, 1)
    assert differing.mean() < 1e-3


def test_a_written_file_has_what_labelme_needs_to_open_it(tmp_path):
    path = write_labelme(Outlines.of(blobs(3), size=(300, 200)), tmp_path / "a.json", image_path="slide.png")
    document = json.loads(path.read_text())
    assert {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"} <= set(document)
    assert (document["imageWidth"], document["imageHeight"], document["imagePath"]) == (300, 200, "slide.png")
    for written in document["shapes"]:
        assert {"label", "points", "group_id", "shape_type", "flags"} <= set(written)
        assert all(len(point) == 2 for point in written["points"])


def test_labels_of_any_script_survive(tmp_path):
    path = write_labelme(
        Outlines.of([Region('Zöliakie "β" 胶质', shapely.box(0, 0, 5, 5))]), tmp_path / "a.json", image_path="x.png"
    )
    assert read_annotation(path).classes == ('Zöliakie "β" 胶质',)


def test_a_legend_turns_labels_into_its_classes(tmp_path):
    annotation = read(tmp_path, [shape("polygon", SQUARE, label="ctpnn")], legend=load_legend("ivygap-paper"))
    assert annotation.regions[0].label == "CTpan"


def test_a_label_cannot_break_a_line_or_steer_a_terminal(tmp_path):
    assert read(tmp_path, [shape("polygon", SQUARE, "a\nb\x1b[31m")]).classes == ("a b [31m",)
