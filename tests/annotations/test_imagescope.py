import math

import numpy as np
import pytest
import shapely
from PIL import Image, ImageDraw

from hviskd.annotations import Outlines, load_legend, read_annotation
from hviskd.annotations.drawn import MENDED, NO_AREA
from hviskd.annotations.layers import CUT_AWAY
from hviskd.errors import DataError
from hviskd.slide_frame import SlideFrame

from .make import blob, by_shapely, save
from .make_xml import aperio, aperio_layer, aperio_region, box

TIE = [(0, 0), (10, 10), (10, 0), (0, 10)]


def read(tmp_path, *layers: str, **options) -> Outlines:
    return read_annotation(save(tmp_path / "drawn.xml", aperio(*layers)), **options)


def test_a_layer_is_a_class_and_a_negative_region_is_cut_out_of_it(tmp_path):
    rng = np.random.default_rng(0)
    shell, hole, other = (
        np.round(shapely.get_coordinates(blob(rng, centre=centre, radius=radius).exterior), 4)
        for centre, radius in [((100, 90), 60), ((100, 90), 15), ((150, 130), 40)]
    )
    tumour = aperio_layer(
        aperio_region(shell), aperio_region(hole, negative=True, text="no"), name="Tumour", colour=255
    )
    stroma = aperio_layer(aperio_region(other, text="margin"), name="", description="Stroma", number=2)
    drawn = read(tmp_path, tumour, stroma, size=(300, 240))
    assert drawn.classes == ("Stroma", "Tumour")
    assert [(region.label, region.name, region.colour) for region in drawn.regions] == [
        ("Tumour", "", (255, 0, 0)),
        ("Stroma", "margin", (0, 255, 0)),
    ]
    image = drawn.rasterise(0, 0, 300, 240, 1)
    np.testing.assert_array_equal(image, by_shapely(drawn, 0, 0, 240, 300, 1))
    painted = Image.new("L", (300 * 4, 240 * 4), 255)  # by Pillow, at four times the resolution
    for points, value in ((shell, 1), (hole, 255), (other, 0)):
        ImageDraw.Draw(painted).polygon([(x * 4, y * 4) for x, y in points], fill=value)
    expected = np.asarray(painted)[2::4, 2::4].astype(int)
    assert ((image == np.where(expected == 255, -1, expected)).mean()) > 0.998  # all but px on a border


def test_a_rectangle_has_two_corners_or_four_and_an_ellipse_its_box(tmp_path):
    two, four = aperio_region([(50, 60), (10, 20)], kind="1"), aperio_region(box(10, 20, 50, 60)[:-1], kind="1")
    turned = aperio_region([(20, 0), (40, 20), (20, 40), (0, 20)], kind="1")
    ellipse, same = aperio_region([(10, 20), (70, 60)], kind="2"), aperio_region(box(10, 20, 70, 60)[:-1], kind="2")
    drawn = read(tmp_path, aperio_layer(two, four, turned, ellipse, same, name="a"))
    areas = [region.geometry.area for region in drawn.regions]
    assert areas == pytest.approx([1600, 1600, 800, math.pi * 30 * 20, math.pi * 30 * 20], rel=2e-3)
    x, y = shapely.get_coordinates(drawn.regions[3].geometry).T
    np.testing.assert_allclose(((x - 40) / 30) ** 2 + ((y - 40) / 20) ** 2, 1)


def test_without_a_name_its_regions_texts_are_the_classes_or_what_imagescope_shows(tmp_path):
    regions = [aperio_region(box(0, 0, 9, 9), text="Necrosis "), aperio_region(box(20, 0, 29, 9))]
    drawn = read(tmp_path, aperio_layer(*regions, name=None, number=4))
    assert [region.label for region in drawn.regions] == ["Necrosis", "Layer 4"]


def test_a_negative_region_touches_only_its_layer_and_an_island_in_it_stays(tmp_path):
    whole, hole, island = (
        aperio_region(box(0, 0, 90, 90)),
        aperio_region(box(10, 10, 60, 60), negative=True),
        aperio_region(box(20, 20, 40, 40)),
    )
    layers = aperio_layer(whole, hole, island, name="a"), aperio_layer(whole, name="b", number=2)
    assert [region.geometry.area for region in read(tmp_path, *layers).regions] == [8100 - 2500, 400, 8100]
    erased = read(tmp_path, aperio_layer(island, hole, whole, name="a"))
    assert [region.geometry.area for region in erased.regions] == [8100 - 2500]
    assert erased.remarks == {CUT_AWAY: 1}
    split = read(tmp_path, aperio_layer(whole, aperio_region(box(-5, 40, 95, 50), negative=True), name="a"))
    assert split.regions[0].geometry.geom_type == "MultiPolygon"
    assert split.regions[0].geometry.area == 8100 - 900


def test_what_has_no_area_is_counted_and_an_outline_that_crosses_itself_repaired(tmp_path):
    arrows = [aperio_region([(1, 1), (9, 9)], kind=kind) for kind in "345"]
    empty = [aperio_region([]), aperio_region([(1, 1)]), aperio_region([(1, 1), (5, 5)], kind="0")]
    flat = [aperio_region([(1, 1), (5, 1)], kind="2"), aperio_region([(1, 1)], kind="1")]
    drawn = read(
        tmp_path, aperio_layer(name="none"), aperio_layer(*arrows, *empty, *flat, aperio_region(TIE), name="a")
    )
    assert [region.geometry.area for region in drawn.regions] == [50]
    assert drawn.remarks == {NO_AREA: 8, MENDED: 1}


def test_a_file_without_regions_is_read_as_such(tmp_path):
    assert read(tmp_path, aperio_layer(name="a")).regions == ()
    assert read(tmp_path).regions == ()


@pytest.mark.parametrize("wrong", ["NaN", "", "1e8", "inf", "1_0", "-1e7000", "zwei"])
def test_a_vertex_that_is_no_number_is_named(tmp_path, wrong):
    region = aperio_region([(0, 0), (wrong, 5), (9, 9)])
    with pytest.raises(DataError, match=r"drawn\.xml: layer 2, region 1: has a coordinate that is not finite"):
        read(tmp_path, aperio_layer(name="a"), aperio_layer(region, name="b"))


def test_what_crosses_without_end_is_refused(tmp_path):
    """Two combs of 400 teeth across each other have 640,000 crossings."""
    along = [(0, 0)] + [
        p for n in range(400) for p in [(1000, 2 * n), (1000, 2 * n + 1), (1, 2 * n + 1), (1, 2 * n + 2)]
    ]
    comb = [*along, (0, 800)]
    across = [(y + 0.3, x + 0.3) for x, y in comb]
    layer = aperio_layer(aperio_region(comb), aperio_region(across, negative=True), name="a")
    with pytest.raises(DataError, match="region 'a' and those cut out of it: intersects itself more than 100000 times"):
        read(tmp_path, layer)


def test_a_file_drawn_at_another_resolution_is_remarked_on(tmp_path):
    """0.2522 µm/px; a slide that was reduced from the one it was drawn on has twice that."""
    layer = aperio_layer(aperio_region(box(0, 0, 9, 9)), name="a")
    assert read(tmp_path, layer, frame=SlideFrame((50, 50), mpp=0.25)).remarks == {}
    assert read(tmp_path, layer, size=(50, 50)).remarks == {}
    found = read(tmp_path, layer, frame=SlideFrame((50, 50), mpp=0.5044))
    told = "regions drawn at 0.2522 µm/px, where the slide has 0.5044; is it the file of this slide?"
    assert found.remarks == {told: 1}
    for odd in ("", "0", "NaN", "-1", "x"):
        path = save(tmp_path / "a.xml", aperio(layer).replace("0.252200", odd))
        assert read_annotation(path, frame=SlideFrame((50, 50), mpp=0.5)).remarks == {}


def test_a_legend_says_which_layers_are_which_classes(tmp_path):
    classes = "classes: [{name: tumour, colours: [[1, 2, 3]]}, {name: Layer 2, colours: [[4, 5, 6]]}]\n"
    legend = load_legend(save(tmp_path / "l.yaml", f"name: l\n{classes}merge: {{Layer 2: tumour}}"))
    region = aperio_region(box(0, 0, 9, 9))
    layers = [
        aperio_layer(region, name=" TUMOUR"),
        aperio_layer(region, number=2),
        aperio_layer(region, region, name="fat"),
    ]
    found = read(tmp_path, *layers, legend=legend)
    assert [each.label for each in found.regions] == ["tumour", "tumour"]
    assert found.remarks == {"regions labelled 'fat', which is not in the legend, left out": 2}


def test_a_decimal_comma_is_one(tmp_path):
    region = aperio_region([("0,0", "0,0"), ("10,5", "0"), ("10,5", "10")])
    assert read(tmp_path, aperio_layer(region, name="a")).regions[0].geometry.area == 52.5


def test_negative_regions_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("hviskd.annotations.layers.PAIR_LIMIT", 30)
    layer = [aperio_region(box(0, 0, 9 + n, 9)) for n in range(6)]
    layer += [aperio_region(box(1, 1, 3, 3 + n), negative=True) for n in range(6)]
    with pytest.raises(DataError, match="negative regions: too many lie on others"):
        read(tmp_path, aperio_layer(*layer, name="a"))
    monkeypatch.setattr("hviskd.annotations.layers.PAIR_LIMIT", 36)
    assert len(read(tmp_path, aperio_layer(*layer, name="a")).regions) == 6
    monkeypatch.setattr("hviskd.annotations.layers.CUT_LIMIT_POINTS", 6 * 6 * 5 - 1)
    with pytest.raises(DataError, match="too many cut-out regions; export fewer"):
        read(tmp_path, aperio_layer(*layer, name="a"))
