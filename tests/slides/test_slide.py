"""Reading rectangles at any µm/px: what every reader inherits."""

from pathlib import Path

import numpy as np
import pytest

from hviskd.slides import open_slide
from tests.slides.make import patterned, reduce_by, write_svs

ODD = 1501, 1237  # neither divides by 2: OpenSlide's own downsamples are then no whole numbers


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return patterned(*ODD)


@pytest.fixture(scope="module")
def lossless(image, tmp_path_factory) -> Path:
    return write_svs(tmp_path_factory.mktemp("slide") / "lossless.svs", image, quality=None)


@pytest.fixture(scope="module")
def compressed(image, tmp_path_factory) -> Path:
    return write_svs(tmp_path_factory.mktemp("slide") / "compressed.svs", image, quality=80)


def difference(first, second) -> int:
    return int(np.abs(first.astype(int) - second).max())


@pytest.mark.slow
def test_at_its_own_mpp_the_pixels_are_the_files(lossless, image):
    with open_slide(lossless) as slide:
        assert slide.size == ODD
        assert np.array_equal(slide.read(301, 87, 640, 500), image[87:587, 301:941])
        assert np.array_equal(slide.read(300.6, 87.4, 64, 50, mpp=0.5), image[87:137, 301:365])


def test_the_result_may_be_written_to(lossless):
    with open_slide(lossless) as slide:
        pixels = slide.read(0, 0, 5, 4)
    pixels[:] = 0
    assert pixels.shape == (4, 5, 3)
    assert pixels.dtype == np.uint8


def test_where_a_level_has_the_asked_mpp_its_pixels_are_given(tmp_path, image):
    even = image[:1024, :1024]
    with open_slide(write_svs(tmp_path / "even.svs", even, quality=None, factor=4)) as slide:
        assert np.array_equal(slide.read(256, 128, 100, 60, mpp=2.0), reduce_by(even, 4)[32:92, 64:164])


@pytest.mark.parametrize("mpp", [0.31, 0.6, 1.0, 1.3, 2.0, 3.9, 7.0])
@pytest.mark.parametrize("kind", ["lossless", "compressed"])
def test_parts_side_by_side_are_the_whole(request, mpp, kind):
    width, height = 61, 47
    x, y, step = -33.3, 211.7, mpp / 0.5
    with open_slide(request.getfixturevalue(kind)) as slide:
        whole = slide.read(x, y, 3 * width, 2 * height, mpp)
        rows = [
            np.concatenate(
                [slide.read(x + i * width * step, y + j * height * step, width, height, mpp) for i in range(3)], axis=1
            )
            for j in range(2)
        ]
    assert difference(whole, np.concatenate(rows)) <= 2


def test_a_read_larger_than_what_is_decoded_at_a_time_has_no_seams(lossless, image, monkeypatch):
    monkeypatch.setattr("hviskd.slides.slide._BLOCK_PX", 512)
    with open_slide(lossless) as slide:
        whole = slide.read(0, 0, 1200, 980, mpp=0.625)
        inside = slide.read(1.25 * 700, 1.25 * 600, 300, 300, mpp=0.625)
        assert np.array_equal(slide.read(0, 0, *ODD), image)
    assert difference(whole[600:900, 700:1000], inside) <= 2


@pytest.mark.parametrize("mpp", [0.37, 0.8, 1.0, 1.7, 2.0, 5.0])
def test_a_pixel_shows_the_place_that_it_covers(tmp_path, mpp):
    """On a ramp, the value at a pixel's middle is known without any resampling."""
    y, x = np.mgrid[:800, :1000]
    ramp = np.stack([x / 4, y / 4, (x + y) / 8], axis=-1).round().astype(np.uint8)
    with open_slide(write_svs(tmp_path / "ramp.svs", ramp, quality=None)) as slide:
        pixels = slide.read(101.3, 60.8, 60, 40, mpp)
    step = mpp / 0.5
    centre_x, centre_y = 101.3 + (np.arange(60) + 0.5) * step - 0.5, 60.8 + (np.arange(40) + 0.5) * step - 0.5
    expected = np.stack(np.broadcast_arrays(centre_x / 4, centre_y[:, None] / 4), axis=-1)
    assert np.abs(pixels[..., :2] - expected).max() <= 1.1


def test_reducing_averages_instead_of_picking(tmp_path):
    checks = np.where(np.indices((600, 600)).sum(0) % 2, 250, 6).astype(np.uint8)[..., None].repeat(3, axis=2)
    with open_slide(write_svs(tmp_path / "checks.svs", checks, levels=1, quality=None)) as slide:
        for mpp in (1.0, 1.5, 2.3):
            inner = slide.read(50, 50, 60, 60, mpp)
            assert np.abs(inner.astype(int) - 128).max() <= 8


def test_halving_is_close_to_the_mean_of_four(lossless, image):
    with open_slide(lossless) as slide:
        half = slide.read(0, 0, 300, 300, mpp=1.0)
    assert np.abs(half[2:-2, 2:-2].astype(int) - reduce_by(image, 2)[2:298, 2:298]).mean() < 1


def test_outside_the_slide_all_is_white(lossless, image):
    with open_slide(lossless) as slide:
        assert (slide.read(-500, -500, 100, 100) == 255).all()
        assert (slide.read(5000, 10, 100, 100, mpp=1.7) == 255).all()
        corner = slide.read(-10, -20, 50, 60)
        far = slide.read(ODD[0] - 30, ODD[1] - 30, 50, 60)
    assert (corner[:20] == 255).all()
    assert (corner[:, :10] == 255).all()
    assert np.array_equal(corner[20:, 10:], image[:40, :40])
    assert np.array_equal(far[:30, :30], image[-30:, -30:])
    assert (far[30:] == 255).all()


def test_a_thumbnail_shows_the_whole_slide(lossless, image):
    with open_slide(lossless) as slide:
        small = slide.thumbnail(300)
        assert slide.thumbnail(10_000).shape == image.shape
    assert small.shape == (round(1237 * 300 / 1501), 300, 3)
    assert np.abs(small.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 1.5


def test_facts_tell_nothing_of_persons(tmp_path):
    path = write_svs(tmp_path / "named.svs", patterned(300, 300), note="|User = Dr. Who|Date = 01/02/03")
    with open_slide(path) as slide:
        facts = slide.facts()
    assert set(facts) == {"width_px", "height_px", "mpp", "vendor", "magnification", "levels", "icc", "notes"}
    assert "Who" not in repr(facts)
    assert (facts["vendor"], facts["mpp"], facts["magnification"]) == ("aperio", 0.5, 20.0)


@pytest.mark.parametrize("request_", [(0, 10, None), (10, -1, None), (10, 10, 0.0), (10, 10, float("nan"))])
def test_an_impossible_read_is_refused(lossless, request_):
    width, height, mpp = request_
    with open_slide(lossless) as slide, pytest.raises(ValueError, match="must be|nothing to read"):
        slide.read(0, 0, width, height, mpp)


def test_a_notebook_shows_an_open_slide_small_and_a_closed_one_in_words(lossless):
    with open_slide(lossless) as slide:
        shown = slide._repr_html_()
        assert "lossless.svs: 1,501 × 1,237 px at 0.5 µm/px, 0.75 × 0.619 mm, aperio, 20×" in shown
        assert "image/jpeg" in shown
    assert "closed" in slide._repr_html_()
    assert "image/jpeg" not in slide._repr_html_()
