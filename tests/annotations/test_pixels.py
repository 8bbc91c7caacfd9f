import io
import subprocess
import sys
import zlib
from itertools import product

import numpy as np
import pytest
import tifffile
from PIL import Image

from hviskd.annotations import jpeg
from hviskd.annotations.colours import TRANSPARENT
from hviskd.annotations.pixels import MaskPixels
from hviskd.errors import DataError
from tests.annotations.make import codes_of, read_codes
from tests.memory import PEAK_KIB, knows_its_peak

RGB = np.random.default_rng(0).integers(0, 256, (90, 130, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"tile": (64, 48)},
        {"tile": (64, 64), "compression": "zlib", "predictor": True},
        {"rowsperstrip": 7, "compression": "lzw"},
        {"tile": (32, 32), "compression": "lzw", "predictor": True},
        {"rowsperstrip": 9, "compression": "packbits"},
        {"rowsperstrip": 90, "compression": "deflate"},
        {"bigtiff": True, "byteorder": ">"},
    ],
)
def test_every_layout_of_tiff_gives_its_pixels(tmp_path, layout):
    tifffile.imwrite(tmp_path / "m.tif", RGB, photometric="rgb", **layout)
    np.testing.assert_array_equal(read_codes(tmp_path / "m.tif"), codes_of(RGB))


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_tiff_is_seen_as_it_is_shown(tmp_path, photometric):
    tifffile.imwrite(tmp_path / "m.tif", RGB[..., 0], photometric=photometric)
    shown = RGB[..., :1] if photometric == "minisblack" else 255 - RGB[..., :1]
    np.testing.assert_array_equal(read_codes(tmp_path / "m.tif"), codes_of(shown.repeat(3, axis=2)))


def test_bilevel_and_palette_tiff_are_seen_as_they_are_shown(tmp_path):
    pictures = (Image.fromarray(RGB[..., 0] > 99), Image.fromarray(RGB).quantize(50))
    for image, packing in product(pictures, (None, "tiff_lzw", "tiff_adobe_deflate", "packbits")):
        image.save(tmp_path / "m.tif", compression=packing)
        np.testing.assert_array_equal(read_codes(tmp_path / "m.tif"), codes_of(np.asarray(image.convert("RGB"))))


def test_transparent_pixels_of_a_tiff_show_nothing(tmp_path):
    image = Image.fromarray(RGB).convert("RGBA")
    image.putpixel((3, 4), (0, 0, 0, 0))
    image.save(tmp_path / "m.tif")
    assert np.argwhere(read_codes(tmp_path / "m.tif") == TRANSPARENT).tolist() == [[4, 3]]


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_decoded_as_pillow_does(tmp_path, mode, progressive):
    Image.fromarray(RGB).convert(mode).save(tmp_path / "m.jpg", progressive=progressive)
    expected = codes_of(np.asarray(Image.open(tmp_path / "m.jpg").convert("RGB")))
    np.testing.assert_array_equal(read_codes(tmp_path / "m.jpg"), expected)


def test_a_jpeg_comes_in_bands(tmp_path, monkeypatch):
    monkeypatch.setattr(jpeg, "ROWS_AT_ONCE_PX", 1000)
    Image.fromarray(RGB).save(tmp_path / "m.jpg")
    expected = codes_of(np.asarray(Image.open(tmp_path / "m.jpg")))
    np.testing.assert_array_equal(read_codes(tmp_path / "m.jpg"), expected)
    assert [row for row, _, _ in MaskPixels(tmp_path / "m.jpg").blocks()] == list(range(0, 90, 7))


@pytest.mark.slow
@knows_its_peak
def test_a_large_jpeg_is_never_held_whole(tmp_path):
    """Unpacked it would take 300 MB."""
    Image.new("RGB", (10_000, 10_000), (200, 0, 0)).save(tmp_path / "m.jpg")
    reads = f"""
{PEAK_KIB}
from pathlib import Path
from hviskd.annotations.pixels import MaskPixels
sizes = (block[2].size for block in MaskPixels(Path({str(tmp_path / "m.jpg")!r})).blocks())
first = next(sizes)
before = peak_kib()
assert first + sum(sizes) == 10**8
print(peak_kib() - before)
"""
    done = subprocess.run([sys.executable, "-c", reads], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150_000  # KiB; a third of the whole are rows under way


def test_missing_rows_of_a_jpeg_are_an_error_though_its_end_is_there(tmp_path, capfd):
    """A decoder makes them grey, with a warning that hardly any library hands on."""
    content = encoded("JPEG", quality=90)
    for share in (0.3, 0.6, 0.9):
        (tmp_path / "m.jpg").write_bytes(content[: int(share * len(content))] + b"\xff\xd9")
        with pytest.raises(DataError, match=r"m\.jpg: cannot be read as a mask \(Corrupt JPEG data: premature end"):
            read_codes(tmp_path / "m.jpg")
    assert capfd.readouterr() == ("", "")


def test_a_jpeg_that_was_replaced_is_read_again(tmp_path):
    for red in (10, 90):
        Image.new("RGB", (32, 32), (red, 0, 0)).save(tmp_path / "m.jpg")
        assert (read_codes(tmp_path / "m.jpg") >> 16 == red).all()


def test_the_content_decides_and_not_the_name(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "m.jpg", "PNG")
    np.testing.assert_array_equal(read_codes(tmp_path / "m.jpg"), codes_of(RGB))


def encoded(kind, **options) -> bytes:
    stream = io.BytesIO()
    if kind == "TIFF":
        tifffile.imwrite(stream, RGB, photometric="rgb", **options)
    else:
        Image.fromarray(RGB).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("content", [encoded("PNG"), encoded("JPEG"), encoded("TIFF", tile=(16, 16))])
def test_a_mask_cut_short_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "m"
    for share in (0.02, 0.3, 0.6, 0.9):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(DataError) as caught:
            read_codes(path)
        assert str(path) in str(caught.value)


def test_a_png_whose_rows_are_all_there_is_still_read_to_its_checksum(tmp_path):
    content = bytearray(encoded("PNG"))
    content[-13] ^= 1  # the last byte before the chunk IEND
    (tmp_path / "m.png").write_bytes(content)
    with pytest.raises(DataError, match="a chunk IDAT with a wrong checksum"):
        read_codes(tmp_path / "m.png")


@pytest.mark.slow
def test_an_lzw_strip_of_garbage_ends_in_an_error_and_not_in_a_crash(tmp_path):
    content = encoded("TIFF", rowsperstrip=90, compression="lzw")
    (tmp_path / "m.tif").write_bytes(content)
    with tifffile.TiffFile(tmp_path / "m.tif") as tiff:
        start, length = tiff.pages.first.dataoffsets[0], tiff.pages.first.databytecounts[0]
    rng = np.random.default_rng(0)
    for _ in range(300):
        garbage = b"\x80" + rng.bytes(length - 1)  # a clear code, so that decoding begins
        (tmp_path / "m.tif").write_bytes(content[:start] + garbage + content[start + length :])
        with pytest.raises(DataError, match=r"m\.tif: cannot be read"):
            read_codes(tmp_path / "m.tif")


def test_jpeg_tiles_of_a_tiff_are_decoded(tmp_path):
    smooth = np.add.outer(np.arange(90), np.arange(130))[..., None].repeat(3, axis=2).astype(np.uint8)
    tifffile.imwrite(tmp_path / "m.tif", smooth, photometric="rgb", tile=(32, 32), compression="jpeg")
    codes = read_codes(tmp_path / "m.tif")
    assert np.abs((codes >> 16) - smooth[..., 0]).max() < 8


def test_pictures_that_are_no_masks_are_refused(tmp_path):
    path = tmp_path / "m.tif"
    for pictures, options in (
        (RGB.astype(np.uint16), {"photometric": "rgb"}),
        (RGB.transpose(2, 0, 1), {"photometric": "rgb", "planarconfig": "separate"}),
        (RGB.astype(np.float32), {"photometric": "rgb"}),
    ):
        tifffile.imwrite(path, pictures, **options)
        with pytest.raises(DataError, match="TIFF"):
            read_codes(path)
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "m.jpg")
    with pytest.raises(DataError, match="RGB"):
        read_codes(tmp_path / "m.jpg")
    Image.fromarray(RGB).save(tmp_path / "m.gif")
    with pytest.raises(DataError, match="not a PNG, JPEG or TIFF"):
        read_codes(tmp_path / "m.gif")


def test_a_picture_of_more_px_than_the_limit_is_refused_by_its_header(tmp_path):
    content = bytearray(encoded("PNG"))
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "m.png").write_bytes(content)
    with pytest.raises(DataError, match="limit of 2000 million"):
        MaskPixels(tmp_path / "m.png")
    content = bytearray(encoded("JPEG"))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    (tmp_path / "m.jpg").write_bytes(content)
    with pytest.raises(DataError, match="limit of 2000 million"):
        MaskPixels(tmp_path / "m.jpg")


def test_a_short_jpeg_that_claims_to_be_a_large_one_is_refused(tmp_path):
    content = bytearray(encoded("JPEG"))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = (40_000).to_bytes(2, "big") * 2
    (tmp_path / "m.jpg").write_bytes(content)
    with pytest.raises(DataError, match="premature end"):
        next(MaskPixels(tmp_path / "m.jpg").blocks())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        MaskPixels(tmp_path / "none.png")
