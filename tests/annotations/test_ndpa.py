import math

import pytest

from hviskd.annotations import UNCLASSIFIED, read_annotation
from hviskd.annotations.drawn import MENDED, NO_AREA
from hviskd.errors import DataError
from hviskd.slide_frame import Glass, SlideFrame

from .make import save
from .make_xml import box, ndpa, ndpa_circle, ndpa_freehand

# A slide of 300 × 200 px of 250 × 400 nm whose centre lies at (1000, -2000) nm: px = (nm - centre) / side + size / 2.
SLIDE = SlideFrame((300, 200), glass=Glass("hamamatsu", (1 / 250, 0, 146), (0, 1 / 400, 105)))


def nm(points):
    return [((x - 150) * 250 + 1000, (y - 100) * 400 - 2000) for x, y in points]


def read(tmp_path, *states, frame=SLIDE):
    return read_annotation(save(tmp_path / "S.ndpi.ndpa", ndpa(*states)), frame=frame)


def test_titles_are_classes_and_nm_become_px(tmp_path):
    (x, y), radius_nm = nm([(200, 60)])[0], 8000
    found = read(
        tmp_path,
        ndpa_freehand(nm(box(10, 20, 110, 90)[:-1]), title="Tumour", details="focus 1", colour="#ff8000"),
        ndpa_freehand(nm(box(120, 20, 140, 40)), title="", name="AnnotateRectangle", special="rectangle"),
        ndpa_circle(x, y, radius_nm, title="Stroma"),
        ndpa_freehand(nm([(0, 0), (50, 50), (50, 0), (0, 50)]), title="Tumour"),
    )
    assert [(region.label, region.name, region.colour) for region in found.regions[:3]] == [
        ("Tumour", "focus 1", (255, 128, 0)),
        (UNCLASSIFIED, "", (0, 0, 0)),
        ("Stroma", "", (0, 0, 0)),
    ]
    bounds = [region.geometry.bounds for region in found.regions]
    assert bounds[0] == pytest.approx((10, 20, 110, 90), abs=1e-9)
    assert bounds[1] == pytest.approx((120, 20, 140, 40), abs=1e-9)
    assert bounds[2] == pytest.approx((200 - 32, 60 - 20, 200 + 32, 60 + 20), abs=1e-6)
    areas = [region.geometry.area for region in found.regions]
    assert areas == pytest.approx([7000, 400, math.pi * 32 * 20, 1250], rel=2e-3)
    assert found.remarks == {MENDED: 1}


def test_lines_and_marks_are_left_out(tmp_path):
    square = nm(box(0, 0, 50, 50))
    lines = [
        ndpa_freehand(square, closed="0"),
        ndpa_freehand(square, closed="", name="AnnotateFreehandLine"),
        '<ndpviewstate id="1"><title>p</title><annotation type="pin"><x>1</x><y>2</y></annotation></ndpviewstate>',
        '<ndpviewstate id="1"><title>m</title><annotation type="linearmeasure"><x1>1</x1></annotation></ndpviewstate>',
    ]
    closed = ndpa_freehand(square, closed="1", name="AnnotateFreehandLine")
    found = read(tmp_path, *lines, closed, ndpa_freehand(square, closed=""), '<ndpviewstate id="9"/>')
    assert [region.geometry.area for region in found.regions] == pytest.approx([2500, 2500])
    assert found.remarks == {NO_AREA: 4}
    assert read(tmp_path).regions == ()


@pytest.mark.parametrize(
    "frame", [None, SlideFrame((300, 200)), SlideFrame((9, 9), glass=Glass("dicom", (1, 0, 0), (0, 1, 0)))]
)
def test_without_its_slide_it_is_refused(tmp_path, frame):
    with pytest.raises(DataError, match=r"ndpa: counts nm from the centre of the glass, .* give that slide, or export"):
        read(tmp_path, ndpa_freehand(nm(box(0, 0, 9, 9))), frame=frame)


def test_damage_is_named(tmp_path):
    with pytest.raises(DataError, match=r"ndpviewstate 1: has a coordinate that is not finite"):
        read(tmp_path, ndpa_freehand([(0, 0), ("", 5), (9, 9)]))
    with pytest.raises(DataError, match=r"ndpviewstate 1: has a coordinate that is not finite"):
        read(tmp_path, ndpa_circle(0, 0, "1e300"))
    with pytest.raises(DataError, match="coordformat: is not nanometers"):
        read(tmp_path, ndpa_freehand(box(0, 0, 9, 9)).replace("nanometers", "pixels"))
