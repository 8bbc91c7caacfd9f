"""ICC profiles are named, whatever file carries them, and slides that differ in them are told."""

import pytest
from PIL import Image, ImageCms

from hviskd.slides import open_slide
from hviskd.slides.icc import different_profiles, profile_name
from tests.slides.make import glass, write_svs

SRGB, LAB = (ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes() for name in ("sRGB", "LAB"))


def test_a_profile_has_its_description_and_a_digest():
    assert profile_name(None) is None
    assert profile_name(b"") is None
    assert profile_name(SRGB).startswith("sRGB built-in (")
    assert profile_name(SRGB) != profile_name(LAB)
    assert profile_name(b"nonsense" * 20).startswith("unreadable profile (")


@pytest.mark.parametrize("suffix", [".svs", ".jpg", ".png", ".tif"])
def test_every_reader_finds_it(tmp_path, suffix):
    path, plain = tmp_path / f"s{suffix}", tmp_path / f"plain{suffix}"
    if suffix == ".svs":
        write_svs(path, glass((256, 256)), icc=SRGB)
        write_svs(plain, glass((256, 256)))
    else:
        Image.fromarray(glass((64, 64))).save(path, icc_profile=SRGB)
        Image.fromarray(glass((64, 64))).save(plain)
    with open_slide(path, slide_mpp=0.5) as slide, open_slide(plain, slide_mpp=0.5) as without:
        assert slide.icc == slide.facts()["icc"] == profile_name(SRGB)
        assert without.icc is None


def test_a_damaged_profile_costs_no_slide(tmp_path):
    with open_slide(write_svs(tmp_path / "s.svs", glass((256, 256)), icc=b"nonsense" * 20)) as slide:
        assert slide.icc.startswith("unreadable profile")


def test_only_different_profiles_are_told():
    assert different_profiles([]) == different_profiles([None, None]) == different_profiles(["a", "a"]) == ""
    assert different_profiles(["a", None, "a"]) == (
        "the slides have different ICC colour profiles, which are not applied (a: 2, none: 1)"
    )
