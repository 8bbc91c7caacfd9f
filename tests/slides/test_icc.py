"""ICC profiles are named and, on request, applied, whatever file carries them; what a cohort should know is told."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from hviskd.slides import open_slide, stain_reference
from hviskd.slides.icc import colour_note, profile_name
from tests.slides.make import glass, patterned, stained, write_svs
from tests.slides.profiles import ADOBE, ADOBE_RGB, PROPHOTO_RGB

SRGB, LAB = (ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes() for name in ("sRGB", "LAB"))
SRGB_COLOURS = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.7141]])


def in_srgb(pixels: np.ndarray, profile: bytes) -> np.ndarray:
    """Convert pixels by Pillow's one call, whole and on its own."""
    given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    made = ImageCms.profileToProfile(Image.fromarray(pixels), given, ImageCms.createProfile("sRGB"), intent)
    return np.asarray(made)


def test_a_profile_has_its_description_and_a_digest():
    assert profile_name(None) is None
    assert profile_name(b"") is None
    assert profile_name(SRGB).startswith("sRGB built-in (")
    assert profile_name(SRGB) != profile_name(LAB)
    assert profile_name(ADOBE_RGB).startswith("Adobe-like scanner (")
    assert profile_name(b"nonsense" * 20).startswith("unreadable profile (")


@pytest.mark.parametrize("suffix", [".svs", ".jpg", ".png", ".tif", ".ome.tif"])
@pytest.mark.parametrize("profile", [ADOBE_RGB, PROPHOTO_RGB])
def test_every_reader_finds_and_applies_it(tmp_path, suffix, profile):
    path, plain = tmp_path / f"s{suffix}", tmp_path / f"plain{suffix}"
    image = stained((256, 256), 0.9, 0.7)
    for file, icc in ((path, profile), (plain, None)):
        if suffix == ".svs":
            write_svs(file, image, icc=icc)
        elif suffix == ".ome.tif":
            tifffile.imwrite(file, image, tile=(64, 64), photometric="rgb", iccprofile=icc)
        else:
            Image.fromarray(image).save(file, icc_profile=icc)
    with open_slide(path, slide_mpp=0.5) as slide, open_slide(plain, slide_mpp=0.5) as without:
        assert slide.icc == slide.facts()["icc"] == profile_name(profile)
        assert without.icc is None
        stored = slide.read(0, 0, *slide.size)
        assert (stored == without.read(0, 0, *without.size)).all()
        assert not slide.in_srgb
    with open_slide(path, slide_mpp=0.5, icc=True) as slide:
        assert slide.in_srgb
        converted = slide.read(0, 0, *slide.size)
    assert (converted == in_srgb(stored, profile)).all()
    assert np.abs(converted.astype(int) - stored).mean() > 3


def test_the_conversion_is_that_of_the_formula(tmp_path):
    """Light is value^2.2; by the profile's matrix to XYZ, by the inverse of sRGB's to its light, by its curve back."""
    image = stained((128, 128), 0.9, 0.7)
    Image.fromarray(image).save(tmp_path / "s.png", icc_profile=ADOBE_RGB)
    with open_slide(tmp_path / "s.png", slide_mpp=0.5, icc=True) as slide:
        converted = slide.read(0, 0, *slide.size)
    light = (image / 255) ** 2.2 @ ADOBE.T @ np.linalg.inv(SRGB_COLOURS).T
    light = np.clip(light, 0, 1)
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(converted - expected).max() < 1.5


def test_white_stays_white_on_the_slide_and_beside_it(tmp_path):
    Image.new("RGB", (64, 64), "white").save(tmp_path / "s.png", icc_profile=PROPHOTO_RGB)
    with open_slide(tmp_path / "s.png", slide_mpp=0.5, icc=True) as slide:
        assert (slide.read(-32, 0, 128, 64) >= 254).all()
        assert (slide.read(-32, 0, 32, 64) == 255).all()


def test_thumbnails_and_coarser_reads_are_converted_too(tmp_path):
    path = write_svs(tmp_path / "s.svs", patterned(512, 512, grain_px=8), quality=None, icc=ADOBE_RGB)
    with open_slide(path) as stored, open_slide(path, icc=True) as slide:
        assert (slide.read(0, 0, 256, 256, 1.0) == in_srgb(stored.read(0, 0, 256, 256, 1.0), ADOBE_RGB)).all()
        assert (slide.thumbnail(128) == in_srgb(stored.thumbnail(128), ADOBE_RGB)).all()  # exactly the third level
        assert (slide.thumbnail(128) != stored.thumbnail(128)).any()


def test_many_threads_convert_as_one_does(tmp_path):
    path = write_svs(tmp_path / "s.svs", patterned(512, 512), quality=None, icc=PROPHOTO_RGB)
    places = [(x, y) for x in range(0, 512, 64) for y in range(0, 512, 64)]
    with open_slide(path, icc=True) as slide, ThreadPoolExecutor(8) as pool:
        whole = slide.read(0, 0, 512, 512)
        for (x, y), tile in zip(places, pool.map(lambda at: slide.read(*at, 64, 64), places), strict=True):
            assert (tile == whole[y : y + 64, x : x + 64]).all()


@pytest.mark.parametrize(
    ("profile", "note"),
    [
        (None, "no ICC colour profile: pixels are read as stored"),
        (b"nonsense" * 20, "its ICC colour profile, unreadable profile"),
        (LAB, "its ICC colour profile, Lab identity"),
    ],
)
def test_without_a_profile_that_can_be_applied_pixels_stay(tmp_path, profile, note):
    path = write_svs(tmp_path / "s.svs", glass((256, 256)), icc=profile)
    with open_slide(path) as stored, open_slide(path, icc=True) as slide:
        assert (slide.read(0, 0, 256, 256) == stored.read(0, 0, 256, 256)).all()
        assert not slide.in_srgb
        (found,) = set(slide.notes) - set(stored.notes)
        assert found.startswith(note)
        assert found.endswith("pixels are read as stored")
        assert stored.icc == slide.icc


def test_a_reference_stain_is_that_of_the_converted_pixels(tmp_path):
    image = stained((512, 512), 0.9, 0.7)
    Image.fromarray(image).save(tmp_path / "scanned.png", icc_profile=ADOBE_RGB)
    Image.fromarray(in_srgb(image, ADOBE_RGB)).save(tmp_path / "converted.png")
    converted = stain_reference(tmp_path / "converted.png")
    assert stain_reference(tmp_path / "scanned.png", icc=True) == converted
    assert stain_reference(tmp_path / "scanned.png") != converted


def test_only_different_profiles_are_told_where_none_is_applied():
    assert colour_note([], applied=False) == colour_note([None, None], applied=False) == ""
    assert colour_note(["a", "a"], applied=False) == ""
    assert colour_note(["a", None, "a"], applied=False) == (
        "the slides have different ICC colour profiles, which are not applied (a: 2, none: 1); `icc=True` converts "
        "them to sRGB"
    )


def test_slides_without_one_are_counted_where_profiles_are_applied():
    assert colour_note(["a", "b"], applied=True) == ""
    assert colour_note(["a", None, None], applied=True) == ("2 of 3 slides have no ICC colour profile; read as stored")
