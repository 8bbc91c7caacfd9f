import gc

import numpy as np
import pytest
from PIL import Image

from hviskd.annotations import Outlines, load_legend, read_annotation, write_mask
from hviskd.annotations.masks import ColourDecoder, read_mask
from hviskd.errors import DataError
from tests.data import DATA, REAL, name, present

from .make import blobs

LEGEND = load_legend("ivygap")


def coloured(labels, legend=LEGEND, background=(255, 255, 255)) -> np.ndarray:
    """Paint a label image (−1 is background) in the legend's colours."""
    return np.array([*legend.colours, background], dtype=np.uint8)[labels]


def blocks(seed=0, cells=6, side=20) -> np.ndarray:
    labels = np.random.default_rng(seed).integers(0, len(LEGEND.names), (cells, cells))
    return labels.repeat(side, axis=0).repeat(side, axis=1)


def save(tmp_path, pixels, suffix="png", **options):
    path = tmp_path / f"mask.{suffix}"
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_an_exact_mask_gives_exactly_its_classes(tmp_path, suffix):
    labels = blocks()
    annotation = read_annotation(save(tmp_path, coloured(labels), suffix), legend=LEGEND)
    np.testing.assert_array_equal(annotation.rasterise(0, 0, 120, 120, 1), labels)
    assert annotation.classes == LEGEND.names
    assert not annotation.remarks


def test_a_jpeg_mask_gives_its_classes_but_for_the_borders(tmp_path):
    labels = blocks(side=40)
    path = save(tmp_path, coloured(labels), "jpg", quality=85)
    image = read_annotation(path, legend=LEGEND).rasterise(0, 0, 240, 240, 1)
    within = np.pad(np.zeros((24, 24), dtype=bool), 8, constant_values=True)  # chroma is stored in blocks of 16 px
    inner = ~np.tile(within, (6, 6))
    np.testing.assert_array_equal(image[inner], labels[inner])
    assert (image == labels).mean() > 0.8


def test_both_colours_of_the_perinecrotic_zone_are_it(tmp_path):
    pixels = np.array([[(67, 209, 248), (37, 209, 247), (40, 205, 250)]], dtype=np.uint8)
    image = read_annotation(save(tmp_path, pixels), legend=LEGEND).rasterise(0, 0, 3, 1, 1)
    assert (image == LEGEND.index("CTpnz")).all()


def test_colours_of_no_class_are_not_labelled_but_told_by_colour_and_area(tmp_path):
    pixels = coloured(blocks())
    pixels[:10, :30], pixels[50:58, :2], pixels[60:62, :2] = (128, 0, 128), (90, 90, 90), (40, 90, 40)
    annotation = read_annotation(save(tmp_path, pixels), legend=LEGEND)
    assert (annotation.rasterise(0, 0, 120, 120, 1)[:10, :30] == -1).all()
    assert annotation.remarks["px of them in colour #800080"] == 300
    assert annotation.remarks["px of them in colour #5A5A5A"] == 16
    assert "px of them in colour #285A28" not in annotation.remarks  # less than a thousandth of the mask
    assert 320 in annotation.remarks.values()


def test_the_tolerance_decides_how_far_a_colour_may_lie(tmp_path):
    pixels = np.full((4, 4, 3), (5, 208, 4), dtype=np.uint8)
    pixels[0, 0] = (5, 208, 19)
    path = save(tmp_path, pixels)
    for tolerance, expected in ((15, LEGEND.index("CT")), (14.9, -1)):
        annotation = read_annotation(path, legend=LEGEND, tolerance=tolerance)
        assert annotation.rasterise(0, 0, 1, 1, 1)[0, 0] == expected


def test_transparent_pixels_are_not_labelled_though_their_colour_is_known(tmp_path):
    """A transparent background is often stored as black, which is the colour of necrosis."""
    pixels = np.dstack([coloured(blocks()), np.full((120, 120), 255, dtype=np.uint8)])
    pixels[:40] = 0
    annotation = read_annotation(save(tmp_path, pixels), legend=LEGEND)
    assert (annotation.rasterise(0, 0, 120, 40, 1) == -1).all()
    assert annotation.remarks == {"px transparent, without a class": 4800}


def test_a_mask_smaller_than_its_slide_is_stretched_over_it(tmp_path):
    labels = blocks()
    annotation = read_annotation(save(tmp_path, coloured(labels)), legend=LEGEND, size=(1200, 1201))
    assert annotation.size == (1200, 1201)
    np.testing.assert_array_equal(annotation.rasterise(0, 0, 1200, 1200, 10), labels)
    assert annotation.rasterise(595, 305, 1, 1, 1)[0, 0] == labels[30, 59]


def test_a_mask_of_another_shape_than_its_slide_is_refused(tmp_path):
    with pytest.raises(DataError, match="120 × 120 px does not have the shape"):
        read_annotation(save(tmp_path, coloured(blocks())), legend=LEGEND, size=(1200, 900))


def test_a_picture_that_is_no_mask_of_this_legend_is_refused(tmp_path):
    with pytest.raises(DataError, match="census"):
        read_annotation(save(tmp_path, np.full((9, 9, 3), 128, dtype=np.uint8)), legend=LEGEND)


def test_a_mask_without_a_legend_is_refused(tmp_path):
    with pytest.raises(DataError, match="legend"):
        read_annotation(save(tmp_path, coloured(blocks())))


def test_the_nearest_colour_is_the_nearest():
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (500, 3))
    palette = [(entry.name, colour) for entry in LEGEND.classes for colour in entry.colours]
    classes, distances = ColourDecoder(LEGEND).nearest(colours @ (65536, 256, 1))
    for colour, index, distance in zip(colours, classes, distances, strict=True):
        away, name = min((float(np.linalg.norm(colour - other)), name) for name, other in palette)
        assert distance == pytest.approx(away)
        assert LEGEND.names[index] == name


@pytest.mark.parametrize("px_per_cell", [1, 2.5, 8])
def test_a_written_mask_is_read_back_as_the_same_label_image(tmp_path, px_per_cell):
    regions = blobs(40, labels=["LE", "CTmvp", "BG"])
    annotation = Outlines.of(regions, legend=LEGEND, size=(200, 160))
    path = write_mask(annotation, tmp_path / "m.png", LEGEND, px_per_cell=px_per_cell)
    back = read_annotation(path, legend=LEGEND, size=(200, 160))
    for mask in (annotation, back):
        assert mask.size == (200, 160)
    np.testing.assert_array_equal(
        back.rasterise(0, 0, 200, 160, px_per_cell), annotation.rasterise(0, 0, 200, 160, px_per_cell)
    )
    assert list(back.remarks) == ["px transparent, without a class"]


def test_a_mask_of_an_unknown_size_or_class_is_not_written(tmp_path):
    with pytest.raises(DataError, match="size"):
        write_mask(Outlines.of(blobs(3)), tmp_path / "m.png", LEGEND)
    with pytest.raises(DataError, match="no class 'a'"):
        write_mask(Outlines.of(blobs(3), size=(200, 200)), tmp_path / "m.png", LEGEND)
    assert not list(tmp_path.iterdir())


NUCLEI = present([DATA / "nuclei_mask.png", *sorted((REAL / "brain150" / "masks").rglob("*.png"))[::20]])


@pytest.mark.parametrize("path", NUCLEI, ids=name)
def test_masks_of_nuclei_are_read_pixel_for_pixel(tmp_path, path):
    (tmp_path / "l.yaml").write_text(
        "name: nuclei\nclasses:\n- {name: n, colours: [[255,255,255]]}\n- {name: o, colours: [[0,0,0]]}"
    )
    legend = load_legend(tmp_path / "l.yaml")
    image = read_annotation(path, legend=legend).rasterise(0, 0, 150, 150, 1)
    np.testing.assert_array_equal(image == 0, np.asarray(Image.open(path)) == 255)
    assert 0 < (image == 0).mean() < 1


def test_what_a_damaged_mask_took_is_given_back_at_once(tmp_path):
    path = tmp_path / "m.png"
    Image.new("1", (3000, 3000)).save(path)
    path.write_bytes(path.read_bytes()[:-60])
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(DataError):
            read_mask(path, LEGEND)
        assert not gc.collect()  # no ring of objects that only the collector could find
    finally:
        gc.enable()
