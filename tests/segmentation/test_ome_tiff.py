import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import ome_types
import pytest
import tifffile
import xmlschema
from hypothesis import given, settings
from PIL import Image

from hviskd.segmentation import SlideMap
from hviskd.segmentation.ome_tiff import write_ome_tiff, write_probability_tiff

from .make import CLASSES, COLOURS, map_card
from .maps import map_of, maps, no_tiles, random_map

OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"
WRITERS = [write_ome_tiff, write_probability_tiff]


@pytest.fixture(scope="module")
def large():
    """A map of 300 × 700 cells, which takes three levels."""
    return random_map(300, 700, density=0.6)


@pytest.fixture(scope="module")
def schema():
    """What the Open Microscopy Environment publishes of OME-XML, as it comes with ome-types."""
    return xmlschema.XMLSchema(Path(ome_types.__file__).with_name("ome-2016-06.xsd"))


def levels_of(path):
    with tifffile.TiffFile(path) as tiff:
        (series,) = tiff.series
        return [level.asarray() for level in series.levels]


def xml_of(path):
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        return ET.fromstring(tiff.ome_metadata)


def probability_of(stored):
    """What the file's description says: 1 + 65534 p, and 0 for no tile."""
    return np.where(stored == 0, np.nan, (stored.astype(float) - 1) / 65534)


@given(maps())
@settings(max_examples=25)
def test_every_cell_is_read_back(tmp_path_factory, some):
    folder = tmp_path_factory.mktemp("map")
    classes = levels_of(write_ome_tiff(some, folder / "classes.ome.tiff"))[0]
    np.testing.assert_array_equal(classes, some.class_grid() if some.class_grid().size else [[255]])
    stored = levels_of(write_probability_tiff(some, folder / "probabilities.ome.tiff"))[0]
    expected = np.moveaxis(some.grid(), -1, 0)
    if expected.size:
        np.testing.assert_allclose(probability_of(stored), expected, atol=0.51 / 65534)


@pytest.mark.slow
@pytest.mark.parametrize("write", WRITERS)
def test_the_xml_keeps_to_its_schema(tmp_path, large, schema, write):
    with tifffile.TiffFile(write(large, tmp_path / "map.ome.tiff")) as tiff:
        schema.validate(tiff.ome_metadata)


@pytest.mark.parametrize("write", WRITERS)
def test_the_pyramid_halves_in_tiles_of_256_and_says_which_images_are_reduced(tmp_path, large, write):
    with tifffile.TiffFile(write(large, tmp_path / "map.ome.tiff")) as tiff:
        (series,) = tiff.series
        assert [level.shape[-2:] for level in series.levels] == [(300, 700), (150, 350), (75, 175)]
        for page in (frame.aspage() for frame in tiff.pages):
            assert page.subfiletype == 0
            assert [sub.subfiletype for sub in page.pages] == [1, 1]
            for each in (page, *page.pages):
                assert (each.tilewidth, each.tilelength) == (256, 256)


@pytest.mark.parametrize("write", WRITERS)
def test_its_px_are_as_large_as_the_step_of_the_grid(tmp_path, large, write):
    path = write(large, tmp_path / "map.ome.tiff")
    root = xml_of(path)
    pixels = root.find(f"{OME}Image/{OME}Pixels")
    assert float(pixels.get("PhysicalSizeX")) == float(pixels.get("PhysicalSizeY")) == 16.0
    assert pixels.get("PhysicalSizeXUnit") == pixels.get("PhysicalSizeYUnit") == "µm"
    assert (pixels.get("SizeX"), pixels.get("SizeY")) == ("700", "300")
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        for level, each in enumerate((page, *page.pages)):
            across, down = each.get_resolution("MICROMETER")
            assert 1 / across == pytest.approx(16.0 * 2**level)
            assert across == down


def test_with_overlap_a_px_is_a_step_and_not_a_tile(tmp_path):
    root = xml_of(write_ome_tiff(random_map(5, 5, stride_px=8), tmp_path / "map.ome.tiff"))
    assert root.find(f"{OME}Image/{OME}Pixels").get("PhysicalSizeX") == "4.0"


def test_classes_open_in_their_colours(tmp_path):
    path = write_ome_tiff(map_of([[0, 1], [2, -1]]), tmp_path / "classes.ome.tiff")
    with Image.open(path) as image:
        shown = np.asarray(image.convert("RGB"))
    assert [tuple(colour) for colour in shown.reshape(-1, 3).tolist()] == [*COLOURS, (255, 255, 255)]


def test_the_classes_file_names_its_values(tmp_path):
    names = ("a & b", 'quote "<', "bell \x07 ü")
    root = xml_of(write_ome_tiff(map_of([[0, 1]], classes=names), tmp_path / "classes.ome.tiff"))
    entries = {entry.get("K"): entry.text for entry in root.iter(f"{OME}M")}
    assert entries == {"0": "a & b", "1": 'quote "<', "2": "bell   ü", "255": "no tile"}


def test_a_probability_is_a_channel_of_its_classs_name_and_hue(tmp_path):
    path = write_probability_tiff(
        map_of([[0, 1]], colours=((5, 5, 5), (0, 0, 0), (0, 60, 30))), tmp_path / "p.ome.tiff"
    )
    root = xml_of(path)
    channels = list(root.iter(f"{OME}Channel"))
    assert [channel.get("Name") for channel in channels] == list(CLASSES)
    rgba = [int(channel.get("Color")) % 2**32 for channel in channels]
    assert [f"{colour:08x}" for colour in rgba] == ["ffffffff", "ffffffff", "00ff80ff"]
    assert "65534" in root.find(f"{OME}Image/{OME}Description").text


def test_the_xml_keeps_the_order_that_its_schema_asks_for(tmp_path, large):
    root = xml_of(write_probability_tiff(large, tmp_path / "p.ome.tiff"))
    (image,) = root.findall(f"{OME}Image")
    assert [child.tag for child in image] == [f"{OME}Description", f"{OME}Pixels"]
    assert [child.tag for child in image.find(f"{OME}Pixels")] == [f"{OME}Channel"] * 3 + [f"{OME}TiffData"]
    root = xml_of(write_ome_tiff(large, tmp_path / "c.ome.tiff"))
    assert [child.tag for child in root] == [f"{OME}Image", f"{OME}StructuredAnnotations"]
    kept = [child.tag for child in root.find(f"{OME}Image")]
    assert kept == [f"{OME}Description", f"{OME}Pixels", f"{OME}AnnotationRef"]
    ids = [element.get("ID") for element in root.iter(f"{OME}MapAnnotation")]
    assert ids == [element.get("ID") for element in root.iter(f"{OME}AnnotationRef")]


def test_a_smaller_level_has_the_commonest_class_and_the_mean_of_what_there_is(tmp_path, large):
    classes = levels_of(write_ome_tiff(large, tmp_path / "c.ome.tiff"))
    shares = [probability_of(level) for level in levels_of(write_probability_tiff(large, tmp_path / "p.ome.tiff"))]
    for row, column in np.random.default_rng(0).integers(0, (150, 350), (300, 2)):
        square = slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2)
        votes = [value for value in classes[0][square].ravel().tolist() if value != 255]
        found = classes[1][row, column]
        assert votes.count(found) == max(map(votes.count, votes)) if votes else found == 255
        for share in range(len(CLASSES)):
            under = shares[0][share][square]
            expected = np.nan if np.isnan(under).all() else np.nanmean(under)
            np.testing.assert_allclose(shares[1][share, row, column], expected, atol=2e-5)


def test_an_odd_side_loses_no_cell(tmp_path):
    some = random_map(259, 3, density=1.0)
    assert [level.shape for level in levels_of(write_ome_tiff(some, tmp_path / "c.ome.tiff"))] == [(259, 3), (130, 2)]


@pytest.mark.parametrize("write", WRITERS)
def test_the_same_map_gives_the_same_bytes(tmp_path, write):
    some = random_map(5, 6)
    assert write(some, tmp_path / "a.ome.tiff").read_bytes() == write(some, tmp_path / "b.ome.tiff").read_bytes()


@pytest.mark.parametrize("write", WRITERS)
def test_a_slide_smaller_than_a_tile_gives_one_empty_px(tmp_path, write):
    some = SlideMap(map_card(slide_width_px=10), *no_tiles())
    image = levels_of(write(some, tmp_path / "map.ome.tiff"))[0]
    assert image.shape[-2:] == (1, 1)
    assert (image == (255 if write is write_ome_tiff else 0)).all()
