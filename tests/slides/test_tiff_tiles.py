"""Tiles are found in any TIFF that has them, and a header that lies finds none, at no cost."""

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from hviskd.slides.tiff_tiles import find_ordinary_tiles
from tests.slides.make import patterned, write_svs


@pytest.fixture
def svs(tmp_path) -> Path:
    return write_svs(tmp_path / "slide.svs", patterned(700, 500), levels=3)


def overwrite(path: Path, tag: str, content: bytes, *, count: bool = False) -> None:
    """Write over the value of a tag of the first picture, where it stands, or over how many values it has."""
    with tifffile.TiffFile(path) as tiff:
        found = tiff.pages[0].tags[tag]
        place = found.offset + 4 if count else found.valueoffset
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(content)


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"byteorder": ">", "bigtiff": True}])
def test_places_and_sizes_are_those_that_tifffile_finds(tmp_path, options):
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path, **options) as writer:
        for side in (700, 350):
            image = patterned(side, side - 90)
            writer.write(image, tile=(128, 256), photometric="rgb", compression="jpeg", metadata=None)
    found = find_ordinary_tiles(path)
    with tifffile.TiffFile(path) as tiff:
        assert len(found) == len(tiff.pages) == 2
        for picture, page in zip(found, tiff.pages, strict=True):
            assert picture.size == (page.imagewidth, page.imagelength)
            assert picture.tile_size == (256, 128)
            assert picture.offsets.tolist() == list(page.dataoffsets)
            assert picture.byte_counts.tolist() == list(page.databytecounts)
            assert (picture.colours, picture.tables) == ("YCBCR", b"")


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "deflate", "tile": (128, 128)},
        {"compression": "jpeg", "rowsperstrip": 64},
        {"compression": "jpeg2000", "tile": (128, 128)},
    ],
)
def test_what_is_not_in_jpeg_tiles_is_left_alone(tmp_path, options):
    tifffile.imwrite(tmp_path / "other.tif", patterned(300, 300), photometric="rgb", **options)
    assert find_ordinary_tiles(tmp_path / "other.tif") == []


def test_grey_or_separate_channels_are_left_alone(tmp_path):
    image = patterned(300, 300)
    jpeg = {"compression": "jpeg", "tile": (128, 128), "metadata": None}
    tifffile.imwrite(tmp_path / "grey.tif", image[..., 0], **jpeg)
    tifffile.imwrite(tmp_path / "planes.tif", np.moveaxis(image, -1, 0), photometric="rgb", planarconfig=2, **jpeg)
    assert find_ordinary_tiles(tmp_path / "grey.tif") == find_ordinary_tiles(tmp_path / "planes.tif") == []


@pytest.mark.parametrize("content", [b"", b"II", b"II*\0", b"MM\0*\0\0\0\x08", b"\xff\xd8\xff", b"II+\0\x08\0\0\0"])
def test_what_is_no_tiff_has_no_tiles(tmp_path, content):
    (tmp_path / "no.tif").write_bytes(content)
    assert find_ordinary_tiles(tmp_path / "no.tif") == []


@pytest.mark.parametrize(
    ("tag", "content"),
    [
        ("TileOffsets", struct.pack("<I", 0)),
        ("TileOffsets", struct.pack("<I", 2**32 - 1)),  # beyond the file's end
        ("TileByteCounts", struct.pack("<I", 0)),  # a tile that is not there
        ("TileByteCounts", struct.pack("<I", 2**32 - 1)),
        ("TileWidth", struct.pack("<I", 2**31)),
        ("TileWidth", struct.pack("<I", 0)),
        ("TileLength", struct.pack("<I", 1)),  # then it has too few tiles
        ("ImageWidth", struct.pack("<I", 2**32 - 1)),
    ],
)
def test_a_lying_number_costs_the_picture_alone(svs, tag, content):
    overwrite(svs, tag, content)
    assert [picture.size for picture in find_ordinary_tiles(svs)] == [(350, 250), (175, 125)]


@pytest.mark.parametrize("tag", ["TileOffsets", "BitsPerSample", "ImageWidth"])
def test_a_tag_that_claims_four_billion_values_is_not_read(svs, tag):
    overwrite(svs, tag, struct.pack("<I", 2**32 - 1), count=True)
    with svs.open("r+b") as stream:
        stream.truncate(2**34)  # sparse: room for all that it claims
    tracemalloc.start()
    found = find_ordinary_tiles(svs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 2
    assert peak < 5e6


def test_directories_in_a_circle_end(svs):
    with tifffile.TiffFile(svs) as tiff:
        first, place = tiff.pages[0].offset, tiff.pages[2].offset
        place += 2 + 12 * len(tiff.pages[2].tags)
    with svs.open("r+b") as stream:
        stream.seek(place)
        stream.write(struct.pack("<I", first))
    found = find_ordinary_tiles(svs)
    assert {picture.size for picture in found} == {(700, 500), (350, 250), (175, 125)}
    assert len(found) <= 64


@pytest.mark.slow
def test_whatever_stands_in_a_header_nothing_is_raised_and_no_tile_lies_outside_the_file(svs, tmp_path):
    with tifffile.TiffFile(svs) as tiff:
        head = min(tiff.pages[0].dataoffsets)
    sound, rng, damaged = svs.read_bytes(), np.random.default_rng(0), tmp_path / "damaged.svs"
    counts = []
    for _ in range(400):
        content = bytearray(sound)
        for place in rng.integers(0, head, 3):
            content[place] = rng.choice([0, 1, 127, 255, rng.integers(256)])
        damaged.write_bytes(content)
        found = find_ordinary_tiles(damaged)
        counts.append(len(found))
        for picture in found:
            assert picture.offsets.min() > 0
            assert (picture.offsets + picture.byte_counts).max() <= len(content)
    assert {0, 2, 3} <= set(counts)
