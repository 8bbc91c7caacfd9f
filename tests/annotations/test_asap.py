import numpy as np
import pytest

from hviskd.annotations import UNCLASSIFIED, load_legend, read_annotation
from hviskd.annotations.drawn import NO_AREA
from hviskd.errors import DataError

from .make import by_shapely, save
from .make_xml import asap, asap_annotation, box

CUT = "regions of the group '_2' cut out of the surrounding regions"


def test_groups_are_classes_and_those_of_holes_are_cut_out(tmp_path):
    drawn = [
        asap_annotation(box(20, 20, 40, 40), group="_2"),  # as in CAMELYON16, before or after what it is cut out of
        asap_annotation(box(0, 0, 100, 80)[:-1], group="Tumor", name="focus 1"),
        asap_annotation([(50, 50), (70, 50), (75, 60), (50, 70)], group="Tumor", kind="Spline"),
        asap_annotation(box(120, 10, 150, 40), kind="Rectangle"),
        asap_annotation([(1, 1)], group="Tumor", kind="Dot"),
        asap_annotation([(1, 1), (2, 2)], group="Tumor", kind="PointSet"),
        asap_annotation([(1, 1), (2, 2)], kind="Measurement"),
    ]
    path = save(tmp_path / "tumor_001.xml", asap(*drawn, Tumor="#00ff00", _2="#0000ff"))
    found = read_annotation(path, size=(200, 100))
    assert [(region.label, region.name, region.colour) for region in found.regions] == [
        ("Tumor", "focus 1", (0, 255, 0)),
        ("Tumor", "Annotation 0", (0, 255, 0)),
        (UNCLASSIFIED, "Annotation 0", (0xF4, 0xFA, 0x58)),
    ]
    assert [region.geometry.area for region in found.regions] == [8000 - 400, 350, 900]
    assert found.remarks == {CUT: 1, NO_AREA: 3}
    image = found.rasterise(0, 0, 200, 100, 1)
    np.testing.assert_array_equal(image, by_shapely(found, 0, 0, 100, 200, 1))
    assert (image >= 0).sum() == 8000 - 400 + 900


def test_a_legend_makes_a_group_of_holes_a_class(tmp_path):
    path = save(
        tmp_path / "a.xml",
        asap(asap_annotation(box(0, 0, 90, 90), group="_0"), asap_annotation(box(9, 9, 19, 19), group="Exclusion")),
    )
    classes = "classes: [{name: tumour, colours: [[1, 2, 3]]}, {name: _0, colours: [[4, 5, 6]]}%s]\n"
    written = f"{classes}merge: {{_0: tumour}}\nname: a"
    legend = load_legend(save(tmp_path / "a.yaml", written % ""))
    found = read_annotation(path, legend=legend)
    assert [(region.label, region.geometry.area) for region in found.regions] == [("tumour", 8000)]
    legend = load_legend(save(tmp_path / "b.yaml", written % ", {name: exclusion, colours: [[7, 8, 9]]}"))
    found = read_annotation(path, legend=legend)
    assert [(region.label, region.geometry.area) for region in found.regions] == [("tumour", 8100), ("exclusion", 100)]


def test_a_damaged_annotation_is_named(tmp_path):
    path = save(tmp_path / "a.xml", asap(asap_annotation([(0, 0), ("x", 1), (2, 2)])))
    with pytest.raises(DataError, match=r"a\.xml: annotation 1: has a coordinate"):
        read_annotation(path)
