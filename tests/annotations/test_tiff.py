"""TIFF masks whose header says one thing and whose content another."""

import struct
import tracemalloc

import numpy as np
import pytest
import tifffile

from hviskd.annotations import colours
from hviskd.annotations.pixels import MaskPixels
from hviskd.errors import DataError

RGB = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_a_jpeg_piece_larger_than_its_place_is_refused_before_it_takes_memory(tmp_path):
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(64, 64), compression="jpeg")
    content = bytearray(path.read_bytes())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", 60_000, 60_000)  # 10 GB
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(DataError, match="a piece of 64 × 64 px holds a JPEG of 60000 × 60000 px"):
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
    np.testing.assert_array_equal(  # all there is of it is enough here
        next(MaskPixels(path).blocks())[2] >> 16, RGB[..., 0]
    )
