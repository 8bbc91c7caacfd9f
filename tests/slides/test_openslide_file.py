"""Slides that OpenSlide reads, whole and damaged."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from hviskd.errors import DataError
from hviskd.slides import open_slide
from tests.data import DATA, REAL, name, present
from tests.slides.make import patterned, write_svs


def damage_tile(path: Path, row: int, column: int) -> None:
    """Overwrite one JPEG tile of level 0 with what is no JPEG."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        across = -(-page.imagewidth // page.tilewidth)
        offset, size = (
            page.dataoffsets[row * across + column],
            page.databytecounts[row * across + column],
        )
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\x00" * size)


@pytest.fixture
def svs(tmp_path) -> Path:
    return write_svs(tmp_path / "slide.svs", patterned(1024, 768), levels=2)


@pytest.mark.slow
def test_levels_have_the_downsample_they_were_made_by(tmp_path):
    path = write_svs(tmp_path / "odd.svs", patterned(1501, 1237), levels=3)
    assert openslide.OpenSlide(path).level_downsamples[1] != 2  # its sizes are rounded
    with open_slide(path) as slide:
        assert [level.downsample for level in slide.levels] == [1, 2, 4]
        assert [level[:2] for level in slide.levels] == [(1501, 1237), (750, 618), (375, 309)]


def test_pixels_are_those_of_openslide(svs):
    theirs = np.asarray(openslide.OpenSlide(svs).read_region((200, 100), 0, (300, 200)))[..., :3]
    with open_slide(svs) as slide:
        assert np.array_equal(slide.read(200, 100, 300, 200), theirs)


def test_a_missing_mpp_says_how_to_give_it(tmp_path):
    path = write_svs(tmp_path / "slide.svs", patterned(300, 300), mpp=None)
    with pytest.raises(DataError, match=r"slide\.svs: records no µm/px; give it with `slide_mpp`"):
        open_slide(path)
    with open_slide(path, slide_mpp=0.25) as slide:
        assert (slide.mpp, slide.notes) == (0.25, ())


def test_an_absurd_mpp_is_not_believed(tmp_path):
    path = write_svs(tmp_path / "slide.svs", patterned(300, 300), mpp=352.8)
    with pytest.raises(DataError, match="352.8 × 352.8 µm/px, which no scanner has"):
        open_slide(path)


def test_the_users_mpp_wins_and_a_conflict_is_told(svs):
    with open_slide(svs, slide_mpp=0.25) as slide:
        assert slide.mpp == 0.25
        assert slide.notes == ("the file records 0.5 µm/px; the given 0.25 is used",)
    with open_slide(svs, slide_mpp=0.51) as slide:
        assert slide.notes == ()


def test_a_damaged_place_is_named_and_the_rest_can_still_be_read(svs):
    with open_slide(svs) as slide:
        sound = slide.read(0, 0, 256, 256)
    damage_tile(svs, row=1, column=2)
    with open_slide(svs) as slide:
        for _ in range(2):
            with pytest.raises(DataError, match=r"slide\.svs: damaged at x 560, y 300 px, level 0"):
                slide.read(560, 300, 100, 100)
            assert np.array_equal(slide.read(0, 0, 256, 256), sound)


def test_threads_do_not_suffer_from_each_others_damaged_places(svs):
    with open_slide(svs) as slide:
        sound = slide.read(0, 0, 1024, 768)
    damage_tile(svs, row=1, column=2)
    fields = [(x, y) for y in range(0, 768, 128) for x in range(0, 1024, 128)] * 4
    with open_slide(svs) as slide, ThreadPoolExecutor(8) as pool:
        reads = [pool.submit(slide.read, x, y, 128, 128) for x, y in fields]
    for (x, y), read in zip(fields, reads, strict=True):
        if 512 <= x < 768 and 256 <= y < 512:
            assert isinstance(read.exception(), DataError)
        else:
            assert np.array_equal(read.result(), sound[y : y + 128, x : x + 128])


@pytest.mark.parametrize("mpp", [0.5, None])
def test_a_file_cut_off_is_damaged_whatever_else_it_lacks(tmp_path, mpp):
    path = write_svs(tmp_path / "slide.svs", patterned(1024, 768), mpp=mpp, levels=1)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"slide\.svs: damaged"):
        open_slide(path).verify()


def test_a_header_that_claims_a_giant_tile_does_not_end_the_process(svs):
    with tifffile.TiffFile(svs) as tiff:
        place = tiff.pages[0].tags["TileWidth"].valueoffset
    content = bytearray(svs.read_bytes())
    content[place : place + 4] = (1 << 30).to_bytes(4, "little")
    svs.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged \(a tile of 2.7e\+11 px\)"):
        open_slide(svs)


def test_a_tile_that_claims_more_bytes_than_the_file_has_does_not_end_the_process(tmp_path):
    path = tmp_path / "slide.tiff"
    tifffile.imwrite(path, patterned(512, 512), tile=(256, 256), photometric="rgb", compression="zlib", bigtiff=True)
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[0].tags["TileByteCounts"]
    content = bytearray(path.read_bytes())
    place, size = tag.valueoffset, tag.valuebytecount // tag.count
    content[place : place + size] = (256**size // 4).to_bytes(size, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match="a tile longer than the file"):
        open_slide(path, slide_mpp=0.5)


def test_a_level_of_more_tiles_than_the_one_before_it_does_not_end_the_process(svs):
    with tifffile.TiffFile(svs) as tiff:
        tall, narrow = tiff.pages[0].tags["ImageLength"], tiff.pages[1].tags["TileWidth"]
    content = bytearray(svs.read_bytes())
    content[tall.valueoffset : tall.valueoffset + 4] = (5000).to_bytes(4, "little")  # most of its tiles are missing
    content[narrow.valueoffset : narrow.valueoffset + 4] = (16).to_bytes(4, "little")
    svs.write_bytes(content)
    with pytest.raises(DataError, match="a level with more tiles than the previous one"):
        open_slide(svs)


def test_a_whole_file_passes(svs):
    with open_slide(svs) as slide:
        slide.verify()


def test_a_closed_slide_reads_no_more(svs):
    slide = open_slide(svs)
    slide.close()
    with pytest.raises(ValueError, match="closed"):
        slide.read(0, 0, 10, 10)


SCANS = {  # size, µm/px, magnification
    DATA / "scan.svs": ((1210, 967), 0.998, 10),
    REAL / "slides/CMU-1-Small-Region.svs": ((2220, 2967), 0.499, 20),
}


@pytest.mark.parametrize("path", present(SCANS), ids=name)
def test_what_an_aperio_scanner_recorded_is_read(path):
    with open_slide(path) as slide:
        assert (slide.size, slide.mpp, slide.magnification) == SCANS[path]
        theirs = np.asarray(openslide.OpenSlide(slide.path).read_region((300, 400), 0, (500, 400)))
        assert np.array_equal(slide.read(300, 400, 500, 400), theirs[..., :3])


@pytest.mark.parametrize(
    "path", present([DATA / "scan_jpeg2000.svs", REAL / "slides/TCGA-CR-7395-01A-01-TS1.svs"]), ids=name
)
def test_levels_in_jpeg_2000_lie_where_they_should(path):
    with pytest.raises(DataError, match="records no µm/px"):
        open_slide(path)
    with open_slide(path, slide_mpp=0.5) as slide:
        assert [level.downsample for level in slide.levels] == [1, 2]
        x, y = slide.size[0] // 4, slide.size[1] // 4
        whole = slide.read(x, y, 300, 200, mpp=1.0)
        right = slide.read(x + 2 * 150, y, 150, 200, mpp=1.0)
        fine = slide.read(x, y, 600, 400)
    assert np.array_equal(whole[:, 150:], right)
    mean_of_four = fine.reshape(200, 2, 300, 2, 3).mean(axis=(1, 3))
    assert np.abs(whole - mean_of_four).mean() < 12  # the level lies within half a px of where it should


@pytest.mark.parametrize("path", present([DATA / "levels.tiff", REAL / "slides/small_HE_levels.tiff"]), ids=name)
def test_a_resolution_made_up_by_a_program_is_not_believed(path):
    with pytest.raises(DataError, match=r"352\.[89] × 352\.[89] µm/px"):
        open_slide(path)


@pytest.mark.parametrize("path", present([DATA / "broken.svs", REAL / "slides/broken.svs"]), ids=name)
def test_the_beginning_of_a_file_is_damaged(path):
    with pytest.raises(DataError, match="damaged"):
        open_slide(path, slide_mpp=0.5)


def test_a_file_that_openslide_recognises_and_then_does_not_know_is_damaged(tmp_path):
    path, said = tmp_path / "slide.svs", "Aperio Image Library v12\r\n384x384 (128x128) of test|MPP = 0.5"
    with tifffile.TiffWriter(path) as out:
        for height, width in ((384, 384), (1, 192), (96, 96)):  # no level is coarser than the one after it
            level = patterned(width, height)
            out.write(level, tile=(128, 128), photometric="rgb", compression="zlib", description=said, metadata=None)
    with pytest.raises(DataError, match=r"slide\.svs: damaged \(Unsupported or missing image file\)"):
        open_slide(path)
