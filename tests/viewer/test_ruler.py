"""The ruler measures by the slide's own µm/px, with mouse and keys, and says nothing where there is none."""

import math
import shutil

import numpy as np
import pytest
from PIL import Image

from hviskd.slides import CohortSlide
from hviskd.viewer import open_viewer

pytestmark = pytest.mark.slow


def measured(opened):
    return opened.evaluate("hviskd.board.tools.tools.ruler.ends.length && hviskd.board.tools.tools.ruler.um")


@pytest.fixture
def opened(viewer, keys, turn):
    opened = turn(f"{viewer.address}#slide={keys['one.svs']}")
    opened.page.keyboard.press("m")
    return opened


def point(opened, column, row):
    box = opened.page.locator("#picture").bounding_box()
    return box["x"] + column, box["y"] + row


def test_two_clicks_or_one_drag_measure_what_lies_between(opened):
    page, step = opened.page, opened.place()[0]
    expected = math.hypot(300, 120) * step * 0.5  # µm/px of one.svs
    page.mouse.click(*point(opened, 150, 200))
    page.mouse.move(*point(opened, 300, 260))
    page.mouse.click(*point(opened, 450, 320))
    assert measured(opened) == pytest.approx(expected, rel=1e-6)
    told = page.inner_text("#told")
    assert float(told.split()[0]) == pytest.approx(expected, rel=0.005)
    assert told.endswith("µm long")
    page.mouse.move(*point(opened, 100, 100))
    assert measured(opened) == pytest.approx(expected, rel=1e-6)  # it stays
    before = opened.place()
    page.mouse.move(*point(opened, 200, 200))
    page.mouse.down()
    page.mouse.move(*point(opened, 400, 200), steps=4)
    page.mouse.up()
    assert measured(opened) == pytest.approx(200 * step * 0.5, rel=1e-6)
    assert opened.place() == before  # and the slide stays, too


def test_the_length_does_not_change_with_the_zoom_but_the_line_does(opened):
    page = opened.page
    page.mouse.click(*point(opened, 200, 300))
    page.mouse.click(*point(opened, 400, 300))
    um = measured(opened)

    def long_px():
        painted = opened.overlay()
        columns = np.flatnonzero((painted[..., 3] > 200).any(axis=0))
        return columns.max() - columns.min()

    opened.set_layers()
    first = long_px()
    assert first == pytest.approx(200, abs=8)
    opened.evaluate("(({x, y}) => hviskd.view.lookAt(x, y, hviskd.view.power * 1.5))(hviskd.view.centre)")
    opened.settled()
    assert measured(opened) == um
    assert long_px() == pytest.approx(300, abs=8)


def test_keys_measure_from_place_to_place(opened):
    page = opened.page
    places = []
    for x, y in ((300, 300), (900, 700)):
        opened.evaluate(f"hviskd.view.lookAt({x}, {y}, 10)")
        opened.settled()
        page.keyboard.press("Enter")
        places.append(opened.evaluate("(({x, y}) => [x, y])(hviskd.view.centre)"))
        opened.evaluate("hviskd.view.lookAt(600, 500, 10)")
        opened.overlay()
        if len(places) == 1:  # the other end is at the cross
            assert measured(opened) == pytest.approx(0.5 * math.dist(places[0], (600, 500)), rel=0.01)
    assert measured(opened) == pytest.approx(0.5 * math.dist(*places), rel=1e-6)
    page.keyboard.press("Escape")
    assert measured(opened) == 0
    assert opened.evaluate("hviskd.board.tools.name") == "ruler"
    page.keyboard.press("Escape")
    assert opened.evaluate("hviskd.board.tools.name") == "look"


def test_a_millimetre_is_told_as_one(slides, look, tmp_path):
    shutil.copy(slides / "two.svs", tmp_path / "two.svs")
    with open_viewer([CohortSlide(tmp_path / "two.svs", 4.0)]) as viewer:  # µm/px given by the user
        opened = look(viewer.address)
        opened.page.keyboard.press("m")
        step = opened.place()[0]
        opened.page.mouse.click(*point(opened, 200, 200))
        opened.page.mouse.click(*point(opened, 500, 200))
        assert opened.page.inner_text("#told") == f"{float(f'{300 * step * 4 / 1000:.3g}'):g} mm long"


def test_without_um_per_px_there_is_no_number(look, tmp_path):
    Image.new("RGB", (600, 400), "white").save(tmp_path / "flat.png")
    with open_viewer(tmp_path / "flat.png") as viewer:
        opened = look(viewer.address)
        assert "µm/px" in opened.page.inner_text("#problem")
        opened.page.keyboard.press("m")
        assert not opened.page.is_visible("#tools")
        assert "long" not in opened.page.inner_text("#told")
