"""The numbers in a TIFF's headers are those that tifffile finds, and a header that lies costs nothing."""

import struct
import tracemalloc

import numpy as np
import pytest
import tifffile

from hviskd.tiff_directories import directories, open_tiff

RGB = np.zeros((64, 96, 3), np.uint8)


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"byteorder": ">", "bigtiff": True}])
def test_numbers_are_those_that_tifffile_finds(tmp_path, options):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, **options) as writer:
        for rows in (64, 32):
            writer.write(RGB[:rows], photometric="rgb", tile=(16, 16), compression="zlib", metadata=None)
    with path.open("rb") as stream, open_tiff(path) as tiff:
        found = list(directories(stream))
        assert len(found) == len(tiff.pages) == 2
        for directory, page in zip(found, tiff.pages, strict=True):
            assert directory.number(256) == 96
            assert directory.number(257) == page.imagelength
            assert directory.numbers(258, 3).tolist() == [8, 8, 8]
            assert directory.numbers(324, 100).tolist() == list(page.dataoffsets)
            assert directory.some(324, 2).tolist() == list(page.dataoffsets[:2])
            assert len(directory.numbers(324, 2)) == len(directory.numbers(40_000, 9)) == directory.number(258) == 0


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0" + bytes(30), b"II\x2c\0" + bytes(30)])
def test_what_is_no_tiff_has_none(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with (tmp_path / "a").open("rb") as stream:
        assert not list(directories(stream))


def with_count(path, tag, count):
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(16, 16), compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[0].tags[tag].offset + 4
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(struct.pack("<I", count))
        stream.truncate(2**35)  # sparse: room for all that it claims
    return path


@pytest.mark.parametrize("tag", ["TileOffsets", "BitsPerSample", "Software", "XResolution"])
def test_a_tag_that_claims_billions_of_values_takes_no_memory(tmp_path, tag):
    path = with_count(tmp_path / "a.tif", tag, 2**31)
    tracemalloc.start()
    with pytest.raises(ValueError, match="damaged header"):
        open_tiff(path)
    with path.open("rb") as stream:
        (directory,) = directories(stream)
        code = tifffile.TIFF.TAGS[tag]
        assert len(directory.numbers(code, 1000)) == 0
        assert len(directory.some(code, 1000)) in (0, 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_a_header_of_thousands_of_tags_is_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0\x08\0\0\0" + struct.pack("<H", 600) + bytes(12 * 600 + 4))
    with pytest.raises(ValueError, match="damaged header"):
        open_tiff(tmp_path / "a.tif")
