import builtins
import math

import numpy as np
import pydicom
import pytest
import shapely
from pydicom.sr.codedict import codes

from hviskd.annotations import load_legend, read_annotation
from hviskd.annotations.drawn import MENDED, NO_AREA
from hviskd.errors import DataError
from hviskd.slide_frame import Glass, SlideFrame

from .make import blobs, by_shapely, save
from .make_bulk import group, outlined_slide, write_bulk
from .make_xml import box

SIZE = (300, 200)
ELLIPSE = [(60, 100), (100, 100), (80, 90), (80, 110)]  # the ends of its axes
TURNED = [(60, 60), (100, 100), (90, 70), (70, 90)]


@pytest.fixture(scope="module")
def slide():
    return outlined_slide()


def write(tmp_path, slide, *groups, in_mm=False):
    return write_bulk(tmp_path / "S.dcm", slide, groups, in_mm=in_mm)


def changed(path, **values):
    """Change a written file, in itself or (by `group_` before the name) in its first group."""
    content = pydicom.dcmread(path)
    for name, value in values.items():
        inner = name.startswith("group_")
        place = content.AnnotationGroupSequence[0] if inner else content
        setattr(place, name.removeprefix("group_"), value)
    content.save_as(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_groups_are_classes_and_outlines_lie_where_they_were_drawn(tmp_path, slide, dtype):
    drawn = [each for each in blobs(20, extent=180) if not each.geometry.interiors]
    rings = [shapely.get_coordinates(each.geometry.exterior)[:-1] for each in drawn]
    first = group(1, "tumour", "POLYGON", rings[:7], dtype=dtype)
    path = write(tmp_path, slide, first, group(2, "stroma", "POLYGON", rings[7:], dtype=dtype))
    found = read_annotation(path, size=SIZE)
    assert [region.label for region in found.regions] == ["tumour"] * 7 + ["stroma"] * (len(rings) - 7)
    for ring, region in zip(rings, found.regions, strict=True):
        assert region.geometry.symmetric_difference(shapely.Polygon(ring)).area < 0.01
    np.testing.assert_array_equal(found.rasterise(0, 0, *SIZE, 1), by_shapely(found, 0, 0, SIZE[1], SIZE[0], 1))


def test_rectangles_and_ellipses_may_be_turned_and_points_and_lines_are_left_out(tmp_path, slide):
    rectangles = [box(10, 20, 30, 50)[:-1], [(50, 0), (60, 10), (50, 20), (40, 10)]]
    groups = [
        group(1, "a", "RECTANGLE", rectangles),
        group(2, "b", "ELLIPSE", [ELLIPSE, TURNED]),
        group(3, "c", "POINT", [[(1, 2)], [(3, 4)]]),
        group(4, "c", "POLYLINE", [[(1, 2), (3, 4), (5, 9)]]),
        group(5, "d", "POLYGON", [[(0, 0), (10, 10), (10, 0), (0, 10)]]),
    ]
    found = read_annotation(write(tmp_path, slide, *groups), size=SIZE)
    areas = [region.geometry.area for region in found.regions]
    short, long = math.hypot(20, 20) / 2, math.hypot(40, 40) / 2
    assert areas == pytest.approx([600, 200, math.pi * 20 * 10, math.pi * long * short, 50], rel=2e-3)
    x, y = shapely.get_coordinates(found.regions[2].geometry).T
    np.testing.assert_allclose(((x - 80) / 20) ** 2 + ((y - 100) / 10) ** 2, 1)
    assert found.remarks == {NO_AREA: 3, MENDED: 1}


def test_a_code_may_be_the_class_if_the_legend_knows_it(tmp_path, slide):
    path = write(tmp_path, slide, group(1, "by reader 1", "RECTANGLE", [box(0, 0, 9, 9)[:-1]], meaning=codes.SCT.Blood))
    assert read_annotation(path).classes == ("by reader 1",)
    legend = "name: n\nclasses: [{name: blood, colours: [[1, 2, 3]]}]"
    (region,) = read_annotation(path, legend=load_legend(save(tmp_path / "l.yaml", legend))).regions
    assert region.label == "blood"
    changed(path, group_AnnotationGroupLabel="")
    assert read_annotation(path).classes == (codes.SCT.Blood.meaning,)


@pytest.mark.parametrize("flat", [True, False])
def test_mm_on_the_glass_lie_on_the_slide_that_states_where(tmp_path, slide, flat):
    """x on the glass runs up the slide, y leftwards, as with most scanners; a px is 0.0004 mm."""
    shapes = [
        [(10.0 - y * 4e-4, 20.0 - x * 4e-4, 0.0 if flat else n) for n, (x, y) in enumerate(box(30, 40, 130, 90)[:-1])]
    ]
    path = write(tmp_path, slide, group(1, "a", "RECTANGLE" if flat else "POLYGON", shapes), in_mm=True)
    assert ("CommonZCoordinateValue" in pydicom.dcmread(path).AnnotationGroupSequence[0]) == flat
    glass = Glass("dicom", (0, -2500, 50_000), (-2500, 0, 25_000), slide.SOPInstanceUID)
    (region,) = read_annotation(path, frame=SlideFrame(SIZE, glass=glass)).regions
    assert region.geometry.bounds == pytest.approx((30, 40, 130, 90), abs=1e-6)
    for other in (None, SlideFrame(SIZE), SlideFrame(SIZE, glass=Glass("hamamatsu", (1, 0, 0), (0, 1, 0)))):
        with pytest.raises(DataError, match=r"S\.dcm: counts mm on the glass, which only the DICOM slide states"):
            read_annotation(path, frame=other)


def test_what_was_drawn_on_another_image_or_on_frames_is_refused(tmp_path, slide):
    path = write(tmp_path, slide, group(1, "a", "RECTANGLE", [box(0, 0, 9, 9)[:-1]]))
    frame = SlideFrame(SIZE, glass=Glass("dicom", (1, 0, 0), (0, 1, 0), slide.SOPInstanceUID))
    assert len(read_annotation(path, frame=frame).regions) == 1
    other = SlideFrame(SIZE, glass=Glass("dicom", (1, 0, 0), (0, 1, 0), "1.2.3"))
    with pytest.raises(DataError, match=r"drawn on another image than level 0 of this slide"):
        read_annotation(path, frame=other)
    with pytest.raises(DataError, match=r"counts from the corner of single frames"):
        read_annotation(changed(path, PixelOriginInterpretation="FRAME"))


def indices(*first):
    return np.array(first, "<u4").tobytes()


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.6"}, "a DICOM slide, no annotations$"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4"}, "a DICOM segmentation, which is not read"),
        ({"SOPClassUID": "1.2.3"}, "DICOM, but no bulk annotations$"),
        ({"group_LongPrimitivePointIndexList": indices(1, 1)}, "does not rise from 1"),
        ({"group_LongPrimitivePointIndexList": indices(0, 9)}, "does not rise from 1"),
        ({"group_LongPrimitivePointIndexList": indices(1, 99)}, "does not rise from 1"),
        ({"group_LongPrimitivePointIndexList": indices(1, 8)}, "numbers inside a point"),
        ({"group_LongPrimitivePointIndexList": b""}, "damaged"),
        ({"group_DoublePointCoordinatesData": bytes(24)}, "damaged"),
        ({"group_GraphicType": "RECTANGLE", "group_DoublePointCoordinatesData": bytes(48)}, "3 points, not 4"),
        ({"group_DoublePointCoordinatesData": np.full(16, np.nan).tobytes()}, "annotation 1: has a coordinate"),
        ({"AnnotationCoordinateType": "3D"}, "damaged"),
    ],
)
def test_a_damaged_or_other_file_is_refused_in_one_line(tmp_path, slide, values, wrong):
    path = write(tmp_path, slide, group(1, "a", "POLYGON", [box(0, 0, 9, 9)[:-1], box(9, 9, 20, 20)[:-1]]))
    with pytest.raises(DataError, match=rf"S\.dcm: .*{wrong}") as caught:
        read_annotation(changed(path, **values))
    assert "\n" not in str(caught.value)


def test_what_is_no_dicom_or_unpacks_to_more_is_refused(tmp_path, slide):
    path = write(tmp_path, slide, group(1, "a", "POLYGON", [box(0, 0, 9, 9)[:-1]]))
    content = pydicom.dcmread(path)
    content.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    content.save_as(path)
    with pytest.raises(DataError, match="compressed as a whole"):
        read_annotation(path)
    path.write_bytes(bytes(128) + b"DICM" + bytes(range(256)))
    with pytest.raises(DataError, match=r"S\.dcm: "):
        read_annotation(path)


def test_a_file_without_end_is_refused(tmp_path, slide, monkeypatch):
    path = write(tmp_path, slide, *(group(n, "a", "POLYGON", [box(0, 0, 9, 9)[:-1]]) for n in range(1, 5)))
    for limit in ("ITEM_LIMIT", "OBJECT_LIMIT", "FILE_LIMIT_BYTES"):
        with monkeypatch.context() as patched:
            patched.setattr(f"hviskd.annotations.bulk.{limit}", 3)
            with pytest.raises(DataError, match="write fewer|more than 3 annotations|larger than"):
                read_annotation(path)
    assert len(read_annotation(path).regions) == 4


def test_without_pydicom_it_says_what_to_install(tmp_path, slide, monkeypatch):
    path = write(tmp_path, slide, group(1, "a", "POLYGON", [box(0, 0, 9, 9)[:-1]]))
    real = builtins.__import__

    def without(name, *rest):
        if name == "pydicom":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"need pydicom; install it with pip install 'hviskd\[dicom\]'"):
        read_annotation(path)
