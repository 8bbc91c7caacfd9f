"""Where points on the glass lie on a slide, as the scanner states it."""

import numpy as np
import pytest
from highdicom.spatial import ReferenceToImageTransformer

from hviskd.segmentation import MapCard
from hviskd.slides import open_slide
from hviskd.slides.glass import glass_of
from tests.segmentation.make import map_card
from tests.slides.make import glass, write_svs
from tests.slides.make_glass import write_dicom, write_ndpi

IMAGE = glass((256, 384))


def test_the_centre_of_an_ndpi_lies_where_it_says(tmp_path):
    write_ndpi(tmp_path / "S.ndpi", IMAGE, nm=(220, 221), centre_nm=(-1_234_567, 7_654_321))
    with open_slide(tmp_path / "S.ndpi") as slide:
        found = slide.frame().glass
    assert found.maker == "hamamatsu"
    centre = np.array([-1_234_567, 7_654_321])
    points = np.array([centre, centre + np.array([2200, 0]), centre - np.array([220 * 192, 221 * 128])])
    np.testing.assert_allclose(found.to_level0(points), [(192, 128), (202, 128), (0, 0)], atol=1e-3)


@pytest.mark.parametrize("turn", [(1, 0, 0, 0, 1, 0), (0, -1, 0, -1, 0, 0), (0.6, 0.8, 0, -0.8, 0.6, 0)])
def test_points_on_the_glass_lie_on_a_dicom_slide_as_highdicom_lays_them(tmp_path, turn):
    write_dicom(tmp_path / "S.dcm", IMAGE, mm=(0.00032, 0.00033), origin_mm=(12.5, 31.25), turn=turn)
    with open_slide(tmp_path / "S.dcm", slide_mpp=1) as slide:  # it has no part in this
        found = slide.frame().glass
    theirs = ReferenceToImageTransformer((12.5, 31.25, 0), turn, (0.00033, 0.00032))
    points = np.array([(12.5, 31.25), (12.6, 31.3), (12.4, 31.2)])
    np.testing.assert_allclose(found.to_level0(points), theirs(np.c_[points, [0, 0, 0]])[:, :2], atol=1e-6)
    np.testing.assert_allclose(found.to_level0(points[:1]), [(0.5, 0.5)], atol=1e-9)
    assert len(found.image) > 20


def test_other_slides_and_broken_statements_say_nothing(tmp_path):
    with open_slide(write_svs(tmp_path / "S.svs", IMAGE)) as slide:
        assert slide.frame().glass is None
    hamamatsu = {"openslide.vendor": "hamamatsu", "openslide.mpp-x": "0.2", "openslide.mpp-y": "0.2"}
    assert glass_of(hamamatsu | {"hamamatsu.XOffsetFromSlideCentre": "5"}, (10, 10)) is None
    words = hamamatsu | {f"hamamatsu.{axis}OffsetFromSlideCentre": "five" for axis in "XY"}
    assert glass_of(words, (10, 10)) is None
    assert glass_of({"openslide.vendor": "dicom", "dicom.SOPInstanceUID": "1.2"}, (10, 10)) is None


def test_a_map_keeps_it(tmp_path):
    write_ndpi(tmp_path / "S.ndpi", IMAGE, nm=(220, 221), centre_nm=(-5, 7))
    with open_slide(tmp_path / "S.ndpi") as slide:
        card = map_card(slide_glass=slide.frame().glass)
        assert MapCard.model_validate_json(card.model_dump_json()).frame().glass == slide.frame().glass
    assert MapCard.model_validate(map_card().model_dump(exclude={"slide_glass"})).frame().glass is None
