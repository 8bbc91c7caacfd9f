"""A slide's own JPEG tiles: the pixels that `read` gives, whole in themselves, without notes."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from hviskd.slides import open_slide
from hviskd.slides.stored_jpeg import is_sound, whole_jpeg
from tests.slides.make import patterned, write_svs
from tests.slides.profiles import ADOBE, matrix_profile


def pixels(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


@pytest.fixture(params=["svs, RGB", "svs, YCbCr", "tiff, YCbCr"])
def slide(request, tmp_path):
    kind, colours = request.param.split(", ")
    image, path = patterned(700, 500, seed=3, grain_px=12), tmp_path / f"slide.{kind}"
    if colours == "RGB":
        write_svs(path, image, tile=240, factor=4, levels=2)
    else:
        said = "Aperio Image Library v12\r\n700x500 (240x240) of test|AppMag = 20|MPP = 0.5" if kind == "svs" else None
        size = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"} if kind == "tiff" else {}
        with tifffile.TiffWriter(path) as writer:
            writer.write(
                image, tile=(240, 240), photometric="ycbcr", compression="jpeg", subsampling=(2, 2), description=said,
                metadata=None, **size,
            )  # fmt: skip
    with open_slide(path) as slide:
        yield slide


def test_each_whole_tile_is_what_read_gives(slide):
    for level, (width, height, downsample) in enumerate(slide.levels):
        side = slide.jpeg_tile_px(level)
        assert side == 240
        for row in range(height // side):
            for column in range(width // side):
                tile = slide.jpeg_tile(level, column, row)
                corner = column * side * downsample, row * side * downsample
                read = slide.read(*corner, side, side, slide.mpp * downsample)
                assert np.array_equal(pixels(tile), read)


def test_one_that_is_converted_or_stored_in_another_way_has_none(tmp_path):
    converted = write_svs(tmp_path / "icc.svs", patterned(300, 300), icc=matrix_profile(ADOBE, 2.2, "Adobe"))
    plain = write_svs(tmp_path / "plain.svs", patterned(300, 300), quality=None)
    Image.fromarray(patterned(300, 300)).save(tmp_path / "flat.png")
    for slide, tile_px in (
        (open_slide(converted), 256),
        (open_slide(converted, icc=True), None),
        (open_slide(plain), None),
        (open_slide(tmp_path / "flat.png", slide_mpp=0.5), None),
    ):
        with slide:
            assert slide.jpeg_tile_px(0) == tile_px
            assert (slide.jpeg_tile(0, 0, 0) is None) == (tile_px is None)


def test_a_damaged_tile_is_not_handed_out(tmp_path):
    path = write_svs(tmp_path / "slide.svs", patterned(300, 300), levels=1)
    with open_slide(path) as slide, tifffile.TiffFile(path) as file:
        place = file.pages[0].dataoffsets[0] + file.pages[0].databytecounts[0] // 2
        with path.open("r+b") as stream:
            stream.seek(place)
            stream.write(b"\xff\xd8")
        assert slide.jpeg_tile(0, 0, 0) is None
        assert slide.jpeg_tile(0, 1, 0) is not None


def test_notes_and_what_follows_the_image_are_left_out():
    stream = io.BytesIO()
    image = Image.fromarray(patterned(64, 64))
    image.save(stream, "JPEG", comment=b"Jane Doe", exif=b"Exif\0\0Jane Doe", icc_profile=b"Jane Doe")
    whole = whole_jpeg(stream.getvalue() + b"Jane Doe", b"", "YCBCR")
    assert b"Jane" in stream.getvalue()
    assert b"Jane" not in whole
    assert is_sound(whole, 64, 64)
    assert np.array_equal(pixels(whole), pixels(stream.getvalue()))


def jpeg(width=64, height=48, mode="RGB", **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(patterned(width, height)).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def test_an_ordinary_jpeg_is_sound():
    assert is_sound(jpeg(), 64, 48)
    assert is_sound(jpeg(subsampling=0, optimize=True, comment=b"a note"), 64, 48)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        jpeg()[:-2],
        jpeg()[: len(jpeg()) // 2],
        jpeg()[: len(jpeg()) // 2] + b"\xff\xd9" + jpeg()[len(jpeg()) // 2 :],  # ends too early
        jpeg(width=65),
        jpeg(mode="L"),
        jpeg(mode="CMYK"),
        jpeg(progressive=True),
        jpeg(restart_marker_rows=1),
        jpeg().replace(struct.pack(">BHH", 8, 48, 64), struct.pack(">BHH", 8, 65500, 65500)),
        b"\xff\xd8\xff\xe0\x00\x00" * 20,
    ],
)
def test_another_size_kind_or_end_is_not(data):
    assert not is_sound(data, 64, 48)
