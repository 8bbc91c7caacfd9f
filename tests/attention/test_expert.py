import json

import numpy as np
import pytest
import shapely
from PIL import Image

from hviskd.annotations import Legend, Region, write_geojson
from hviskd.annotations import Outlines as Drawn
from hviskd.attention import AttentionSettings, attend, measure_tile
from hviskd.attention.expert import Outlines
from hviskd.cutting import CutSettings, cut_slides
from hviskd.errors import DataError
from hviskd.slides import write_svs
from hviskd.tiles import TileSet, TileSetWriter, new_card, split_tiles
from hviskd.tiles.card import Origin
from tests.models.make import make_model
from tests.slides.make import stained


def tiles(folder, *files, side=40):
    """A TileSet whose tiles have these files, all of one class."""
    with TileSetWriter(folder, new_card(("a",), tile_px=side, mpp=0.5, origin=Origin(verb="test"))) as writer:
        for number, file in enumerate(files):
            writer.add(np.full((side, side, 3), number, np.uint8), file=file, class_name="a")
    return TileSet.open(folder)


def draw(path, side=40):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((side, side), np.uint8)
    mask[5:15, 10:30] = 1  # a mask of 0 and 1 looks black, and is none
    Image.fromarray(mask).save(path)
    return mask > 0


def test_masks_are_found_by_path_and_by_name(tmp_path):
    drawn = draw(tmp_path / "drawn" / "LGG" / "one.png")
    draw(tmp_path / "drawn" / "GBM" / "one.png")
    draw(tmp_path / "drawn" / "two.png")
    outlines = Outlines(tmp_path / "drawn", tiles(tmp_path / "t", "LGG/one.jpg", "GBM/two.png", "GBM/three.png"))
    first, second, third = map(outlines.of, range(3))
    assert outlines.drawn(range(3)).tolist() == [True, True, False]
    np.testing.assert_array_equal(first, drawn)
    assert second.sum() == 200
    assert third is None


def labelme(path, **labels):
    shapes = [{"label": label, "points": points, "shape_type": "polygon"} for label, points in labels.items()]
    document = {"shapes": shapes, "imageWidth": 40, "imageHeight": 40, "imagePath": "one.png"}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document))


def test_labelme_polygons_are_filled_and_with_a_legend_only_those_of_the_tile_s_class(tmp_path):
    box = [[10, 5], [30, 5], [30, 15], [10, 15]]
    labelme(tmp_path / "drawn" / "one.json", A=box, b=[[20, 0], [40, 0], [40, 40], [20, 40]])
    tileset = tiles(tmp_path / "t", "a/one.png")
    inside = draw(tmp_path / "mask.png")
    right = np.arange(40) >= 20
    np.testing.assert_array_equal(Outlines(tmp_path / "drawn", tileset).of(0), inside | right)
    legend = Legend(name="two", classes=[{"name": "b", "colours": [(0, 0, 1)]}, {"name": "a", "colours": [(0, 1, 0)]}])
    np.testing.assert_array_equal(Outlines(tmp_path / "drawn", tileset, legend).of(0), inside & ~right)
    with pytest.raises(DataError, match="legend one: has no class a"):
        Outlines(tmp_path / "drawn", tileset, Legend(name="one", classes=legend.classes[:1])).of(0)


def coco(path, *names, side=40):
    images = [{"id": n, "file_name": name, "width": side, "height": side} for n, name in enumerate(names)]
    box = {"segmentation": [], "bbox": [10, 5, 20, 10], "category_id": 1}
    drawn = [box | {"image_id": n} for n, name in enumerate(names) if "none" not in name]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": drawn, "categories": [{"id": 1, "name": "a"}]}))


def test_a_coco_file_outlines_many_tiles(tmp_path):
    folder = tmp_path / "drawn"
    drawn = draw(folder / "own" / "four.png")
    coco(folder / "instances.json", "LGG/one.png", "GBM/one.png", "two.jpg", "none.png", "four.png")
    files = ["LGG/one.png", "GBM/one.jpg", "GBM/two.png", "LGG/none.png", "LGG/three.png", "LGG/four.png"]
    tileset = tiles(tmp_path / "t", *files, "other/one.png", "a/two.png", "five.png")
    outlines = Outlines(folder, tileset)
    assert outlines.drawn(range(6)).tolist() == [True, True, True, False, False, True]
    np.testing.assert_array_equal(outlines.of(2), drawn)
    assert outlines.of(4) is None
    with pytest.raises(DataError, match="2 are called"):
        outlines.of(6)
    coco(folder / "more.json", "two.jpg")
    with pytest.raises(DataError, match=r"instances\.json and .*more\.json: both outline the tile a/two\.png"):
        Outlines(folder, tileset).of(7)
    coco(folder / "more.json", "five.png", side=50)
    assert Outlines(folder, tileset).of(8).sum() == 16 * 8  # drawn on a larger picture


def test_mistakes_name_the_file(tmp_path):
    folder, tileset = tmp_path / "drawn", tiles(tmp_path / "t", "two.png", "one.png")
    with pytest.raises(DataError, match="nowhere: no such folder"):
        Outlines(tmp_path / "nowhere", tileset)
    draw(folder / "one.png", side=50)
    with pytest.raises(DataError, match="no outline has the name of a tile or its slide, for example the tile two"):
        Outlines(folder, tileset).drawn([0])
    with pytest.raises(DataError, match=r"one.png: 50 × 50 px, not 40 px as the tiles"):
        Outlines(folder, tileset).drawn([1])
    draw(folder / "a" / "two.png")
    draw(folder / "b" / "two.png")
    with pytest.raises(DataError, match="both have the name of the tile two"):
        Outlines(folder, tileset).drawn([0])


LEGEND = Legend(
    name="two",
    classes=[{"name": "gland", "colours": [(200, 0, 0)]}, {"name": "stroma", "colours": [(0, 160, 0)]}],
)
GLANDS = (shapely.Point(150, 140).buffer(70), shapely.Point(333.3, 217.7).buffer(61.9))


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """Tiles of 40 px at 1 µm/px from a slide of 0.5 µm/px, and the outlines by which they were cut."""
    folder = tmp_path_factory.mktemp("cut")
    (folder / "slides").mkdir()
    (folder / "drawn").mkdir()
    write_svs(folder / "slides" / "S.1.svs", stained((320, 480), 0.6, 0.7, 0), mpp=0.5)
    regions = [Region("Stroma", shapely.box(0, 0, 480, 320)), *(Region("gland", gland) for gland in GLANDS)]
    write_geojson(Drawn.of(regions, size=(480, 320)), folder / "drawn" / "S.1.geojson")
    settings = CutSettings(tile_px=40, mpp=1.0, purity=0.6, min_tissue=0)
    cut_slides(folder / "slides", folder / "tiles", annotations=folder / "drawn", legend=LEGEND, settings=settings)
    split_tiles(folder / "tiles", by="random", val=0, test=0.5)
    return folder


def test_tiles_cut_from_a_slide_have_the_part_of_its_outlines_that_lies_in_their_field(cut):
    tileset = TileSet.open(cut / "tiles")
    outlines = Outlines(cut / "drawn", tileset, LEGEND)
    glands = shapely.union_all(GLANDS)
    partly = 0
    for row, tile in enumerate(tileset.table.to_dict("records")):
        centres = (np.arange(40) + 0.5) * tile["side_px"] / 40  # a tile px is two px of the slide
        x_px, y_px = np.meshgrid(tile["x_px"] + centres, tile["y_px"] + centres)
        in_gland = shapely.contains_xy(glands, x_px, y_px)
        np.testing.assert_array_equal(outlines.of(row), in_gland if tile["class"] == "gland" else ~in_gland)
        partly += 0 < in_gland.sum() < 1600
    assert set(tileset.table["class"]) == {"gland", "stroma"}
    assert partly >= 4
    assert Outlines(cut / "drawn", tileset).of(0).all()  # without a legend, stroma is outlined, too
    assert outlines.slides.without_slide == set()


def test_a_coco_file_outlines_many_slides(cut, tmp_path):
    tileset = TileSet.open(cut / "tiles")
    sides = {"width": 480, "height": 320}
    images = [{"id": n, "file_name": name, **sides} for n, name in enumerate(("other.svs", "S.1.svs"))]
    drawn = [{"image_id": 1, "category_id": 1, "segmentation": [], "bbox": [96, 62, 208, 132]}]
    document = {"images": images, "annotations": drawn, "categories": [{"id": 1, "name": "gland"}]}
    (tmp_path / "all.json").write_text(json.dumps(document))
    outlines = Outlines(tmp_path, tileset)
    for row, tile in enumerate(tileset.table.to_dict("records")):
        centres = (np.arange(40) + 0.5) * tile["side_px"] / 40
        x_px, y_px = np.meshgrid(tile["x_px"] + centres, tile["y_px"] + centres)
        inside = shapely.contains_xy(shapely.box(96, 62, 304, 194), x_px, y_px)
        np.testing.assert_array_equal(outlines.of(row), inside)
    (tmp_path / "all.json").write_text(json.dumps(document | {"images": images[:1], "annotations": []}))
    assert Outlines(tmp_path, tileset).of(0) is None


def test_outlines_of_slides_are_placed_by_the_slide_itself_where_it_is_still_there(cut, tmp_path):
    tileset = TileSet.open(cut / "tiles")
    expected = Outlines(cut / "drawn", tileset, LEGEND).of(0)
    mask = np.zeros((160, 240, 3), np.uint8)  # at half the slide's resolution: without it, nobody could tell
    mask[:] = (0, 160, 0)
    Image.fromarray(mask).save(tmp_path / "S.1_mask.png")
    assert Outlines(tmp_path, tileset, LEGEND).of(len(tileset) - 1).all()
    with pytest.raises(DataError, match="no outline has the name of a tile or its slide"):
        Outlines(tmp_path, tileset).drawn(range(len(tileset)))  # without a legend, a mask of a slide tells nothing
    (cut / "slides").rename(tmp_path / "moved")
    try:
        outlines = Outlines(cut / "drawn", tileset, LEGEND)
        np.testing.assert_array_equal(outlines.of(0), expected)
        assert outlines.slides.without_slide == {"S.1"}
        with pytest.raises(DataError, match=r"S\.1_mask\.png: a mask needs its slide, and .*S\.1\.svs is missing"):
            Outlines(tmp_path, tileset, LEGEND).of(0)
    finally:
        (tmp_path / "moved").rename(cut / "slides")


@pytest.mark.slow
def test_a_model_is_compared_with_the_outlines_that_its_tiles_were_cut_by(cut, tmp_path):
    tileset = TileSet.open(cut / "tiles")
    make_model(tmp_path / "model", tile_px=40, mpp=1.0, classes=("stroma", "gland"))
    settings = AttentionSettings(class_name="gland", legend=LEGEND)
    found = attend(tmp_path / "model", tileset, annotations=cut / "drawn", settings=settings)
    outlines = Outlines(cut / "drawn", tileset, LEGEND)
    assert set(found.classes) == {"gland"}
    for position, row in enumerate(found.rows.tolist()):
        expected = measure_tile(found.scaled(found.names[0], position), outlines.of(row))
        measured = found.comparison.tiles[found.comparison.tiles["tile"] == row].iloc[0]
        assert {name: measured[name] for name in expected} == pytest.approx(expected, nan_ok=True)
        np.testing.assert_array_equal(found.outline(position), outlines.of(row))
