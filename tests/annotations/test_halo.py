import math

import pytest

from hviskd.annotations import read_annotation
from hviskd.annotations.drawn import NO_AREA

from .make import save
from .make_xml import box, halo, halo_region


def test_layers_are_classes_and_negative_regions_are_cut_out(tmp_path):
    tumour = [
        halo_region(box(0, 0, 100, 80)),
        halo_region([(10, 10), (30, 30)], kind="Ellipse", negative=True),
        halo_region([(200, 10), (150, 30)], kind="Rectangle"),
        halo_region([(0, 0), (9, 9)], kind="Ruler"),
        halo_region([(5, 5)], kind="Pin"),
    ]
    stroma = [halo_region([(40, 40), (80, 60)], kind="Ellipse")]
    path = save(tmp_path / "S1.annotations", halo(Tumour=tumour, Stroma=stroma, Empty=[]))
    drawn = read_annotation(path, size=(300, 200))
    assert [(region.label, region.colour) for region in drawn.regions] == [
        ("Tumour", (255, 247, 85)),
        ("Tumour", (255, 247, 85)),
        ("Stroma", (255, 247, 85)),
    ]
    areas = [region.geometry.area for region in drawn.regions]
    assert areas == pytest.approx([8000 - math.pi * 100, 1000, math.pi * 20 * 10], rel=2e-3)
    assert drawn.remarks == {NO_AREA: 2}
    image = drawn.rasterise(0, 0, 300, 200, 1)
    assert (image == drawn.classes.index("Tumour")).sum() == pytest.approx(areas[0] + areas[1] - areas[2], abs=25)
    assert image[20, 20] == -1
    assert image[50, 60] == drawn.classes.index("Stroma")


def test_the_content_tells_halo_from_imagescope(tmp_path):
    path = save(tmp_path / "a.xml", halo(a=[halo_region([(0, 0), (4, 4)], kind="Rectangle")]))
    assert read_annotation(path).regions[0].geometry.area == 16
