"""Flat pictures as slides."""

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from hviskd.errors import DataError
from hviskd.slides import open_slide
from tests.slides.make import patterned, reduce_by


def png_header(path: Path, width: int, height: int) -> Path:
    """Write the beginning of a PNG that claims a size; there are no pixels in it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", 0))
    return path


def test_pixels_that_are_no_colours_are_not_called_damage(tmp_path):
    for name, pixels in (("float", np.zeros((80, 90, 3), np.float32)), ("deep", np.zeros((80, 90), np.uint16))):
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
        with pytest.raises(DataError, match=r"its pixel format is .*; convert it to 8-bit RGB"):
            open_slide(tmp_path / f"{name}.tif", slide_mpp=0.5)


def test_a_picture_that_is_stored_turned_is_refused(tmp_path):
    exif = Image.Exif()
    for orientation in (0, 1, 6):
        exif[0x0112] = orientation
        Image.fromarray(patterned(120, 100)).save(tmp_path / f"{orientation}.jpg", exif=exif)
    for upright in (0, 1):
        open_slide(tmp_path / f"{upright}.jpg", slide_mpp=0.5).close()
    with pytest.raises(DataError, match=r"6\.jpg: stored rotated or mirrored \(orientation 6\); save it upright"):
        open_slide(tmp_path / "6.jpg", slide_mpp=0.5)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
def test_pixels_are_the_files(tmp_path, suffix):
    image = patterned(700, 500)
    path = tmp_path / f"section{suffix}"
    if suffix == ".png":
        Image.fromarray(image).save(path)
    else:
        tifffile.imwrite(path, image, rowsperstrip=16, photometric="rgb", compression="zlib")
    with open_slide(path, slide_mpp=0.5) as slide:
        assert (slide.size, slide.vendor) == ((700, 500), f"flat {'PNG' if suffix == '.png' else 'TIFF'}")
        assert np.array_equal(slide.read(40, 30, 600, 400), image[30:430, 40:640])
        parts = [slide.read(x, 0, 200, 200, mpp=0.8) for x in (0, 320)]
        whole = slide.read(0, 0, 400, 200, mpp=0.8)
    assert np.abs(whole.astype(int) - np.concatenate(parts, axis=1)).max() <= 2


def test_a_jpeg_has_low_powers_that_need_no_full_decoding(tmp_path):
    image = patterned(1003, 805, grain_px=12)
    path = tmp_path / "section.jpg"
    Image.fromarray(image).save(path, quality=95, subsampling=0)
    with open_slide(path, slide_mpp=0.5) as slide:
        assert [level.downsample for level in slide.levels] == [1, 2, 4, 8]
        low = slide.read(0, 0, 100, 80, mpp=4.0)
        assert list(slide._decoded) == [3]
        assert np.array_equal(slide.read(10, 20, 300, 200), np.asarray(Image.open(path))[20:220, 10:310])
        for number, level in enumerate(slide.levels):
            assert slide._level_region(number, 0, 0, *level[:2]).shape == (level.height_px, level.width_px, 3)
            assert slide._decoded[number].size == level[:2]
    assert np.abs(low.astype(int) - reduce_by(image, 8)[:80, :100]).mean() < 3


def test_transparent_is_white(tmp_path):
    rgba = np.full((80, 80, 4), (10, 20, 30, 255), np.uint8)
    rgba[:40, :, 3] = 0
    rgba[40:, :40, 3] = 128
    path = tmp_path / "cut-out.png"
    Image.fromarray(rgba).save(path)
    with open_slide(path, slide_mpp=1.0) as slide:
        pixels = slide.read(0, 0, 80, 80)
    assert (pixels[:40] == 255).all()
    assert (pixels[40:, 40:] == (10, 20, 30)).all()
    assert np.abs(pixels[40:, :40].astype(int) - (132, 137, 142)).max() <= 1


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_a_grey_picture_is_refused_for_it_has_no_stain(tmp_path, mode):
    for name in ("grey.png", "grey.tif"):
        Image.fromarray(np.full((70, 90), 77, np.uint8)).convert(mode).save(tmp_path / name)
        with pytest.raises(DataError, match=r"its pixel format is grey \(one channel\).*; convert it to 8-bit RGB"):
            open_slide(tmp_path / name, slide_mpp=1.0)


def test_colours_of_16_bits_are_refused_and_not_cut_down(tmp_path):
    deep = patterned(90, 70).astype(np.uint16) * 16  # 12 bits, as microscope cameras give
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb", metadata=None)
    (tmp_path / "deep.png").write_bytes(imagecodecs.png_encode(deep))
    for name in ("deep.tif", "deep.png"):
        with pytest.raises(DataError, match=r"its pixel format is 16 bits per channel \(3 channels\)"):
            open_slide(tmp_path / name, slide_mpp=0.5)


def test_a_channel_of_unknown_meaning_is_refused(tmp_path):
    four = np.dstack([patterned(90, 70), patterned(90, 70, seed=1)[..., 0]])
    tifffile.imwrite(tmp_path / "four.tif", four, photometric="rgb", extrasamples=["unspecified"], metadata=None)
    with pytest.raises(DataError, match="4 channels, which the file does not say to be red, green and blue"):
        open_slide(tmp_path / "four.tif", slide_mpp=0.5)


def test_size_is_judged_before_anything_is_decoded(tmp_path):
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(DataError, match=r"60000 × 60000 px exceed the limit for flat images \(2 Gpx\)"):
        open_slide(png_header(tmp_path / "bomb.png", 60_000, 60_000), slide_mpp=0.5)
    with open_slide(png_header(tmp_path / "section.png", 20_000, 20_000), slide_mpp=0.5) as slide:
        assert slide.size == (20_000, 20_000)  # more than Pillow itself would open
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("slide_mpp", [0.5, None])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_picture_cut_off_is_damaged_whatever_else_it_lacks(tmp_path, suffix, slide_mpp):
    path = tmp_path / f"section{suffix}"
    Image.fromarray(patterned(400, 300)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"section\.\w+: damaged"):
        open_slide(path, slide_mpp=slide_mpp).verify()


def test_no_mpp_is_read_out_of_a_print_resolution(tmp_path):
    path = tmp_path / "section.jpg"
    Image.fromarray(patterned(100, 100)).save(path, dpi=(2400, 2400))
    with pytest.raises(DataError, match="records no µm/px"):
        open_slide(path)


def test_deep_pixels_are_refused(tmp_path):
    path = tmp_path / "deep.tif"
    Image.fromarray(np.zeros((80, 80), np.uint16)).save(path)
    with pytest.raises(DataError, match="convert it to 8-bit RGB"):
        open_slide(path, slide_mpp=0.5)


def test_what_only_calls_itself_a_picture_is_refused(tmp_path):
    path = tmp_path / "page.jpg"
    path.write_text("<html>not found</html>")
    with pytest.raises(DataError, match="neither a slide that OpenSlide reads nor a JPEG, PNG or TIFF"):
        open_slide(path, slide_mpp=0.5)


def test_a_closed_picture_reads_no_more(tmp_path):
    path = tmp_path / "section.png"
    Image.fromarray(patterned(100, 100)).save(path)
    slide = open_slide(path, slide_mpp=0.5)
    slide.close()
    with pytest.raises(ValueError, match="closed"):
        slide.read(0, 0, 10, 10)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("seed", range(6))
def test_a_picture_with_wrong_bytes_is_read_or_refused(tmp_path, seed):
    """Whatever is wrong in a file, what comes of it is pixels or a DataError."""
    rng, refused = np.random.default_rng(seed), 0
    for suffix in (".jpg", ".png", ".tif"):
        path = tmp_path / f"section{suffix}"
        Image.fromarray(patterned(96, 80)).save(path)
        sound = bytearray(path.read_bytes())
        for _ in range(20):
            content = bytearray(sound)
            for place in rng.integers(4, len(content), 8):
                content[place] = rng.integers(256)
            path.write_bytes(content)
            try:
                with open_slide(path, slide_mpp=0.5) as slide:
                    assert slide.read(0, 0, 50, 50).shape == (50, 50, 3)
            except DataError:
                refused += 1
    assert refused


def test_a_picture_its_file_is_too_short_for_is_refused_before_it_takes_memory(tmp_path):
    path = png_header(tmp_path / "section.png", 40_000, 40_000)
    with open_slide(path, slide_mpp=0.5) as slide, pytest.raises(DataError, match="too short for 40000 × 40000 px"):
        slide.verify()


def test_a_palette_that_is_missing_is_damage(tmp_path):
    path = tmp_path / "section.png"
    Image.fromarray(patterned(90, 70)).quantize(9).save(path)
    content = path.read_bytes()
    start = content.index(b"PLTE") - 4
    length = struct.unpack_from(">I", content, start)[0]
    path.write_bytes(content[:start] + content[start + 12 + length :])
    with open_slide(path, slide_mpp=0.5) as slide, pytest.raises(DataError, match="damaged"):
        slide.verify()


def test_a_strip_one_px_wide_is_no_slide(tmp_path):
    Image.new("RGB", (1, 5000)).save(tmp_path / "section.png")
    with pytest.raises(DataError, match="claims 1 × 5000 px"):
        open_slide(tmp_path / "section.png", slide_mpp=0.5)
