"""What was drawn in another program lies where it was drawn, on a slide of which only a part was scanned."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hviskd.annotations import read_annotation
from hviskd.cli.app import app
from hviskd.cutting import CutSettings, cut_slides
from hviskd.segmentation import load_slide_map
from hviskd.slides import open_slide
from tests.annotations.make import save
from tests.annotations.make_bulk import group, write_bulk
from tests.annotations.make_xml import (
    aperio,
    aperio_layer,
    aperio_region,
    asap,
    asap_annotation,
    box,
    halo,
    halo_region,
    ndpa,
    ndpa_freehand,
)
from tests.annotations.test_coco import data_set, drawn, image
from tests.segmentation.make import write_model
from tests.slides.make import stained, write_scn
from tests.slides.make_glass import write_dicom, write_ndpi

pytestmark = pytest.mark.usefixtures("unpainted")
PLANE, ORIGIN, SCAN, NM = (1000, 900), (210, 170), (512, 384), 320
LEFT, RIGHT = box(210, 170, 466, 554), box(466, 170, 722, 554)  # the halves of the scan, px of the plane
LEGEND = "name: two\nclasses:\n  - {name: pale, colours: [[255, 0, 0]]}\n  - {name: rich, colours: [[0, 0, 255]]}\n"


def flat(points, x_px=0, y_px=0, scale=1):
    """The corners of a box as COCO lists them, in px of an image that begins somewhere on the plane."""
    return [value for x, y in points[:4] for value in ((x - x_px) / scale, (y - y_px) / scale)]


def coco(size, **place):
    """A COCO file of several slides, of which the second is the one that is cut."""
    halves = [drawn([flat(LEFT, **place)], 2, 7), drawn([flat(RIGHT, **place)], 2, 8), drawn([[0, 0, 9, 9, 0, 9]], 1)]
    images = [image(1, "S1.scn"), image(2, "train/S.png", size)]
    return data_set(*halves, images=images, categories=("pale", "rich"))


DRAWN = {
    "instances.json": coco(PLANE),
    "coco/scan.json": coco(SCAN, x_px=210, y_px=170),
    "coco/fourth.json": coco((128, 96), x_px=210, y_px=170, scale=4),
    "S.xml": aperio(
        aperio_layer(aperio_region(LEFT[:3:2], kind="1"), name="Pale"),
        aperio_layer(aperio_region(RIGHT), name="", description="rich", number=2),
    ),
    "S.scn.xml": asap(asap_annotation(LEFT, group="pale"), asap_annotation(RIGHT[:4], group="rich", kind="Rectangle")),
    "S.annotations": halo(pale=[halo_region(LEFT)], rich=[halo_region(RIGHT[:3:2], kind="Rectangle")]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A slide whose scan is pale left of its middle and rich right of it."""
    folder = tmp_path_factory.mktemp("other")
    image = np.hstack([stained((SCAN[1], 256), 0.3, 0.7), stained((SCAN[1], 256), 1.6, 0.7, seed=1)])
    write_scn(folder / "slides" / "S.scn", image, origin_px=ORIGIN, plane_px=PLANE, nm=NM)
    save(folder / "legend.yaml", LEGEND)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["instances.json", "coco/fourth.json", "S.scn.xml"])
def test_tiles_are_cut_where_they_were_drawn(folder, tmp_path, name):
    file = tmp_path / "drawn" / name
    file.parent.mkdir(parents=True)
    save(file, DRAWN[name])
    tiles = cut_slides(
        folder / "slides",
        tmp_path / "tiles",
        annotations=file if name.startswith("coco") else file.parent,
        legend=folder / "legend.yaml",
        settings=CutSettings(tile_px=64, mpp=NM / 1000, min_tissue=0),
    )
    seen = np.where(tiles.pixels.mean(axis=(1, 2, 3)) > 130, "pale", "rich")
    np.testing.assert_array_equal(seen, tiles.table["class"])
    assert np.bincount(tiles.labels).tolist() == [15, 15]  # all squares of the grid that lie within a half


HALVES = [box(0, 0, 256, 384), box(256, 0, 512, 384)]  # of the scan, px of a slide that is no more than it


def nm_on_glass(points):
    """Nm from the centre of the glass, on which the centre of the slide of 420 by 422 nm lies as written below."""
    return [((x - 256) * 420 + 3_456_789, (y - 192) * 422 - 9_876_543) for x, y in points]


def mm_on_glass(points):
    """Mm in the coordinates of the slide below, where x runs up it and y to its left; px count from their corner."""
    return [(14.5 - (y - 0.5) * 4.2e-4, 33.25 - (x - 0.5) * 4.2e-4, 0.0) for x, y in points[:4]]


def write_halves(folder, kind, classes=("pale", "rich")):
    """Write a slide that says where it lies on the glass, with its halves as NDP.view or highdicom write them."""
    image = np.hstack([stained((SCAN[1], 256), 0.3, 0.7), stained((SCAN[1], 256), 1.6, 0.7, seed=1)])
    if kind == "ndpa":
        write_ndpi(folder / "slides" / "S.ndpi", image, nm=(420, 422), centre_nm=(3_456_789, -9_876_543))
        states = [ndpa_freehand(nm_on_glass(half), title=label) for half, label in zip(HALVES, classes, strict=True)]
        (folder / "drawn").mkdir()
        return save(folder / "drawn" / "S.ndpi.ndpa", ndpa(*states))
    place = {"mm": (4.2e-4, 4.2e-4), "origin_mm": (14.5, 33.25), "turn": (0, -1, 0, -1, 0, 0)}
    slide = write_dicom(folder / "slides" / "S.dcm", image, **place)
    in_mm = kind == "mm"
    points = [mm_on_glass(half) if in_mm else half[:4] for half in HALVES]
    groups = [group(n, label, "POLYGON", [points[n - 1]]) for n, label in enumerate(classes, 1)]
    return write_bulk(folder / "drawn" / "S.dcm", slide, groups, in_mm=in_mm)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ndpa", "px", "mm"])
def test_what_counts_from_the_glass_lies_on_the_slide(tmp_path, kind):
    drawn = write_halves(tmp_path, kind)
    legend = save(tmp_path / "legend.yaml", LEGEND)
    settings = CutSettings(tile_px=64, mpp=0.421, min_tissue=0)
    tiles = cut_slides(
        tmp_path / "slides", tmp_path / "tiles", annotations=drawn.parent, legend=legend, settings=settings
    )
    seen = np.where(tiles.pixels.mean(axis=(1, 2, 3)) > 130, "pale", "rich")
    np.testing.assert_array_equal(seen, tiles.table["class"])
    assert min(np.bincount(tiles.labels)) >= 15
    (slide,) = (tmp_path / "slides").iterdir()
    words = ["annotations", "convert", drawn, tmp_path / "S.geojson", "--slide", slide]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    bounds = sorted(region.geometry.bounds for region in read_annotation(tmp_path / "S.geojson").regions)
    np.testing.assert_allclose(bounds, [(0, 0, 256, 384), (256, 0, 512, 384)], atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ndpa", "mm"])
def test_a_map_remembers_where_its_slide_lay_on_the_glass(tmp_path, kind):
    drawn = write_halves(tmp_path, kind, ("normal", "rim"))  # classes of the model
    write_model(tmp_path / "model")
    for words in (
        ["segment", tmp_path / "slides", "-m", tmp_path / "model", "-o", tmp_path / "maps", "--engine", "torch"],
        ["agree", tmp_path / "maps", "--annotations", drawn, "-o", tmp_path / "out"],
    ):
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == 0, result.output
    (compared,) = json.loads((tmp_path / "out" / "summary.json").read_text())["maps"]
    (map_folder,) = (tmp_path / "maps").glob("*/map.npz")
    slide_map = load_slide_map(map_folder.parent)
    on_scan = read_annotation(drawn, frame=slide_map.card.frame()).rasterise(0, 0, *SCAN, 1)
    assert [(on_scan == index).sum() for index in (0, 1)] == [256 * 384] * 2
    assert compared["cells_compared"] > 0


@pytest.mark.parametrize("name", DRAWN)
def test_converted_for_qupath_they_count_from_the_scan(folder, tmp_path, name):
    source, slide = save(tmp_path / Path(name).name, DRAWN[name]), folder / "slides" / "S.scn"
    words = ["annotations", "convert", source, tmp_path / "S.geojson", "--slide", slide]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    bounds = sorted(region.geometry.bounds for region in read_annotation(tmp_path / "S.geojson").regions)
    assert bounds == [(0, 0, 256, 384), (256, 0, 512, 384)]
    with open_slide(slide) as opened:
        assert opened.mpp == pytest.approx(NM / 1000)
        back = read_annotation(tmp_path / "S.geojson", frame=opened.frame()).rasterise(0, 0, *PLANE, 1)
        assert (back == read_annotation(source, frame=opened.frame(), slide="S.scn").rasterise(0, 0, *PLANE, 1)).all()
    assert [(back == index).sum() for index in (0, 1)] == [256 * 384] * 2
