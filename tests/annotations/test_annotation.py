import numpy as np
import pytest
import shapely
import shapely.affinity

from hviskd.annotations import LabelMask, Outlines, Region, load_legend
from hviskd.errors import DataError
from tests.html_tables import read_tables

BOX = shapely.box(0, 0, 10, 10)


def test_without_a_legend_classes_are_the_labels_in_order():
    assert Outlines.of([Region("b", BOX), Region("a", BOX)]).classes == ("a", "b")


def test_a_legend_gives_the_classes_and_merges():
    annotation = Outlines.of([Region("cthbv", BOX)], legend=load_legend("ivygap-paper"))
    assert annotation.classes[annotation.rasterise(0, 0, 1, 1, 1)[0, 0]] == "CTmvp"


def test_labels_the_legend_does_not_know_are_left_out_and_told():
    annotation = Outlines.of([Region("LE", BOX), Region("fold", BOX)], legend=load_legend("ivygap"))
    assert len(annotation.regions) == 1
    assert [(n, "fold" in words) for words, n in annotation.remarks.items()] == [(1, True)]


def test_a_legend_that_knows_no_label_is_an_error():
    with pytest.raises(DataError, match="fold"):
        Outlines.of([Region("fold", BOX)], legend=load_legend("ivygap"))


def test_regions_beside_the_slide_are_told_and_all_of_them_are_an_error():
    far = Region("a", shapely.box(500, 0, 600, 10))
    assert Outlines.of([Region("a", BOX), far], size=(100, 100)).remarks == {"regions outside the slide": 1}
    with pytest.raises(DataError, match="100 × 100"):
        Outlines.of([far], size=(100, 100))


def test_thousands_of_labels_are_names_and_refused():
    with pytest.raises(DataError, match="names"):
        Outlines.of([Region(str(k), BOX) for k in range(40_000)])


def test_nothing_drawn_is_nothing_labelled():
    assert (Outlines.of([]).rasterise(0, 0, 5, 4, 1) == np.full((4, 5), -1)).all()


@pytest.mark.parametrize("cells", [7, 10, 49, 1000, 4001])
def test_a_window_cut_into_a_number_of_cells_has_that_number(cells):
    assert Outlines.of([]).rasterise(0, 0, 150, 150, 150 / cells).shape == (cells, cells)


def test_cells_cover_the_window_and_the_last_may_stand_out():
    assert Outlines.of([]).rasterise(0, 0, 10, 3, 4).shape == (1, 3)


@pytest.mark.parametrize("window", [(0, 0, 0, 1, 1), (0, 0, 1, 1, -1), (np.nan, 0, 1, 1, 1), (0, 0, np.inf, 1, 1)])
def test_a_window_without_extent_is_refused(window):
    with pytest.raises(ValueError, match="extent"):
        Outlines.of([]).rasterise(*window)


def test_a_label_image_that_fits_no_memory_is_refused():
    with pytest.raises(DataError, match="more px per cell"):
        Outlines.of([]).rasterise(0, 0, 1e6, 1e6, 1)


def test_a_label_mask_has_at_each_centre_what_the_mask_has_there():
    rng = np.random.default_rng(0)
    indices = rng.choice(np.array([0, 1, 2, 255], dtype=np.uint8), (40, 50))
    mask = LabelMask(classes=("a", "b", "c"), indices=indices, px_per_mask_px=(8.0, 8.2))
    image = mask.rasterise(-20.0, 100.0, 300, 300, 3.3)
    for row, column in rng.integers(0, image.shape[0], (300, 2)):
        x, y = -20.0 + (column + 0.5) * 3.3, 100.0 + (row + 0.5) * 3.3
        inside = 0 <= x < 50 * 8.0 and 0 <= y < 40 * 8.2
        value = int(indices[int(y / 8.2), int(x / 8.0)]) if inside else 255
        assert image[row, column] == (-1 if value == 255 else value)


def test_a_window_beside_a_label_mask_is_not_labelled():
    mask = LabelMask(classes=("a",), indices=np.zeros((4, 4), dtype=np.uint8))
    assert (mask.rasterise(100, 0, 5, 5, 1) == -1).all()


def test_a_mask_is_rasterised_alike_however_many_cells_there_are():
    indices = np.random.default_rng(0).choice(np.array([0, 1, 255], dtype=np.uint8), (50, 70))
    mask = LabelMask(classes=("a", "b"), indices=indices)
    labels = mask.rasterise(-10, -20, 90, 80, 1 / 40)  # 11 million cells, some at a time
    expected = np.full((80, 90), -1)
    expected[20:70, 10:80] = np.where(indices == 255, -1, indices.astype(np.int16))
    np.testing.assert_array_equal(labels[::40, ::40], expected)
    np.testing.assert_array_equal(labels[39::40, 39::40], expected)


def blobs(rng, size):
    """Random ellipses of three classes, some of them overlapping, some a fraction of a px wide."""
    regions = []
    for number in range(12):
        ellipse = shapely.affinity.scale(shapely.Point(0, 0).buffer(1), *rng.uniform((1, 0.2), (60, 25)))
        turned = shapely.affinity.rotate(ellipse, rng.uniform(0, 180))
        regions.append(Region("abc"[number % 3], shapely.affinity.translate(turned, *rng.uniform(0, size, 2))))
    return Outlines.of(regions, size=(size, size))


@pytest.mark.parametrize("scale", [1.0, 2.0, 1.37, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_squares_that_hold_another_class_are_those_whose_px_say_so(seed, scale):
    rng, size, side = np.random.default_rng(seed), 400, 37
    outlines = blobs(rng, size)
    cells = round(size / scale)
    indices = outlines.rasterise(0, 0, size, size, size / cells).astype(np.uint8)  # no class becomes 255
    mask = LabelMask(
        classes=outlines.classes, size=(size, size), indices=indices, px_per_mask_px=(size / cells, size / cells)
    )
    y_px, x_px = (places.ravel() for places in np.mgrid[5 : size - side : side, 3 : size - side : side])
    kept = rng.random(len(x_px)) < 0.8
    x_px, y_px, labels = x_px[kept], y_px[kept], rng.integers(0, 3, kept.sum())
    for annotation in (outlines, mask):
        expected = []
        for x, y, label in zip(x_px, y_px, labels, strict=True):
            px = annotation.rasterise(int(x), int(y), side, side, 1)
            expected.append(bool(set(np.unique(px)) - {-1, label}))
        assert np.array_equal(annotation.hold_others(x_px, y_px, side, labels), expected)
        assert 0 < sum(expected) < len(expected)
        none = np.empty(0, np.int64)
        assert annotation.hold_others(none, none, side, none).shape == (0,)


def test_outlines_show_their_classes_in_a_notebook():
    drawn = [Region("b", BOX, colour=(0, 160, 0)), Region("<a>", BOX), Region("b", shapely.affinity.translate(BOX, 90))]
    html = Outlines.of(drawn, size=(50, 20), source="folder/s.geojson")._repr_html_()
    assert "s.geojson: 3 regions, on a slide of 50 × 20 px" in html
    assert read_tables(html)[:3] == [["", "class", "regions"], ["", "<a>", "1"], ["", "b", "2"]]
    assert ["regions outside the slide", "1"] in read_tables(html)
    assert html.count("#00a000") == 1
