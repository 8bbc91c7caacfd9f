"""Drawing with mouse and keys: what is saved lies where the pointer was, and every step can be undone."""

import json
from urllib.parse import urlsplit

import numpy as np
import pytest
import shapely

from hviskd.annotations import read_annotation
from hviskd.viewer import DrawnBy, OnSlides, open_viewer
from tests.slides.make import stained, write_svs

from .hand import CORNERS, Hand, corners_of, drawn, same_ring
from .mapped import CELL, labels, square

pytestmark = pytest.mark.slow


@pytest.fixture
def opened(folder, to_draw_on, turn):
    opened = turn(to_draw_on.address)
    opened.evaluate("hviskd.view.lookAt(640, 480, 15)")
    opened.settled()
    return opened


@pytest.fixture
def hand(opened):
    return Hand(opened)


def test_a_polygon_is_saved_where_the_mouse_was(hand, opened, folder):
    hand.polygon(*CORNERS)
    opened.page.wait_for_function("() => !hviskd.board.keeping.unsaved")  # by itself, soon
    (region,) = drawn(folder)
    assert (region.label, region.colour) == ("normal", (0, 114, 178))
    assert same_ring(corners_of(region), np.array(hand.at), within=opened.place()[0])
    assert opened.page.inner_text("#draw-note") == "Saved in A.geojson"
    assert (
        json.loads((folder / "slides" / "A.geojson").read_text())["features"][0]["properties"]["objectType"]
        == "annotation"
    )


def test_it_closes_by_a_double_click_and_at_its_first_corner(hand, opened, folder):
    page = opened.page
    page.keyboard.press("d")
    page.wait_for_selector("#draw-section:not([hidden])")
    for corner in CORNERS[:3]:
        hand.click(*corner)
    hand.rest()
    hand.go(CORNERS[3])
    box = page.locator("#picture").bounding_box()
    step, left, top = opened.place()
    page.mouse.dblclick(box["x"] + (hand.at[3][0] - left) / step, box["y"] + (hand.at[3][1] - top) / step)
    assert opened.evaluate("hviskd.board.drawing.regions.length") == 1
    assert opened.place()[0] == pytest.approx(step)  # it did not zoom
    for x, y in [*CORNERS[:3], (900 - 15 * step, 500)]:
        hand.go((x, y))
        page.mouse.down()
        page.mouse.up()  # the last two are two corners, however soon they come
    hand.rest()
    hand.click(*CORNERS[0])
    hand.saved()
    first, second = drawn(folder)
    assert (len(corners_of(first)), len(corners_of(second))) == (4, 4)


def test_a_drag_pans_while_a_polygon_is_drawn(to_draw_on, look, folder):
    opened = look(to_draw_on.address, reduced_motion="no-preference")
    opened.evaluate("hviskd.view.lookAt(640, 480, 15)")
    opened.settled()
    hand, page = Hand(opened), opened.page
    page.keyboard.press("d")
    page.wait_for_selector("#draw-section:not([hidden])")
    hand.click(*CORNERS[0])
    before = opened.place()
    hand.drag((700, 500), (650, 470), (600, 450))
    opened.settled()
    assert opened.place()[1] > before[1] + 60  # it flows on where the mouse was quick
    for corner in CORNERS[1:]:
        hand.click(*corner)
    page.keyboard.press("Shift+Enter")
    hand.saved()
    (region,) = drawn(folder)
    clicked = np.array([hand.at[0], *hand.at[-3:]])
    assert same_ring(corners_of(region), clicked, within=opened.place()[0])


def test_freehand_follows_the_mouse(hand, opened, folder):
    page = opened.page
    page.keyboard.press("f")
    page.wait_for_selector("#draw-section:not([hidden])")
    page.get_by_role("radio", name="tumour").click()
    turn = np.linspace(0, 2 * np.pi, 80)
    hand.drag(*np.stack([640 + 200 * np.cos(turn), 480 + 150 * np.sin(turn)], axis=1).tolist())
    hand.saved()
    (region,) = drawn(folder)
    assert region.label == "tumour"
    path = shapely.Polygon(hand.at)
    assert shapely.hausdorff_distance(region.geometry.exterior, path.exterior) < 2 * opened.place()[0]
    assert len(corners_of(region)) < 80


def test_freehand_draws_with_keys_alone(opened, folder):
    page = opened.page
    page.keyboard.press("f")
    page.wait_for_selector("#draw-section:not([hidden])")
    middle = "(({x, y}) => [x, y])(hviskd.view.centre)"
    begin, step = np.array(opened.evaluate(middle)), opened.place()[0]
    page.keyboard.press("Enter")
    for key, times in (("Shift+ArrowRight", 3), ("ArrowDown", 4), ("Shift+ArrowDown", 3), ("Shift+ArrowLeft", 3)):
        for _ in range(times):
            page.keyboard.press(key)
    assert opened.evaluate(middle) == pytest.approx(begin + np.array([0, 34 * step]))
    page.keyboard.press("Enter")
    page.wait_for_function("() => !hviskd.board.keeping.unsaved")
    (region,) = drawn(folder)
    path = shapely.Polygon(begin + np.array([(0, 0), (30, 0), (30, 34), (0, 34)]) * step)
    assert shapely.hausdorff_distance(region.geometry.exterior, path.exterior) < 0.1
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Escape")  # gives up what was begun
    page.keyboard.down("ArrowUp")  # and arrows pan again, for as long as they are held
    page.wait_for_function("most => hviskd.view.centre.y < most", arg=float(begin[1] + 10 * step))
    page.keyboard.up("ArrowUp")
    assert opened.evaluate("[hviskd.board.tools.name, hviskd.board.drawing.regions.length]") == ["freehand", 1]


def test_corners_are_moved_added_and_removed(hand, opened, folder):
    page = opened.page
    hand.polygon(*CORNERS)
    page.keyboard.press("e")
    hand.click(600, 450)
    hand.drag(CORNERS[1], (820, 300), (850, 280))
    moved = hand.at[-1]
    hand.drag((500, 500), (480, 520), (450, 540))  # the middle of the left border
    added = hand.at[-1]
    hand.saved()
    (region,) = drawn(folder)
    within = opened.place()[0]
    found = corners_of(region)
    assert len(found) == 5
    for place in (moved, added):
        assert np.abs(found - place).max(axis=1).min() <= within
    hand.click(*added)
    page.keyboard.press("Delete")
    hand.saved()
    assert len(corners_of(drawn(folder)[0])) == 4
    page.keyboard.press("Escape")
    hand.click(600, 450)
    page.keyboard.press("Delete")
    hand.saved()
    assert drawn(folder) == ()


def test_every_step_is_undone_and_done_again(hand, opened, folder):
    page = opened.page

    def now():
        return opened.evaluate("hviskd.board.drawing.regions.map(({label, polygons}) => [label, polygons])")

    hand.polygon(*CORNERS)
    steps = [[], now()]
    page.keyboard.press("e")
    hand.click(600, 450)
    page.get_by_role("radio", name="rim").click()
    steps.append(now())
    hand.drag(hand.at[2], (950, 600))
    steps.append(now())
    page.keyboard.press("Escape")
    hand.click(600, 450)
    page.get_by_role("button", name="Delete", exact=True).click()
    steps.append(now())
    assert [len(step) for step in steps] == [0, 1, 1, 1, 0]
    for step in reversed(steps[:-1]):
        page.keyboard.press("Control+z")
        assert now() == step
    assert page.locator("#draw-undo").is_disabled()
    for step in steps[1:]:
        page.keyboard.press("Control+y")
        assert now() == step
    page.locator("#draw-undo").click()
    hand.saved()
    (region,) = drawn(folder)
    assert region.label == "rim"


def test_keys_alone_draw_change_and_remove(opened, folder):
    page = opened.page
    page.keyboard.press("d")
    page.wait_for_selector("#draw-section:not([hidden])")
    places = []
    for x, y in CORNERS:
        opened.evaluate(f"hviskd.view.lookAt({x}, {y}, 20)")
        page.keyboard.press("Enter")
        places.append(opened.evaluate("(({x, y}) => [x, y])(hviskd.view.centre)"))
    page.keyboard.press("Enter")
    page.keyboard.press("Backspace")
    page.keyboard.press("Shift+Enter")
    page.wait_for_function("() => !hviskd.board.keeping.unsaved")
    (region,) = drawn(folder)
    assert same_ring(corners_of(region), np.array(places), within=0.1)
    page.keyboard.press("e")
    page.keyboard.press("j")
    page.keyboard.press(".")
    opened.settled()
    step = opened.place()[0]
    centre = opened.evaluate("hviskd.view.centre.x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("i")
    page.wait_for_function("() => !hviskd.board.keeping.unsaved")
    assert opened.evaluate("hviskd.view.centre.x") == pytest.approx(centre)  # arrows move the corner, not the slide
    found = corners_of(drawn(folder)[0])
    assert len(found) == 5
    assert np.abs(found - np.add(places[0], (step, 10 * step))).max(axis=1).min() < 0.1
    page.keyboard.press("Escape")
    page.keyboard.press("Delete")
    page.wait_for_function("() => !hviskd.board.keeping.unsaved")
    assert drawn(folder) == ()


def test_nothing_is_drawn_before_the_outlines_there_are_known(hand, opened, folder):
    page, waiting = opened.page, []
    page.route("**/drawing", lambda route: waiting.append(route))
    page.keyboard.press("d")
    for corner in CORNERS:
        hand.click(*corner)
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Enter")
    assert not page.is_visible("#draw-section")
    waiting[0].continue_()
    page.unroute("**/drawing")
    page.wait_for_selector("#draw-section:not([hidden])")
    assert opened.evaluate("[hviskd.board.drawing.regions.length, hviskd.board.tools.current.points.length]") == [0, 0]
    hand.at.clear()
    hand.polygon(*CORNERS)
    hand.saved()
    assert len(drawn(folder)) == 1


def test_letters_turn_and_flip_nothing(opened):
    page = opened.page
    page.locator(".openseadragon-canvas").first.focus()
    for key in "rRfdwasl":
        page.keyboard.press(key)
    assert opened.evaluate("[hviskd.view.osd.viewport.getRotation(), hviskd.view.osd.viewport.getFlip()]") == [0, False]
    assert opened.evaluate("hviskd.board.tools.name") == "look"


def test_a_region_of_the_map_is_taken_to_correct(hand, opened, folder):
    page = opened.page
    hand.polygon(*CORNERS)
    page.keyboard.press("c")
    row, column = 8, 9
    hand.click((column + 0.5) * CELL, (row + 0.5) * CELL)
    page.wait_for_function("() => hviskd.board.drawing.selected")
    hand.saved()
    region, by_hand = drawn(folder)
    assert len(corners_of(by_hand)) == 4  # and counts where they overlap
    assert region.label == ("normal", "rim", "tumour")[labels(0)[row, column]]
    assert page.get_by_role("radio", name=region.label).get_attribute("aria-checked") == "true"
    rows, columns = np.indices(labels(0).shape)
    inside = shapely.contains(region.geometry, shapely.points((columns + 0.5) * CELL, (rows + 0.5) * CELL))
    assert inside[row, column]
    assert set(labels(0)[inside]) == {labels(0)[row, column]}
    assert region.geometry.area == inside.sum() * CELL**2
    assert opened.evaluate("hviskd.board.tools.name") == "edit"
    page.get_by_role("radio", name="tumour").click()
    page.keyboard.press("c")
    hand.click(8.5 * CELL, 3.5 * CELL)  # the map has no tile there
    page.wait_for_function("() => document.getElementById('draw-note').textContent === 'The map has no tile here'")


def test_a_class_of_one_s_own_gets_a_colour_of_its_own(hand, opened, folder):
    page = opened.page
    page.keyboard.press("d")
    page.wait_for_selector("#draw-section:not([hidden])")
    page.fill("#draw-new-name", " necrosis ")
    page.keyboard.press("Enter")
    page.locator(".openseadragon-canvas").first.focus()
    hand.polygon(*CORNERS)
    hand.saved()
    (region,) = drawn(folder)
    assert region.label == "necrosis"
    assert region.colour not in ((0, 114, 178), (213, 94, 0), (0, 158, 115), None)
    page.reload()
    opened.settled()
    page.keyboard.press("e")
    page.wait_for_selector("#draw-section:not([hidden])")
    assert page.locator("#draw-classes").inner_text().split() == ["normal", "rim", "tumour", "necrosis"]


def test_outlines_of_qupath_are_changed_and_the_file_is_kept(folder, look):
    theirs = (folder / "drawn" / "A.geojson").read_bytes()
    with open_viewer(folder / "slides", OnSlides(drawn=DrawnBy(folder / "drawn"))) as viewer:
        opened = look(viewer.address)
        hand = Hand(opened)
        opened.page.keyboard.press("e")
        opened.page.wait_for_selector("#draw-list button")
        assert opened.page.inner_text("#draw-note") == "From drawn/A.geojson"
        hand.click(400, 400)
        opened.page.keyboard.press("Delete")
        hand.saved()
        assert opened.page.inner_text("#draw-note") == (
            "Saved in drawn/A.geojson; the file as it was is kept as A-original.geojson"
        )
    assert (folder / "drawn" / "A-original.geojson").read_bytes() == theirs
    (region,) = read_annotation(folder / "drawn" / "A.geojson").regions
    assert (region.label, region.geometry.bounds) == ("rim", (700, 300, 830, 430))


def test_what_was_drawn_last_is_saved_when_another_slide_is_opened(hand, opened, folder):
    hand.polygon(*CORNERS)
    opened.page.locator("#slide-list button", has_text="B.svs").click()
    opened.page.wait_for_function("() => document.title.startsWith('B.svs')")
    assert len(drawn(folder)) == 1
    assert not (folder / "slides" / "B.geojson").exists()


def test_outlines_that_come_when_the_slide_was_left_are_not_taken_for_the_next_one_s(opened):
    page, waiting = opened.page, []
    page.route("**/drawing", lambda route: waiting.append(route))
    with page.expect_request("**/drawing"):
        page.keyboard.press("d")
    with page.expect_request("**/drawing"):
        page.locator("#slide-list button", has_text="B.svs").click()
    with page.expect_response("**/drawing"):
        waiting[0].continue_()
    opened.drawn_anew()
    assert not page.is_visible("#draw-section")
    waiting[1].continue_()
    page.unroute("**/drawing")
    page.wait_for_selector("#draw-section:not([hidden])")
    assert page.inner_text("#draw-note") == "Will be saved in B.geojson"


def test_what_was_drawn_is_the_expert_s_from_then_on(hand, opened):
    page = opened.page
    hand.polygon(*CORNERS)
    hand.saved()
    page.keyboard.press("Escape")
    assert opened.evaluate("hviskd.board.tools.name") == "look"
    page.wait_for_selector("#layer-outlines")
    opened.set_layers("outlines")
    step, left, top = opened.place()
    painted = opened.overlay()
    for x, y in hand.at:
        column, row = round((x - left) / step), round((y - top) / step)
        assert (painted[row - 1 : row + 2, column - 1 : column + 2, :3] == (0, 114, 178)).all(axis=-1).any()
    opened.set_layers("disagreement")
    assert opened.overlay()[..., 3].any()


def test_an_outline_ends_at_the_border_of_the_slide(hand, opened, folder):
    opened.evaluate("hviskd.view.lookAt(50, 50, 15)")
    opened.settled()
    hand.polygon((-80, -80), (200, -80), (200, 200), (-80, 200))
    hand.saved()
    (region,) = drawn(folder)
    assert region.geometry.bounds == pytest.approx((0, 0, 200, 200), abs=opened.place()[0])


def test_a_viewer_that_was_started_again_takes_what_was_drawn_meanwhile(folder, look):
    with open_viewer(folder / "slides", OnSlides((folder / "kd",))) as first:
        opened = look(first.address)
        hand, page = Hand(opened), opened.page
        hand.polygon(*CORNERS)
        hand.saved()
        port = urlsplit(first.address).port
    with open_viewer(folder / "slides", OnSlides((folder / "kd",)), port=port) as second:
        hand.polygon((200, 200), (300, 200), (300, 300))
        page.wait_for_function(
            "() => document.getElementById('draw-note').textContent.startsWith('Not saved: open the')"
        )
        opened.context.new_page().goto(second.address)
        hand.polygon((400, 200), (500, 200), (500, 300))
        hand.saved()
        assert [len(corners_of(region)) for region in drawn(folder)] == [4, 3, 3]
    assert all("403" in complaint for complaint in opened.complaints)
    opened.complaints.clear()


def test_a_damaged_file_is_told_and_nothing_can_be_drawn_over_it(folder, look):
    (folder / "slides" / "A.geojson").write_text("{")
    with open_viewer(folder / "slides") as viewer:
        opened = look(viewer.address)
        opened.page.keyboard.press("d")
        opened.page.wait_for_function(
            "() => document.getElementById('layer-problem').textContent.includes('not valid')"
        )
        opened.page.wait_for_function("() => hviskd.board.tools.name === 'look'")  # the layer may have told it first
        assert not opened.page.is_visible("#draw-section")
        for complaint in opened.complaints:
            assert "422" in complaint
        opened.complaints.clear()
    assert (folder / "slides" / "A.geojson").read_text() == "{"


def test_many_outlines_stay_quick(folder, look):
    squares = [square(6 * (number % 200), 9 * (number // 200), 5, "rim") for number in range(10_000)]
    (folder / "slides" / "A.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": squares}))
    with open_viewer(folder / "slides") as viewer:
        opened = look(viewer.address)
        opened.page.keyboard.press("e")
        opened.page.wait_for_selector("#draw-list button")
        assert opened.page.locator("#draw-list button").count() == 300
        took = opened.evaluate(
            "((began) => (hviskd.layers.overlay.draw(), performance.now() - began))(performance.now())"
        )
        assert took < 4000  # ms, also on a busy machine; were it quadratic, it would be minutes


def test_where_there_are_no_classes_an_outline_waits_for_its_name(tmp_path, look):
    write_svs(tmp_path / "slides" / "A.svs", stained((800, 1000), 0.6, 0.7, 1), mpp=0.5, quality=None)
    with open_viewer(tmp_path / "slides") as viewer:
        opened = look(viewer.address)
        hand, page = Hand(opened), opened.page
        hand.polygon((100, 100), (300, 100), (300, 300))
        hand.saved()
        (feature,) = json.loads((tmp_path / "slides" / "A.geojson").read_text())["features"]
        assert "classification" not in feature["properties"]
        page.keyboard.press("e")
        hand.click(280, 150)
        page.fill("#draw-new-name", "lesion")
        page.keyboard.press("Enter")
        hand.saved()
        assert [region.label for region in drawn(tmp_path)] == ["lesion"]
