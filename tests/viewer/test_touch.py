"""Fingers on a tablet: a tap asks or sets a corner, one finger pans or draws, two zoom and draw nothing."""

import numpy as np
import pytest
import shapely

from .hand import CORNERS, corners_of, drawn, same_ring

pytestmark = pytest.mark.slow
TABLET = {"viewport": {"width": 1024, "height": 768}, "has_touch": True, "is_mobile": True}


class Fingers:
    """One or two fingers on a page, that touch at level-0 px."""

    def __init__(self, opened):
        self.opened = opened
        self.browser = opened.context.new_cdp_session(opened.page)

    def touch(self, kind, *places, first=0):
        """Tell of fingers where they are on the screen, the first of this number."""
        points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places, first)]
        self.browser.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def on_screen(self, *places):
        """Where level-0 px are on the screen, in whole px of it."""
        step, left, top = self.opened.place()
        box = self.opened.page.locator("#picture").bounding_box()
        return [(round(box["x"] + (x - left) / step), round(box["y"] + (y - top) / step)) for x, y in places]

    def tap(self, x, y):
        (at,) = self.on_screen((x, y))
        self.touch("touchStart", at)
        self.touch("touchEnd")

    def drag(self, *places):
        first, *others = self.on_screen(*places)
        self.touch("touchStart", first)
        for place in others:
            self.touch("touchMove", place)
        self.touch("touchEnd")

    def pinch(self, middle, near, far):
        """Spread two fingers from so many px of the screen on each side to so many.

        The first one moves before the second is there, and the second when the first is gone.
        """
        ((x, y),) = self.on_screen(middle)
        self.touch("touchStart", (x - near, y))
        for aside in ((-8, 8), (-8, 16), (0, 16), (0, 0)):
            self.touch("touchMove", (x - near + aside[0], y + aside[1]))
        for away in np.linspace(near, far, 6).round().tolist():
            kind = "touchStart" if away == near else "touchMove"
            self.touch(kind, (x - away, y), (x + away, y))
        self.touch("touchEnd", (x - far, y))
        for down in (10, 20):
            self.touch("touchMove", (x + far, y + down), first=1)
        self.touch("touchEnd")


@pytest.fixture
def opened(to_draw_on, look, folder):
    opened = look(to_draw_on.address, TABLET)
    opened.evaluate("hviskd.view.lookAt(640, 480, 12)")
    opened.settled()
    return opened


def test_fingers_ask_pan_zoom_and_draw(opened, folder):
    page, fingers = opened.page, Fingers(opened)
    fingers.tap(600, 450)
    page.wait_for_selector("#here-section[aria-busy=false]")
    step = opened.place()[0]
    x, y = opened.evaluate("[hviskd.here.said.x, hviskd.here.said.y]")
    assert (x, y) == pytest.approx((600, 450), abs=step)

    before = opened.place()
    fingers.drag((700, 500), (650, 470), (600, 450), (600, 450))
    opened.settled()
    assert opened.place()[1] > before[1] + 40
    assert opened.place()[0] == pytest.approx(step)
    power = opened.evaluate("hviskd.view.power")
    fingers.pinch((640, 480), 60, 120)
    opened.settled()
    assert opened.evaluate("hviskd.view.power") == pytest.approx(2 * power, rel=0.1)

    opened.evaluate("hviskd.view.lookAt(640, 480, 12)")
    opened.settled()
    page.locator("#tool-polygon").click()  # a tap soon after fingers lifted may be taken for a double one's second
    page.wait_for_selector("#draw-section:not([hidden])")
    for corner in (*CORNERS, CORNERS[0]):
        fingers.tap(*corner)
    page.locator("#tool-freehand").click()
    turn = np.linspace(0, 2 * np.pi, 40)
    path = np.stack([640 + 200 * np.cos(turn), 480 + 150 * np.sin(turn)], axis=1)
    fingers.drag(*path.tolist())
    fingers.pinch((640, 480), 60, 90)  # is no stroke
    assert opened.evaluate("hviskd.board.tools.current.points.length") == 0
    page.evaluate("hviskd.board.keeping.save()")
    page.wait_for_function("() => !hviskd.board.keeping.unsaved")
    polygon, stroke = drawn(folder)
    assert same_ring(corners_of(polygon), np.array(CORNERS), within=step)
    border = shapely.Polygon(path).exterior
    assert shapely.hausdorff_distance(stroke.geometry.exterior, border) < 3 * step
