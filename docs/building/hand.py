"""The hand of somebody who follows the tutorial on drawing, and sends to a running viewer what its page sends.

What it draws on a synthetic slide are regions that the slide was drawn with, a little inside their borders.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import shapely

    from hviskd.viewer import Viewer

_SEEN_AS = {"CT": "tumour", "CTpan": "tumour", "CTne": "necrosis", "LE": "brain"}  # what a person would call it
_INSIDE_PX = 5
_LEAST_SURE = 25  # tiles of each slide that are looked at


class Page:
    """Asks a viewer as its page in a browser does."""

    def __init__(self, viewer: "Viewer") -> None:
        address = urlsplit(viewer.address)
        self._place = address.netloc
        self._headers = {"Cookie": f"hviskd-{address.port}={address.query.removeprefix('token=')}"}
        token = self.ask("/write-token")["token"]
        self._headers |= {
            "Content-Type": "application/json",
            "Origin": f"http://{address.netloc}",
            "X-Hviskd-Token": token,
        }

    def ask(self, path: str, sent: object = None) -> Any:
        """Return the answer to a question, or to what is sent."""
        with closing(HTTPConnection(self._place, timeout=60)) as connection:
            body = None if sent is None else json.dumps(sent)
            connection.request("GET" if sent is None else "POST", path, body, self._headers)
            answer = connection.getresponse()
            said = answer.read()
        assert answer.status == 200, said
        return json.loads(said)


def draw(viewer: "Viewer") -> None:
    """Outline the largest region of each class on every slide."""
    page = Page(viewer)
    for slide in page.ask("/slides")["slides"]:
        regions = sorted(_regions(slide["name"]), key=lambda region: -region[1].area)
        largest = {label: (label, shape) for label, shape in reversed(regions)}
        _add(page, slide, list(largest.values()))


def correct(viewer: "Viewer") -> None:
    """Outline the regions round the least sure tiles of every slide."""
    import shapely

    page = Page(viewer)
    for slide in page.ask("/slides")["slides"]:
        sure_least = page.ask(f"/slides/{slide['key']}/least-sure/0")["tiles"][:_LEAST_SURE]
        places = shapely.MultiPoint([(tile["x"], tile["y"]) for tile in sure_least])
        _add(page, slide, [(label, shape) for label, shape in _regions(slide["name"]) if shape.intersects(places)])


def look(viewer: "Viewer") -> None:
    """See all slides."""
    Page(viewer).ask("/slides")


def _add(page: Page, slide: dict[str, Any], regions: "list[tuple[str, shapely.Polygon]]") -> None:
    """Draw regions on a slide, over what is there."""
    path = f"/slides/{slide['key']}/drawing"
    there = page.ask(path)
    colours = {each["name"]: each["colour"] for each in there["classes"]}
    drawn = [
        {"label": label, "colour": colours[label], "polygons": [[[c for xy in shape.exterior.coords[:-1] for c in xy]]]}
        for label, shape in regions
    ]
    answer = page.ask(path, {"revision": there["revision"], "regions": [*there["regions"], *drawn]})
    assert answer["kept"] is None, answer


def _regions(slide: str) -> "Iterator[tuple[str, shapely.Polygon]]":
    """Give what a person would see on a synthetic slide: a class, and the inner part of a region."""
    import shapely

    from hviskd.annotations import read_annotation

    for region in read_annotation(f"cohort/annotations/{Path(slide).stem}.geojson").regions:
        if label := _SEEN_AS.get(region.label):
            for part in shapely.get_parts(region.geometry.buffer(-_INSIDE_PX)):
                yield label, part.simplify(_INSIDE_PX - 1)


_HANDS: dict[str, Callable[["Viewer"], None]] = {"draw": draw, "correct": correct, "look": look}


def at_work(what: str) -> Any:
    """Let a hand do this in every viewer that is opened, instead of a person, and then end it."""
    return _working(_HANDS[what]) if what else nullcontext()


@contextmanager
def _working(hand: Callable[["Viewer"], None]) -> Iterator[None]:
    from hviskd.viewer import Viewer

    with patch.object(Viewer, "wait", hand), patch("webbrowser.open", return_value=True):
        yield
