"""Px that are not the colours of a stained section are refused, and it is said what they are."""

from pathlib import Path

import pytest

from hviskd.errors import DataError
from hviskd.slides import open_slide
from hviskd.slides.pixel_check import PixelKind, require_colour
from tests.slides.make import patterned
from tests.slides.tiffs import write_pyramid

SLIDE = Path("S1.tif")


@pytest.mark.parametrize("kind", [PixelKind(), PixelKind(channels=4, has_alpha=True), PixelKind(channels=1)])
def test_colours_of_8_bits_pass(kind):
    require_colour(SLIDE, kind)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (PixelKind(bits=12), r"12 bits per channel \(3 channels\)"),
        (PixelKind(channels=1, in_colour=False), r"grey \(one channel\), not the colours of a stained section"),
        (PixelKind(channels=2, in_colour=False), r"grey \(one channel\)"),
        (PixelKind(bits=32, is_float=True), r"32-bit floating-point numbers \(3 channels\)"),
        (PixelKind(is_signed=True), r"8-bit numbers with a sign \(3 channels\)"),
        (PixelKind(channels=3, in_colour=False, names=("DAPI", "FITC")), r"3 channels \(DAPI, FITC\), which the file"),
    ],
)
def test_the_rest_is_named(kind, said):
    with pytest.raises(DataError, match=rf"S1\.tif: its pixel format is {said}.*; convert it to 8-bit RGB"):
        require_colour(SLIDE, kind)


@pytest.mark.parametrize("vendor", ["aperio", "plain"])
def test_what_openslide_would_cut_down_is_refused_whoever_wrote_it(tmp_path, vendor):
    deep = patterned(300, 200).astype("u2") * 257
    said = "Aperio Image Library v12\r\n300x200 (128x128) of test|AppMag = 20|MPP = 0.5" if vendor == "aperio" else None
    path = write_pyramid(tmp_path / "S1.svs", deep, levels=1, description=said)
    with pytest.raises(DataError, match="its pixel format is 16 bits per channel"):
        open_slide(path)
