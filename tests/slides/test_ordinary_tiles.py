"""Tiles decoded without OpenSlide are OpenSlide's, px for px, and what is not sound is left to it."""

import struct
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np
import openslide
import pytest
import tifffile

from hviskd.errors import DataError
from hviskd.slides import open_slide
from hviskd.slides.ordinary_tiles import OrdinaryLevel
from hviskd.slides.piece_level import _decoded_pieces, _Kept
from hviskd.slides.tiff_tiles import find_ordinary_tiles
from tests.data import DATA, REAL, name, present
from tests.slides.make import patterned, reduce_by, write_svs

JPEG_2000 = REAL / "slides/TCGA-CR-7395-01A-01-TS1.svs"


def levels_of(path: Path) -> list[OrdinaryLevel]:
    return [OrdinaryLevel(path, picture) for picture in find_ordinary_tiles(path)]


def write_jpegs(
    path: Path, image: np.ndarray, *, levels=2, side=256, subsampling="420", rgb=False, shared=False, note="", **tiff
) -> Path:
    """Write a pyramid of JPEG tiles, encoded here: of any subsampling, of RGB, or with their tables kept apart."""
    colours = "RGB" if rgb else "YCBCR"
    with tifffile.TiffWriter(path, **tiff) as writer:
        for number in range(levels):
            level = reduce_by(image, 2**number)
            rows, columns = (-(-length // side) for length in level.shape[:2])
            padded = np.pad(
                level, ((0, rows * side - level.shape[0]), (0, columns * side - level.shape[1]), (0, 0)), mode="edge"
            )
            tiles = [
                imagecodecs.jpeg8_encode(
                    np.ascontiguousarray(padded[y : y + side, x : x + side]),
                    level=85,
                    colorspace="RGB",
                    outcolorspace=colours,
                    subsampling=subsampling,
                    optimize=False,
                )
                for y in range(0, rows * side, side)
                for x in range(0, columns * side, side)
            ]
            tables = b""
            if shared:
                tables, tiles = split_tables(tiles[0])[0], [split_tables(tile)[1] for tile in tiles]
            writer.write(
                iter(tiles),
                shape=level.shape,
                dtype=np.uint8,
                tile=(side, side),
                photometric="rgb" if rgb else "ycbcr",
                subsampling=None if rgb else (int(subsampling != "444") + 1, int(subsampling == "420") + 1),
                compression="jpeg",
                subfiletype=int(number > 0),
                description=note if number == 0 or note else None,
                extratags=[(347, 7, len(tables), tables, True)] if shared else [],
                metadata=None,
            )
    return path


def write_jpeg_2000(path: Path, image: np.ndarray) -> Path:
    """Write a slide as Aperio's scanners do, in tiles of 256 px in JPEG 2000, of which the image has whole ones."""
    tiles = [
        imagecodecs.jpeg2k_encode(np.ascontiguousarray(tile), level=32, codecformat="j2k", mct=True)
        for row in np.split(image, len(image) // 256)
        for tile in np.split(row, row.shape[1] // 256, axis=1)
    ]
    note = f"Aperio Image Library v11.0.37\r\n{image.shape[1]}x{image.shape[0]} (256x256) J2K/KDU Q=70|MPP = 0.5"
    stored = {"shape": image.shape, "dtype": np.uint8, "tile": (256, 256), "compression": 33005, "photometric": "rgb"}
    tifffile.imwrite(path, iter(tiles), **stored, description=note, metadata=None, software=False)
    return path


def split_tables(tile: bytes) -> tuple[bytes, bytes]:
    """Split a JPEG into its tables and the rest, either a JPEG stream of its own."""
    tables, rest, place = b"\xff\xd8", b"\xff\xd8", 2
    while tile[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(tile[place + 2 : place + 4], "big")
        if tile[place + 1] in (0xC4, 0xDB):
            tables += tile[place:end]
        else:
            rest += tile[place:end]
        place = end
    return tables + b"\xff\xd9", rest + tile[place:]


def agree(path: Path, levels: int) -> None:
    """Hold rectangles of every level against OpenSlide's: over corners and borders, single px, the whole."""
    rng = np.random.default_rng(0)
    with openslide.OpenSlide(path) as theirs, open_slide(path, slide_mpp=0.5) as slide:
        assert len(levels_of(path)) == len(slide.levels) == theirs.level_count == levels
        for number, (level, decoded) in enumerate(zip(slide.levels, levels_of(path), strict=True)):
            width, height = level[:2]
            corners = rng.integers(0, (width, height), (25, 2))
            places = [(x, y, min(300, width - x), min(90, height - y)) for x, y in corners.tolist()]
            for x, y, w, h in [*places, (0, 0, width, height), (width - 1, height - 1, 1, 1)]:
                corner = int(x * level.downsample), int(y * level.downsample)
                drawn = np.asarray(theirs.read_region(corner, number, (w, h)))
                assert (drawn[..., 3] == 255).all()
                ours = decoded.region(x, y, w, h)
                assert ours is not None
                assert np.array_equal(ours, drawn[..., :3])
                mpp = slide.mpp * level.downsample
                assert np.array_equal(slide.read(*corner, w, h, mpp), drawn[..., :3])


@pytest.mark.slow
@pytest.mark.parametrize("subsampling", ["444", "422", "420"])
@pytest.mark.parametrize("shared", [False, True])
def test_pixels_are_openslides_whatever_the_subsampling(tmp_path, subsampling, shared):
    options = {"subsampling": subsampling, "shared": shared}
    agree(write_jpegs(tmp_path / "slide.tif", patterned(1000, 600, grain_px=1), **options), levels=2)


@pytest.mark.parametrize("shared", [False, True])
def test_pixels_are_openslides_where_an_aperio_scanner_keeps_rgb(tmp_path, shared):
    note = "Aperio Image Library v11.2.1\r\n1000x600 (240x240) JPEG/RGB Q=30|AppMag = 20|MPP = 0.5"
    options = {"subsampling": "444", "rgb": True, "side": 240, "note": note, "shared": shared}
    path = write_jpegs(tmp_path / "slide.svs", patterned(1000, 600, grain_px=1), **options)
    assert openslide.OpenSlide(path).properties["openslide.vendor"] == "aperio"
    agree(path, levels=2)


def test_pixels_are_openslides_in_a_bigtiff(tmp_path):
    agree(write_jpegs(tmp_path / "slide.tif", patterned(600, 400), bigtiff=True), levels=2)


@pytest.mark.slow
@pytest.mark.parametrize("path", present([DATA / "scan.svs", REAL / "slides/CMU-1-Small-Region.svs"]), ids=name)
def test_pixels_beside_a_label_and_a_macro_are_openslides(path):
    agree(path, levels=1)


@pytest.mark.slow
def test_a_level_of_rounded_size_has_the_files_own_pixels(tmp_path):
    path = write_jpegs(tmp_path / "odd.tif", patterned(1501, 1237), levels=3)
    with tifffile.TiffFile(path) as tiff, open_slide(path, slide_mpp=0.5) as slide:
        for page, level in zip(tiff.pages, slide.levels, strict=True):
            whole = slide.read(0, 0, level.width_px, level.height_px, slide.mpp * level.downsample)
            assert np.abs(whole.astype(int) - page.asarray()).max() <= 1  # tifffile's libjpeg is told another way


@pytest.mark.slow
@pytest.mark.parametrize("path", present([DATA / "scan_jpeg2000.svs", JPEG_2000]), ids=name)
def test_pixels_in_jpeg_2000_are_openslides_and_the_files_own(path):
    with tifffile.TiffFile(path) as tiff, open_slide(path, slide_mpp=0.5) as slide:
        pages = [page for page in tiff.pages if page.compression == 33005]
        for page, level, decoded in zip(pages, slide.levels, levels_of(path), strict=True):
            x, y, width, height = level.width_px - 500, level.height_px - 300, 500, 300
            ours = decoded.region(x, y, width, height)
            assert np.array_equal(ours, page.asarray()[y : y + height, x : x + width])
            corner = round(x * level.downsample), round(y * level.downsample)
            assert np.array_equal(ours, slide.read(*corner, width, height, slide.mpp * level.downsample))
            if level.downsample == 1:  # at others OpenSlide interpolates, for their sizes are rounded
                with openslide.OpenSlide(path) as theirs:
                    drawn = np.asarray(theirs.read_region((x, y), 0, (width, height)))
                assert np.array_equal(ours, drawn[..., :3])


def test_beyond_the_slide_all_is_white_and_the_border_is_not(tmp_path):
    path = write_jpegs(tmp_path / "slide.tif", np.full((300, 300, 3), 90, np.uint8), levels=1)
    with open_slide(path, slide_mpp=0.5) as slide:
        pixels = slide.read(-20, 290, 400, 30)
    assert (pixels[10:] == 255).all()
    assert (pixels[:, :20] == 255).all()
    assert (pixels[:, 320:] == 255).all()
    assert (pixels[:10, 20:320] == 90).all()


def test_many_threads_read_what_one_reads(tmp_path):
    path = write_jpegs(tmp_path / "slide.tif", patterned(1000, 800), levels=1)
    (one,) = levels_of(path)
    whole = one.region(0, 0, 1000, 800)
    (level,) = levels_of(path)
    places = [(x, y) for y in range(0, 700, 60) for x in range(0, 900, 70)] * 3
    with ThreadPoolExecutor(8) as pool:
        read = pool.map(lambda place: level.region(*place, 100, 100), places)
        for (x, y), pixels in zip(places, read, strict=True):
            assert np.array_equal(pixels, whole[y : y + 100, x : x + 100])


def test_what_is_read_can_be_written_to_without_harm(tmp_path):
    (level,) = levels_of(write_jpegs(tmp_path / "slide.tif", patterned(256, 256), levels=1))
    before = level.region(0, 0, 256, 256)
    level.region(0, 0, 256, 256)[:] = 0
    assert np.array_equal(level.region(0, 0, 256, 256), before)


def test_a_tile_that_claims_to_be_huge_takes_no_memory_and_is_an_error(tmp_path):
    path = write_jpegs(tmp_path / "slide.tif", patterned(512, 512), levels=1)
    place = int(find_ordinary_tiles(path)[0].offsets[0])
    content = path.read_bytes()
    at = content.index(struct.pack(">BHH", 8, 256, 256), place)
    path.write_bytes(content[:at] + struct.pack(">BHH", 8, 65500, 65500) + content[at + 5 :])
    (level,) = levels_of(path)
    tracemalloc.start()
    assert level.region(0, 0, 100, 100) is None
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()
    with open_slide(path, slide_mpp=0.5) as slide:
        assert slide.read(300, 300, 100, 100).shape == (100, 100, 3)
        with pytest.raises(DataError, match="damaged at x 0, y 0 px, level 0"):
            slide.read(0, 0, 100, 100)


@pytest.mark.parametrize(
    ("at", "content"),
    [
        (8, struct.pack(">II", 65_500, 65_500)),  # width and height
        (40, struct.pack(">H", 4)),  # channels
        (42, b"\x0f"),  # 16 bits
        (43, b"\x02"),  # subsampled
        (0, b"\x00"),
    ],
)
def test_a_tile_in_jpeg_2000_that_claims_to_be_another_is_not_decoded(tmp_path, at, content):
    path = write_jpeg_2000(tmp_path / "slide.svs", patterned(512, 256))
    (level,) = levels_of(path)
    assert level.region(0, 0, 512, 256) is not None
    with path.open("r+b") as stream:
        stream.seek(int(find_ordinary_tiles(path)[0].offsets[0]) + at)
        stream.write(content)
    (level,) = levels_of(path)
    tracemalloc.start()
    assert level.region(0, 0, 100, 100) is None
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()
    assert level.region(256, 0, 256, 256) is not None


def test_a_missing_tile_is_as_openslide_has_it(tmp_path):
    path = write_jpegs(tmp_path / "slide.tif", patterned(512, 512), levels=1)
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[0].tags["TileByteCounts"].valueoffset
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(b"\0\0\0\0")
    assert levels_of(path) == []
    with open_slide(path, slide_mpp=0.5) as slide:
        whole = slide.read(0, 0, 512, 512)
    assert (whole[:256, :256] == 255).all()
    assert whole[256:].std() > 20


@pytest.mark.slow
def test_damage_within_a_tile_ends_as_it_does_with_openslide_alone(tmp_path):
    path, rng = write_svs(tmp_path / "slide.svs", patterned(256, 256), levels=1), np.random.default_rng(0)
    (picture,) = find_ordinary_tiles(path)
    first, size = int(picture.offsets[0]), int(picture.byte_counts[0])
    # mostly a marker, where none may be
    changes = [[(first + rng.integers(600, size - 2), 0xFF)] for _ in range(150)]
    assert 50 < refused_as_by_openslide(path, changes) < 150


@pytest.mark.slow
def test_damage_within_a_tile_in_jpeg_2000_ends_as_it_does_with_openslide_alone(tmp_path):
    path, rng = write_jpeg_2000(tmp_path / "slide.svs", patterned(256, 256)), np.random.default_rng(0)
    (picture,) = find_ordinary_tiles(path)
    first, size = int(picture.offsets[0]), int(picture.byte_counts[0])
    within_header = [[(first + place, value)] for place in range(4, 120, 6) for value in (0, 255)]
    anywhere = [[(first + rng.integers(120, size), rng.integers(256)) for _ in range(3)] for _ in range(15)]
    assert 5 < refused_as_by_openslide(path, within_header + anywhere) < 50


def refused_as_by_openslide(path: Path, changes: list[list[tuple[int, int]]]) -> int:
    """Change bytes of a slide of 256 px, hold what is read against OpenSlide's, and count how often it is refused."""
    sound, refused = path.read_bytes(), 0
    for changed in changes:
        content = bytearray(sound)
        for place, value in changed:
            content[place] = value
        path.write_bytes(content)
        with openslide.OpenSlide(path) as theirs:
            try:
                expected = np.asarray(theirs.read_region((0, 0), 0, (256, 256)))[..., :3]
            except openslide.OpenSlideError:
                expected = None
        with open_slide(path) as slide:
            if expected is None:
                refused += 1
                with pytest.raises(DataError, match="damaged at x 0, y 0 px"):
                    slide.read(0, 0, 256, 256)
            else:
                assert np.array_equal(slide.read(0, 0, 256, 256), expected)
    return refused


def test_a_file_that_is_taken_away_is_left_to_openslide(tmp_path):
    path = write_jpegs(tmp_path / "slide.tif", patterned(300, 300), levels=1)
    (level,) = levels_of(path)
    path.unlink()
    assert level.region(0, 0, 10, 10) is None


def test_of_decoded_tiles_the_last_are_kept_up_to_a_limit():
    kept, keys = _Kept(1000), [(object(), number) for number in range(5)]
    for key in keys[:3]:
        kept.put(key, np.zeros(300, np.uint8))
    assert kept.get(keys[0]) is not None  # so it is the last one now
    kept.put(keys[3], np.zeros(300, np.uint8))
    assert [kept.get(key) is not None for key in keys] == [True, False, True, True, False]


def test_what_is_kept_stays_within_its_limit_whoever_writes():
    kept = _Kept(10_000)

    def fill(thread: int) -> None:
        for number in range(200):
            kept.put((None, thread * 100 + number), np.zeros(400, np.uint8))  # half of them are put twice

    threads = [threading.Thread(target=fill, args=(thread,)) for thread in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(kept.get((None, number)) is not None for number in range(1000)) == 25


def test_a_closed_slide_holds_no_tiles_and_another_keeps_its_own(tmp_path):
    paths = [write_svs(tmp_path / f"{name}.svs", patterned(1024, 768), levels=2) for name in "ab"]
    first, second = map(open_slide, paths)
    before = _decoded_pieces()._bytes
    expected = second.read(0, 0, 512, 512)
    own = _decoded_pieces()._bytes - before
    assert own > 0
    first.read(0, 0, 512, 512)
    first.close()
    assert _decoded_pieces()._bytes == before + own
    assert np.array_equal(second.read(0, 0, 512, 512), expected)
    second.close()
    assert _decoded_pieces()._bytes == before
