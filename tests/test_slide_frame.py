"""What was drawn on a slide of which only a part was scanned lies where it was drawn, whoever counted its px."""

import json

import numpy as np
import pandas as pd
import pytest
import shapely
from PIL import Image
from shapely import box
from typer.testing import CliRunner

from hviskd.annotations import load_legend, read_annotation, write_geojson, write_labelme, write_mask
from hviskd.annotations.annotation import Outlines, Region
from hviskd.cli.app import app
from hviskd.cutting import CutSettings, cut_slides
from hviskd.errors import DataError
from hviskd.segmentation import MapCard
from hviskd.slide_frame import Placement, SlideFrame
from hviskd.slides import open_slide
from tests.segmentation.make import map_card, write_model
from tests.slides.make import stained, write_scn

pytestmark = pytest.mark.usefixtures("unpainted")
PLANE, ORIGIN, SCAN, BORDER = (1000, 900), (210, 170), (512, 384), 256
LEGEND = """
name: two
classes:
  - {name: pale, colours: [[255, 0, 0]]}
  - {name: rich, colours: [[0, 0, 255]]}
"""


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, " ".join((result.output + str(result.exception or "")).split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A slide whose scan is pale left of its middle and rich right of it."""
    folder = tmp_path_factory.mktemp("frame")
    image = np.hstack([stained((SCAN[1], BORDER), 0.3, 0.7), stained((SCAN[1], SCAN[0] - BORDER), 1.6, 0.7, seed=1)])
    write_scn(folder / "slides" / "S.scn", image, origin_px=ORIGIN, plane_px=PLANE)
    (folder / "legend.yaml").write_text(LEGEND)
    return folder


def halves(x_px=0, y_px=0, size=SCAN):
    """Outline both halves of the scan, which begins at a px of an image of some size."""
    left = box(x_px, y_px, x_px + BORDER, y_px + SCAN[1])
    right = box(x_px + BORDER, y_px, x_px + SCAN[0], y_px + SCAN[1])
    return Outlines.of([Region("pale", left), Region("rich", right)], size=size)


def as_mask(outlines, path, reduced=1):
    return write_mask(outlines, path, load_legend(path.parents[2] / "legend.yaml"), px_per_cell=reduced)


DRAWN = {  # in QuPath and Labelme on the scan, or on the plane
    "S.geojson": lambda path: write_geojson(halves(), path),
    "plane/S.geojson": lambda path: write_geojson(halves(*ORIGIN, PLANE), path),
    "scan/S.json": lambda path: write_labelme(halves(), path, image_path="S.png"),
    "plane/S.json": lambda path: write_labelme(halves(*ORIGIN, PLANE), path, image_path="S.png"),
    "scan/S.png": lambda path: as_mask(halves(), path),
    "eighth/S.png": lambda path: as_mask(halves(), path, 8),
    "plane/S.png": lambda path: as_mask(halves(*ORIGIN, PLANE), path),
    "tenth/S.png": lambda path: as_mask(halves(*ORIGIN, PLANE), path, 10),
}


@pytest.fixture
def drawn(folder, tmp_path):
    (tmp_path / "legend.yaml").write_text(LEGEND)

    def draw(name):
        path = tmp_path / ("drawn/" + name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return DRAWN[name](path)

    return draw


@pytest.mark.slow
@pytest.mark.parametrize("name", ["S.geojson", "plane/S.geojson", "plane/S.json", "eighth/S.png"])
def test_tiles_are_cut_where_they_were_drawn(folder, drawn, tmp_path, name):
    path = drawn(name)
    settings = CutSettings(tile_px=64, min_tissue=0, no_crop=name == "plane/S.geojson")
    tiles = cut_slides(
        folder / "slides", tmp_path / "tiles", annotations=path.parent, legend=folder / "legend.yaml", settings=settings
    )
    seen = np.where(tiles.pixels.mean(axis=(1, 2, 3)) > 130, "pale", "rich")
    np.testing.assert_array_equal(seen, tiles.table["class"])
    assert np.bincount(tiles.labels).tolist() == [15, 15]  # all squares of the grid that lie within a half


@pytest.mark.slow
def test_a_map_agrees_wholly_with_its_own_file_for_qupath(folder, tmp_path):
    write_model(tmp_path / "model")
    request = (folder / "slides" / "S.scn", "-m", tmp_path / "model", "-o", tmp_path / "maps", "--engine", "torch")
    status, words = run("segment", *request)
    assert status == 0, words
    (own,) = tmp_path.glob("maps/*/*.geojson")
    left, top, right, bottom = shapely.total_bounds([region.geometry for region in read_annotation(own).regions])
    assert min(left, top) > -64  # tiles at the edge reach beyond the scan
    assert right < SCAN[0] + 64
    assert bottom < SCAN[1] + 64
    status, words = run("agree", tmp_path / "maps", "--annotations", own, "-o", tmp_path / "agreement")
    assert status == 0, words
    assert "from the corner of the scanned part, px 210, 170, as in QuPath" in words
    assert "pass --no-crop" in words
    assert set(dice(tmp_path / "agreement")) == {1.0}
    status, words = run("agree", tmp_path / "maps", "--annotations", own, "-o", tmp_path / "beside", "--no-crop")
    assert status == 0, words
    assert min(dice(tmp_path / "beside")) < 0.5


def dice(folder):
    return pd.read_csv(folder / "agreement.csv")["dice"].dropna()


def bounds(path):
    """Give the outer borders of the outlines in a file as they stand there, class by class."""
    regions = sorted(read_annotation(path).regions, key=lambda region: region.label)
    return [region.geometry.bounds for region in regions]


@pytest.mark.parametrize("name", DRAWN)
def test_converting_goes_there_and_back(folder, drawn, tmp_path, name):
    options = ["--slide", folder / "slides" / "S.scn", "--legend", folder / "legend.yaml"]
    for source, target, more in (
        (drawn(name), "mask.png", ["--no-crop"] if name == "plane/S.geojson" else []),
        (tmp_path / "mask.png", "qupath.geojson", []),
        (tmp_path / "qupath.geojson", "labelme.json", []),
        (tmp_path / "labelme.json", "plane.geojson", ["--no-crop"]),
    ):
        status, words = run("annotations", "convert", source, tmp_path / target, *options, *more)
        assert status == 0, words
    assert Image.open(tmp_path / "mask.png").size == PLANE
    blunt = 5 if name == "tenth/S.png" else 0
    for file, expected in (
        ("qupath.geojson", halves()),
        ("labelme.json", halves(*ORIGIN)),
        ("plane.geojson", halves(*ORIGIN)),
    ):
        np.testing.assert_allclose(
            bounds(tmp_path / file), [region.geometry.bounds for region in expected.regions], rtol=0, atol=blunt
        )


def refused(folder, path, **options):
    """Give the words in which a file is refused for the slide."""
    with open_slide(folder / "slides" / "S.scn") as slide, pytest.raises(DataError) as caught:
        read_annotation(path, legend=load_legend(folder / "legend.yaml"), frame=slide.frame(**options))
    return str(caught.value)


def test_a_file_whose_corner_cannot_be_known_is_refused(folder, drawn):
    labelme = drawn("scan/S.json")
    assert "the slide has 1000 × 900 px" in refused(folder, labelme, no_crop=True)
    document = json.loads(labelme.read_text())
    labelme.write_text(json.dumps(document | {"imageWidth": None, "imageHeight": None}))
    assert "may count from the slide's corner or from that of the scanned part, at px 210, 170" in refused(
        folder, labelme
    )
    labelme.write_text(json.dumps(document | {"imageWidth": 500, "imageHeight": 450}))
    assert "500 × 450 px, but the slide has 1000 × 900 px, of which 512 × 384 px were scanned" in refused(
        folder, labelme
    )


def test_a_mask_of_neither_shape_is_refused(folder, drawn):
    mask = drawn("scan/S.png")
    assert "does not have the shape of the slide, 1000 × 900 px; choose" in refused(folder, mask, no_crop=True)
    Image.new("P", (300, 300)).save(mask)
    assert "does not have the shape of the slide, 1000 × 900 px, of which 512 × 384 px" in refused(folder, mask)


@pytest.mark.parametrize("outlines", [halves(*ORIGIN, PLANE), halves(600, 0, PLANE)])
def test_outlines_that_cannot_count_from_the_scans_corner_are_refused(folder, tmp_path, outlines):
    words = refused(folder, write_geojson(outlines, tmp_path / "S.geojson"))
    assert "regions lie outside QuPath's image, which is the scanned part" in words
    assert "pass `no_crop=True` if they count from the slide's corner" in words


def test_a_mask_lies_at_the_scans_corner_for_every_window(folder, drawn):
    with open_slide(folder / "slides" / "S.scn") as slide:
        mask = read_annotation(drawn("eighth/S.png"), legend=load_legend(folder / "legend.yaml"), frame=slide.frame())
    expected = np.full((PLANE[1], PLANE[0]), -1)
    expected[170:554, 210:466], expected[170:554, 466:722] = 0, 1
    np.testing.assert_array_equal(mask.rasterise(0, 0, *PLANE, 1), expected)
    np.testing.assert_array_equal(mask.rasterise(-30, 160, 300, 60, 1)[:, 30:], expected[160:220, :270])
    x_px, y_px = np.array([0, 210, 440, 720, 900]), np.array([200] * 5)
    held = mask.hold_others(x_px, y_px, 40, np.array([0, 0, 0, 0, 0]))
    assert held.tolist() == [False, False, True, True, False]
    assert not mask.hold_others(x_px, np.array([600] * 5), 40, np.zeros(5, int)).any()


def frame(card):
    return MapCard.model_validate(card).frame()


def test_a_map_from_before_knows_the_corner_but_no_size():
    card = map_card(slide_origin_px=(100, 30)).model_dump()
    del card["slide_scan_size"]
    old = frame(card)
    assert old.outlines().to_level0((5, 6)).tolist() == [105, 36]
    assert old.image((640, 448)) == Placement()
    with pytest.raises(DataError, match="segment the slide again"):
        old.image((320, 224))


def test_where_both_parts_have_the_images_shape_full_resolution_and_whole_numbers_tell():
    frame = SlideFrame((2100, 2100), (300, 100), (1000, 1000))
    assert frame.image((1000, 1000)) == Placement(300, 100)
    assert frame.image((2100, 2100)) == Placement()
    assert frame.image((125, 125)) == Placement(300, 100, 8, 8)
    assert frame.image((263, 263)) == Placement(0, 0, 2100 / 263, 2100 / 263)
    for side in (50, 640):
        with pytest.raises(DataError, match="pass `no_crop=True` if it shows the whole slide"):
            frame.image((side, side))
