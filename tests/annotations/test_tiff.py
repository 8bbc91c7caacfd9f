"""TIFF masks whose header says one thing and whose content another."""

import struct
import tracemalloc

import numpy as np
import pytest
import tifffile
from PIL import Image

from hviskd.annotations import colours
from hviskd.annotations.colours import TRANSPARENT
from hviskd.annotations.pixels import MaskPixels
from hviskd.errors import DataError
from tests.annotations.make import codes_of, read_codes

RGB = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_a_jpeg_piece_larger_than_its_place_is_refused_before_it_takes_memory(tmp_path):
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(64, 64), compression="jpeg")
    content = bytearray(path.read_bytes())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", 60_000, 60_000)  # 10 GB
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(DataError, match="a piece of 64 × 64 px contains a JPEG of 60000 × 60000 px"):
        list(MaskPixels(path).blocks())
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_a_large_strip_is_given_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(colours, "ROWS_AT_ONCE_PX", 1000)
    tifffile.imwrite(tmp_path / "m.tif", RGB, photometric="rgb", rowsperstrip=50, compression="lzw")
    blocks = list(MaskPixels(tmp_path / "m.tif").blocks())
    assert [row for row, _, _ in blocks] == [0, 15, 30, 45, 50]
    red = np.concatenate([codes for _, _, codes in blocks]) >> 16
    np.testing.assert_array_equal(red, RGB[..., 0])


def test_a_piece_that_claims_more_bytes_than_the_file_has_is_refused(tmp_path):
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", rowsperstrip=64, compression="zlib", bigtiff=True)
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[0].tags["StripByteCounts"]
    content = bytearray(path.read_bytes())
    content[tag.offset + 2 : tag.offset + 4] = struct.pack("<H", 16)
    content[tag.offset + 12 : tag.offset + 20] = struct.pack("<Q", 2**60)
    path.write_bytes(content)
    with pytest.raises(DataError, match="truncated"):
        read_codes(path)


def test_a_tag_that_claims_four_billion_values_is_not_read(tmp_path):
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[0].tags["TileOffsets"].offset + 4
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(struct.pack("<I", 2**32 - 1))
        stream.truncate(2**35)  # sparse: room for all that it claims
    tracemalloc.start()
    with pytest.raises(DataError, match="damaged header"):
        read_codes(path)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "jpeg"])
@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_a_file_cut_short_by_a_byte_is_refused_and_nothing_else_is_printed(tmp_path, capfd, compression, tile):
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", compression=compression, tile=tile, metadata=None)
    assert read_codes(path).shape == (64, 64)
    with tifffile.TiffFile(path) as tiff:
        end = max(map(sum, zip(tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts, strict=True)))
    content = path.read_bytes()
    for cut in (1, 2, 50):
        path.write_bytes(content[: end - cut])
        with pytest.raises(DataError, match="truncated"):
            read_codes(path)
    assert capfd.readouterr() == ("", "")


def test_a_damaged_strip_is_told_in_one_line_and_nothing_else_is_printed(tmp_path, capfd):
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", compression="lzw", rowsperstrip=64)
    with tifffile.TiffFile(path) as tiff:
        start, length = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[start + length // 2 : start + length] = b"\0" * (length - length // 2)
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a mask"):
        read_codes(path)
    assert capfd.readouterr() == ("", "")


def test_a_jpeg_piece_without_its_end_is_refused(tmp_path):
    """A decoder makes what is missing grey."""
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(64, 64), compression="jpeg")
    content = bytearray(path.read_bytes())
    end = content.rindex(b"\xff\xd9")
    content[end - 200 : end + 2] = bytes(202)
    path.write_bytes(content)
    with pytest.raises(DataError, match="truncated"):
        read_codes(path)


@pytest.mark.parametrize(("mode", "named"), [("CMYK", "CMYK"), ("LAB", "CIELAB"), ("YCbCr", "YCBCR")])
def test_a_picture_in_other_than_grey_palette_and_rgb_is_named_and_refused(tmp_path, mode, named):
    Image.fromarray(RGB).convert(mode).save(tmp_path / "m.tif")
    with pytest.raises(DataError, match=f"a {named} image; save it as RGB PNG"):
        read_codes(tmp_path / "m.tif")


def test_ycbcr_under_jpeg_is_read_in_rgb(tmp_path):
    plain = np.asarray(Image.new("RGB", (64, 64), (200, 51, 0)).convert("YCbCr"))
    tifffile.imwrite(tmp_path / "m.tif", plain, photometric="ycbcr", compression="jpeg")
    codes = read_codes(tmp_path / "m.tif")
    assert np.abs((codes >> 16) - 200).max() < 5
    assert np.abs((codes >> 8 & 255) - 51).max() < 5


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_a_fourth_sample_is_opacity_only_if_the_file_says_so(tmp_path, compression):
    pixels = np.dstack([RGB, np.zeros((64, 64), np.uint8)])
    path = tmp_path / "m.tif"
    for meaning in ("unassalpha", "assocalpha"):
        tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=[meaning], compression=compression)
        assert (read_codes(path) == TRANSPARENT).all()
    tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["unspecified"], compression=compression)
    np.testing.assert_array_equal(read_codes(path), codes_of(RGB))


@pytest.mark.parametrize("compression", [None, "lzw"])
def test_a_second_sample_of_grey_is_opacity_only_if_the_file_says_so(tmp_path, compression):
    pixels, path = np.dstack([RGB[..., 0], np.zeros((64, 64), np.uint8)]), tmp_path / "m.tif"
    options = {"photometric": "minisblack", "planarconfig": "contig", "compression": compression}
    tifffile.imwrite(path, pixels, extrasamples=["unassalpha"], **options)
    assert (read_codes(path) == TRANSPARENT).all()
    tifffile.imwrite(path, pixels, extrasamples=["unspecified"], **options)
    np.testing.assert_array_equal(read_codes(path) >> 16, RGB[..., 0])
    tifffile.imwrite(path, RGB, extrasamples=["unspecified"] * 2, **options)
    with pytest.raises(DataError, match="3 channels, but 1 are expected"):
        read_codes(path)


def test_a_thumbnail_before_the_picture_is_passed_over(tmp_path):
    path = tmp_path / "m.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(RGB[::4, ::4].copy(), photometric="rgb", subfiletype=1, metadata=None)
        tiff.write(RGB, photometric="rgb", tile=(32, 32), metadata=None)
        tiff.write(255 - RGB, photometric="rgb", metadata=None)
    assert MaskPixels(path).size == (64, 64)
    np.testing.assert_array_equal(read_codes(path), codes_of(RGB))
    tifffile.imwrite(path, RGB[::4, ::4].copy(), photometric="rgb", subfiletype=1)
    np.testing.assert_array_equal(read_codes(path), codes_of(RGB[::4, ::4]))


def test_the_planes_of_a_mask_in_several_pages_are_not_taken_for_grey(tmp_path):
    planes = np.zeros((3, 64, 96), np.uint8)
    tifffile.imwrite(tmp_path / "m.tif", planes, photometric="minisblack", compression="zlib")
    with pytest.raises(DataError, match="a TIFF of several grey images, perhaps red, green and blue"):
        MaskPixels(tmp_path / "m.tif")
