"""What was drawn in another program lies where it was drawn, on a slide of which only a part was scanned."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hviskd.annotations import read_annotation
from hviskd.cli.app import app
from hviskd.cutting import CutSettings, cut_slides
from hviskd.slides import open_slide
from tests.annotations.make import save
from tests.annotations.make_xml import (
    aperio,
    aperio_layer,
    aperio_region,
    asap,
    asap_annotation,
    box,
    halo,
    halo_region,
)
from tests.annotations.test_coco import data_set, drawn, image
from tests.slides.make import stained, write_scn

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


@pytest.mark.parametrize("name", DRAWN)
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
