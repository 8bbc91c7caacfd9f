"""A hand that draws on the viewer's page, and what is in the files afterwards."""

import math

import numpy as np
import shapely

from hviskd.annotations import read_annotation
from hviskd.slides import open_slide

_DOUBLE_PX, _DOUBLE_MS = 30, 350  # two clicks nearer and faster than this may be a double click
CORNERS = [(400, 300), (800, 250), (900, 500), (600, 700)]


class Hand:
    """A hand with a mouse on a page, that points at level-0 px and knows where the mouse really was."""

    def __init__(self, opened):
        self.opened, self.page, self.at = opened, opened.page, []
        self.clicked = None  # where on the screen the last click was

    def go(self, *places):
        """Move to places, and return where the last one is on the screen."""
        step, left, top = self.opened.place()
        box = self.page.locator("#picture").bounding_box()
        for x, y in places:
            column, row = round((x - left) / step), round((y - top) / step)
            self.page.mouse.move(box["x"] + column, box["y"] + row)
            self.at.append((left + column * step, top + row * step))
        return column, row

    def click(self, x, y):
        place = self.go((x, y))
        if self.clicked and math.dist(place, self.clicked) < _DOUBLE_PX:
            self.rest()
        self.page.mouse.down()
        self.page.mouse.up()
        self.clicked = place

    def rest(self):
        """Wait until the next click is no part of a double click with the last one."""
        self.page.wait_for_timeout(_DOUBLE_MS)

    def drag(self, *places):
        self.go(places[0])
        self.page.mouse.down()
        self.go(*places[1:])
        self.page.mouse.up()

    def polygon(self, *corners):
        self.page.keyboard.press("d")
        self.page.wait_for_selector("#draw-section:not([hidden])")
        for corner in corners:
            self.click(*corner)
        self.page.keyboard.press("Shift+Enter")

    def saved(self):
        """Save now, as leaving the slide does; the page itself does it half a second after a change."""
        self.page.evaluate("hviskd.board.keeping.save()")
        self.page.wait_for_function("() => !hviskd.board.keeping.unsaved")


def drawn(folder, name="A"):
    with open_slide(folder / "slides" / f"{name}.svs") as slide:
        return read_annotation(folder / "slides" / f"{name}.geojson", frame=slide.frame()).regions


def corners_of(region):
    return shapely.get_coordinates(region.geometry)[:-1]


def same_ring(found, expected, within):
    """Return whether two rings have the same corners, wherever they begin and whichever way they run."""
    if len(found) != len(expected):
        return False
    turns = [np.roll(way, shift, axis=0) for way in (expected, expected[::-1]) for shift in range(len(expected))]
    return min(np.abs(found - turn).max() for turn in turns) <= within
