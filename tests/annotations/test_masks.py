import gc

import numpy as np
import pytest
import tifffile
from PIL import Image

from hviskd.annotations import Outlines, load_legend, read_annotation, write_mask
from hviskd.annotations.masks import read_mask
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


def drawn_by_numbers(dtype=np.uint8) -> np.ndarray:
    """Two squares of classes 1 and 2 on an empty 0."""
    numbers = np.zeros((400, 400), dtype)
    numbers[100:200, 100:200], numbers[100:200, 250:350] = 1, 2
    return numbers


def test_in_a_mask_of_class_numbers_the_empty_0_is_not_class_1(tmp_path):
    legend = load_legend(
        written(
            tmp_path, "classes:\n  - {name: tumour, colours: [[1, 1, 1]]}\n  - {name: stroma, colours: [[2, 2, 2]]}"
        )
    )
    annotation = read_annotation(save(tmp_path, drawn_by_numbers()), legend=legend)
    labels = annotation.rasterise(0, 0, 400, 400, 1)
    np.testing.assert_array_equal(labels, drawn_by_numbers().astype(int) - 1)
    assert annotation.remarks["px of them in colour #000000"] == 140_000


def test_of_a_legend_of_one_number_neither_the_empty_0_nor_another_class_counts(tmp_path):
    legend = load_legend(written(tmp_path, "classes:\n  - {name: tumour, colours: [[1, 1, 1]]}"))
    annotation = read_annotation(save(tmp_path, drawn_by_numbers()), legend=legend)
    assert ((annotation.rasterise(0, 0, 400, 400, 1) == 0) == (drawn_by_numbers() == 1)).all()
    assert annotation.remarks["px of them in colour #020202, near to tumour's but wide and in no legend"] == 10_000


def test_a_colour_that_stands_for_none_is_no_remark(tmp_path):
    listed = "classes:\n  - {name: tumour, colours: [[1, 1, 1]]}\n  - {name: stroma, colours: [[2, 2, 2]]}"
    legend = load_legend(written(tmp_path, f"{listed}\nnone: [[0, 0, 0]]"))
    annotation = read_annotation(save(tmp_path, drawn_by_numbers()), legend=legend)
    assert (annotation.rasterise(0, 0, 400, 400, 1) == drawn_by_numbers().astype(int) - 1).all()
    assert not annotation.remarks


def written(tmp_path, text):
    path = tmp_path / "legend.yaml"
    path.write_text(f"name: l\n{text}\n")
    return path


def indexed(numbers) -> Image.Image:
    """Give an indexed picture, as QuPath exports labels, with colours that have nothing to do with the numbers."""
    image = Image.fromarray(numbers).convert("P")
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tolist())
    return image


def red_alone(numbers) -> np.ndarray:
    """As PANDA has its masks."""
    return np.dstack([numbers, np.zeros_like(numbers), np.zeros_like(numbers)])


IN_8_BITS = ("png", "rgb", "red", "indexed", "indexed.tif", "raw", "zlib", "lzw", "tiled", "big")
IN_16_BITS = ("png", "raw", "zlib", "lzw", "tiled", "big")


@pytest.mark.parametrize(("shape", "last"), [*((s, 2) for s in IN_8_BITS), *((s, 700) for s in IN_16_BITS)])
def test_class_numbers_are_read_however_they_are_stored(tmp_path, shape, last):
    numbers = drawn_by_numbers(np.uint8 if last < 256 else np.uint16)
    numbers[numbers == 2] = last
    path = tmp_path / ("mask.png" if shape in ("png", "rgb", "red", "indexed") else "mask.tif")
    tiff = {
        "raw": {},
        "zlib": {"compression": "zlib", "predictor": True},
        "lzw": {"compression": "lzw", "predictor": True, "rowsperstrip": 70},
        "tiled": {"tile": (64, 64), "compression": "lzw", "byteorder": ">"},
        "big": {"bigtiff": True, "byteorder": ">"},
    }
    if shape in tiff:
        tifffile.imwrite(path, numbers, photometric="minisblack", **tiff[shape])
    elif shape.startswith("indexed"):
        indexed(numbers).save(path)
    else:
        pixels = {"rgb": lambda n: np.dstack([n, n, n]), "red": red_alone, "png": lambda n: n}[shape](numbers)
        Image.fromarray(pixels).save(path)
    legend = load_legend(written(tmp_path, f"numbers: {{1: tumour, {last}: stroma}}"))
    annotation = read_annotation(path, legend=legend, size=(400, 400))
    labels = annotation.rasterise(0, 0, 400, 400, 1)
    expected = np.select([numbers == 1, numbers == last], [0, 1], -1)
    np.testing.assert_array_equal(labels, expected)
    assert annotation.classes == ("tumour", "stroma")
    assert not annotation.remarks


def test_numbers_that_the_legend_lacks_are_told_and_those_of_a_foreign_mask_refused(tmp_path):
    legend = load_legend(written(tmp_path, "numbers: {1: tumour}"))
    annotation = read_annotation(save(tmp_path, drawn_by_numbers()), legend=legend)
    assert annotation.remarks == {"px (6.25%) in 1 numbers without a class": 10_000, "px of them in number 2": 10_000}
    legend = load_legend(written(tmp_path, "numbers: {7: tumour, 9: stroma}"))
    with pytest.raises(
        DataError, match=r"no px of it has a number of legend l \(7, 9\); choose the legend of this mask"
    ):
        read_annotation(save(tmp_path, drawn_by_numbers()), legend=legend)
    pixels = red_alone(drawn_by_numbers())
    pixels[:50] = (1, 9, 200)
    annotation = read_annotation(save(tmp_path, pixels), legend=load_legend(written(tmp_path, "numbers: {1: a, 2: b}")))
    assert annotation.remarks["px of them in colours, which are no numbers"] == 20_000


def test_class_numbers_in_a_jpeg_are_refused(tmp_path):
    legend = load_legend(written(tmp_path, "numbers: {1: tumour}"))
    with pytest.raises(DataError, match="class numbers in a JPEG, which is lossy"):
        read_annotation(save(tmp_path, drawn_by_numbers(), "jpg"), legend=legend)
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, drawn_by_numbers(), tile=(64, 64), compression="jpeg")
    with pytest.raises(DataError, match="class numbers in a JPEG, which is lossy"):
        read_annotation(path, legend=legend)


def test_sixteen_bits_under_a_legend_of_colours_are_refused_with_the_way_to_read_them(tmp_path):
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, drawn_by_numbers(np.uint16))
    for mask in (path, save(tmp_path, drawn_by_numbers(np.uint16))):
        with pytest.raises(DataError, match="give a legend with class numbers if it contains these"):
            read_annotation(mask, legend=LEGEND)


def test_a_mask_written_by_numbers_holds_them(tmp_path):
    legend = load_legend(written(tmp_path, "numbers: {0: a, 2: b, 200: c}"))
    annotation = Outlines.of(blobs(40), legend=legend, size=(200, 160))
    path = write_mask(annotation, tmp_path / "m.png", legend)
    labels = annotation.rasterise(0, 0, 200, 160, 1)
    stored = np.asarray(Image.open(path))
    np.testing.assert_array_equal(stored, np.array([0, 2, 200, 1])[labels])
    np.testing.assert_array_equal(read_annotation(path, legend=legend).rasterise(0, 0, 200, 160, 1), labels)
    too_high = load_legend(written(tmp_path, "numbers: {1: a, 2: b, 300: c}"))
    with pytest.raises(DataError, match="numbers over 255"):
        write_mask(annotation, tmp_path / "m.png", too_high)


def test_a_wide_colour_near_to_a_class_but_in_no_legend_has_no_class(tmp_path):
    pixels = coloured(blocks())
    pixels[:40] = LEGEND.colours[LEGEND.index("CT")] + np.array([0, 0, 12], np.uint8)
    annotation = read_annotation(save(tmp_path, pixels), legend=LEGEND)
    assert (annotation.rasterise(0, 0, 120, 40, 1) == -1).all()
    assert annotation.remarks["px of them in colour #05D010, near to CT's but wide and in no legend"] == 4800
    np.testing.assert_array_equal(annotation.rasterise(0, 40, 120, 80, 1), blocks()[40:])


def test_what_a_jpeg_makes_of_a_colour_keeps_its_class(tmp_path):
    labels = blocks(side=100)
    for quality in (50, 90):
        annotation = read_annotation(save(tmp_path, coloured(labels), "jpg", quality=quality), legend=LEGEND)
        inside = np.tile(np.pad(np.ones((68, 68), bool), 16), (6, 6))
        assert (annotation.rasterise(0, 0, 600, 600, 1)[inside] == labels[inside]).all()


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


@pytest.mark.slow
def test_what_a_damaged_mask_took_is_given_back_at_once(tmp_path):
    path = tmp_path / "m.png"
    Image.new("1", (3000, 3000)).save(path)
    path.write_bytes(path.read_bytes()[:-60])
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(DataError):
            read_mask(path, LEGEND)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        # No ring that only the collector could find; those of other threads hold nothing of ours.
        assert not [found for found in gc.garbage if isinstance(found, np.ndarray | DataError)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
