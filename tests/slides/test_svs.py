"""A written SVS is an Aperio slide to OpenSlide, with the pixels it was given."""

import io
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from hviskd.errors import DataError
from hviskd.slides import open_slide, write_svs
from hviskd.synthesis import draw_patient, draw_tissue


@pytest.fixture(scope="module")
def tissue():
    class_map = np.repeat(np.array([1, 3, 4, 7]), 150)[None, :].repeat(333, 0)
    return draw_tissue(class_map, draw_patient(1), rng=np.random.default_rng(0))


def reduced(pixels, factor: int):
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    squares = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return squares.mean(axis=(1, 3))


def test_it_is_an_aperio_slide_of_three_levels_that_knows_its_mpp_and_magnification(tmp_path: Path, tissue):
    with open_slide(write_svs(tmp_path / "a.svs", tissue, mpp=0.25)) as slide:
        assert (slide.vendor, slide.magnification, slide.mpp, slide.notes) == ("aperio", 40, 0.25, ())
        assert [(level.width_px, level.height_px, level.downsample) for level in slide.levels] == [
            (600, 333, 1),
            (150, 83, 4),
            (37, 20, 16),
        ]
        slide.verify()


def test_the_thumbnail_is_found_and_is_no_level(tmp_path: Path, tissue):
    with openslide.OpenSlide(write_svs(tmp_path / "a.svs", tissue, mpp=0.5)) as slide:
        assert set(slide.associated_images) == {"thumbnail"}
        thumbnail = np.asarray(slide.associated_images["thumbnail"].convert("RGB"), float)
    assert thumbnail.mean(axis=(0, 1)) == pytest.approx(tissue.mean(axis=(0, 1)), abs=2)


def test_every_level_holds_the_pixels_within_the_error_of_the_jpeg(tmp_path: Path, tissue):
    path = write_svs(tmp_path / "a.svs", tissue, mpp=0.5)
    with openslide.OpenSlide(path) as slide:
        for level, factor in enumerate((1, 4, 16)):
            wanted = reduced(tissue, factor)
            got = np.asarray(slide.read_region((0, 0), level, wanted.shape[1::-1]).convert("RGB"), float)
            # Another encoder is the measure, at the same quality and with colours at half resolution as here.
            stream = io.BytesIO()
            Image.fromarray(np.rint(wanted).astype(np.uint8)).save(stream, "JPEG", quality=85, subsampling="4:2:0")
            other = np.asarray(Image.open(stream), float)
            assert np.abs(got - wanted).mean() < 1.05 * np.abs(other - wanted).mean()
            assert np.abs((got - wanted).mean()) < 0.5


def test_a_border_within_a_jpeg_block_is_as_good_as_the_middle(tmp_path: Path):
    pixels = np.full((101, 77, 3), 240, np.uint8)
    with open_slide(write_svs(tmp_path / "a.svs", pixels, mpp=0.5)) as slide:
        np.testing.assert_allclose(slide.read(0, 0, 77, 101).astype(int), 240, atol=1)


def test_a_higher_quality_is_nearer(tmp_path: Path, tissue):
    errors = []
    for quality in (60, 95):
        with open_slide(write_svs(tmp_path / f"{quality}.svs", tissue, mpp=0.5, quality=quality)) as slide:
            errors.append(np.abs(slide.read(0, 0, 600, 333).astype(int) - tissue).mean())
    assert errors[1] < 0.6 * errors[0]


def test_the_same_pixels_give_the_same_bytes(tmp_path: Path, tissue):
    first, again = (write_svs(tmp_path / name, tissue, mpp=0.5).read_bytes() for name in ("a.svs", "b.svs"))
    assert first == again


def test_tiles_are_jpeg_as_a_scanner_writes_them(tmp_path: Path, tissue):
    with tifffile.TiffFile(write_svs(tmp_path / "a.svs", tissue, mpp=0.5)) as file:
        pages = list(file.pages)
        assert file.is_svs
    assert [page.is_tiled for page in pages] == [True, False, True, True]
    assert {page.compression.name for page in pages} == {"JPEG"}
    assert {(page.tilewidth, page.tilelength) for page in pages if page.is_tiled} == {(256, 256)}


@pytest.mark.parametrize(
    ("pixels", "mpp"),
    [
        (np.zeros((15, 100, 3), np.uint8), 0.5),
        (np.zeros((100, 100), np.uint8), 0.5),
        (np.zeros((100, 100, 3), np.float32), 0.5),
    ],
)
def test_what_is_no_slide_is_refused_and_leaves_nothing(tmp_path: Path, pixels, mpp: float):
    with pytest.raises(DataError, match=r"a\.svs"):
        write_svs(tmp_path / "a.svs", pixels, mpp=mpp)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"mpp": 0.0}, "`mpp=0.0`: must be above 0"),
        ({"mpp": float("nan")}, "`mpp=nan`"),
        ({"mpp": 0.5, "quality": 0}, "`quality=0`: must be from 1 to 100"),
    ],
)
def test_an_absurd_number_is_refused_and_leaves_nothing(tmp_path: Path, numbers, message: str):
    with pytest.raises(DataError, match=message):
        write_svs(tmp_path / "a.svs", np.zeros((100, 100, 3), np.uint8), **numbers)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("quality", [0, 101])
def test_a_quality_that_no_jpeg_has_is_refused(tmp_path: Path, tissue, quality: int):
    with pytest.raises(DataError, match="1 to 100"):
        write_svs(tmp_path / "a.svs", tissue, mpp=0.5, quality=quality)
