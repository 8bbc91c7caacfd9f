import pytest

from hviskd.segmentation.drawing import fit_panel

from .make import map_card


@pytest.mark.parametrize("box", [(4, 1), (1, 4)])
def test_a_panel_has_the_slides_proportions(box):
    width, height = fit_panel(map_card(), *box)
    assert width / height == pytest.approx(640 / 448)
    assert width <= box[0]
    assert height <= box[1]
