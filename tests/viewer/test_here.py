"""A click on tissue answers in the panel: tile, probabilities, attention, expert."""

import numpy as np
import pytest

from hviskd.viewer import DrawnBy, OnSlides, open_viewer
from tests.segmentation.make import write_model

from .asking import ask
from .mapped import CELL, labels

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def viewer(cohort, tmp_path_factory):
    student = write_model(tmp_path_factory.mktemp("models") / "student")
    shown = OnSlides((cohort / "kd",), DrawnBy(cohort / "drawn"), (student,))
    with open_viewer(cohort / "slides", shown) as viewer:
        yield viewer


@pytest.fixture
def opened(viewer, turn):
    opened = turn(viewer.address)
    opened.page.wait_for_function("() => hviskd.view.facts.asks")
    return opened


def click(opened, x, y, *, held_ms=0):
    """Click where a place in level-0 px is on the screen, however long the button is held."""
    step, left, top = opened.place()
    box = opened.page.locator("#picture").bounding_box()
    opened.page.mouse.click(box["x"] + (x - left) / step, box["y"] + (y - top) / step, delay=held_ms)
    opened.page.wait_for_function("() => document.getElementById('here-section').ariaBusy === 'false'")


def rows(opened):
    cells = opened.page.locator("#here-table tbody tr").evaluate_all(
        "all => all.map(row => [...row.cells].map(cell => cell.innerText))"
    )
    return {name: values for name, *values in cells}


def test_a_click_tells_what_map_model_and_expert_say(opened, viewer):
    click(opened, 5.5 * CELL, 6.5 * CELL)
    page = opened.page
    key = opened.evaluate("hviskd.view.facts.key")
    said = ask(viewer, f"/slides/{key}/at?x={5.5 * CELL}&y={6.5 * CELL}").json["opinions"]
    assert page.locator("#here-table thead th").all_inner_texts() == ["kd\nmap", "student\nlive"]
    shown = rows(opened)
    for place, name in enumerate(("normal", "rim", "tumour")):
        for text, one in zip(shown[name], said, strict=True):
            assert float(text.removesuffix(" %")) == pytest.approx(100 * one["probabilities"][place], abs=0.51)
    top = ("normal", "rim", "tumour")[labels(0)[6, 5]]
    assert page.locator("#here-table td.top").first.inner_text() == shown[top][0]
    agrees = "agrees" if top == "tumour" else f"says {top}"
    assert page.inner_text("#here-expert").startswith("Expert: Tumour (of the tile: Tumour 100 %); kd " + agrees)
    page.wait_for_function("() => document.getElementById('here-cam').naturalWidth === 64")
    for width, height in ((820, 1180), (1024, 768), (1280, 800)):  # all of it is in sight
        page.set_viewport_size({"width": width, "height": height})
        for seen in ("#here-cam", "#here-expert", "#least-next"):
            box = page.locator(seen).bounding_box()
            assert box["y"] + box["height"] < height
    assert opened.evaluate("document.getElementById('here-tile').naturalWidth") == 64


def test_any_class_can_be_explained(opened):
    click(opened, 5.5 * CELL, 6.5 * CELL)
    page = opened.page
    first = page.get_attribute("#here-cam", "src")
    options = page.locator("#here-class option").all_inner_texts()
    assert options == ["normal", "rim", "tumour"]
    other = next(name for name in options if name != page.input_value("#here-class"))
    page.select_option("#here-class", label=other)
    assert page.get_attribute("#here-cam", "src") != first
    page.wait_for_function("() => document.getElementById('here-cam').complete")
    assert page.get_attribute("#here-cam", "alt") == f"Where student looks for {other}"
    click(opened, 8.5 * CELL, 9.5 * CELL)
    assert page.input_value("#here-class") == other  # the question stays while one looks round


def test_the_tile_is_marked_on_the_slide(opened):
    opened.set_layers()
    click(opened, 5.5 * CELL, 6.5 * CELL)
    x, y = opened.level0()
    seen = opened.overlay()[..., 3] > 200
    columns, lines = x[seen.any(axis=0)], y[seen.any(axis=1)]
    rim = 3 * opened.place()[0]
    assert columns.min() == pytest.approx(5 * CELL, abs=rim)
    assert columns.max() == pytest.approx(6 * CELL, abs=rim)
    assert (lines.min(), lines.max()) == pytest.approx((6 * CELL, 7 * CELL), abs=rim)
    middle = np.abs(y - 6.5 * CELL).argmin(), np.abs(x - 5.5 * CELL).argmin()
    assert not seen[middle]


def test_the_keyboard_asks_about_the_middle_and_closes_the_answer(opened):
    page = opened.page
    opened.evaluate("hviskd.view.lookAt(8.5 * 64, 9.5 * 64, 20)")
    opened.settled()
    page.locator(".openseadragon-canvas").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#here-section[aria-busy=false]")
    assert page.inner_text("#here-place") == "x 544, y 608 px"
    page.keyboard.press("Escape")
    assert not page.is_visible("#here-section")


def test_a_drag_asks_nothing_and_another_slide_closes_the_answer(opened):
    page = opened.page
    box = page.locator("#picture").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 360, box["y"] + 340, steps=5)
    page.mouse.up()
    opened.drawn_anew()
    assert not page.is_visible("#here-section")
    opened.settled()
    click(opened, 5.5 * CELL, 6.5 * CELL, held_ms=400)
    assert page.is_visible("#here-section")
    page.locator("#slide-list button", has_text="B.svs").click()
    page.wait_for_function("() => document.title.startsWith('B.svs')")
    assert not page.is_visible("#here-section")
