"""Two windows on one slide: nothing that either drew is lost."""

import pytest

from hviskd.annotations import read_annotation

from .asking import page_file
from .hand import CORNERS, Hand, corners_of, drawn

pytestmark = pytest.mark.slow


@pytest.fixture
def second(folder, to_draw_on, turn, look):
    """Of two windows on one slide the one that saves after the other."""
    first, second = turn(to_draw_on.address), look(to_draw_on.address)
    second.page.keyboard.press("d")
    second.page.wait_for_selector("#draw-section:not([hidden])")
    first.page.bring_to_front()
    hand = Hand(first)
    hand.polygon(*CORNERS)
    hand.saved()
    second.page.bring_to_front()
    Hand(second).polygon((200, 200), (300, 200), (300, 300))
    second.page.wait_for_selector("#draw-conflict:not([hidden])")
    assert second.page.inner_text("#draw-what") == "A.geojson: was changed by someone else meanwhile."
    return second


def is_refused(opened):
    """Take what the console says of the refused save out of its complaints."""
    (complaint,) = opened.complaints
    assert "409" in complaint
    opened.complaints.clear()


def test_of_two_windows_the_second_puts_both_together_and_nothing_is_lost(second, folder):
    second.page.get_by_role("button", name="Put both together").click()
    second.page.wait_for_selector("#draw-conflict", state="hidden")
    Hand(second).saved()
    assert second.page.inner_text("#draw-note").startswith("Yours and theirs are saved in A.geojson")
    assert [len(corners_of(region)) for region in drawn(folder)] == [4, 3]
    second.page.keyboard.press("Control+z")
    Hand(second).saved()
    assert [len(corners_of(region)) for region in drawn(folder)] == [3]  # mine were one step away
    is_refused(second)


def test_what_each_has_drawn_changed_and_removed_since_stays_so(mapped, turn):
    def outline(label, *ring):
        return {"label": label, "name": "", "colour": [0, 0, 0], "polygons": [[list(ring)]]}

    left, top, right, low = (outline(name, 0, 0, 9, 0, 9, 9) for name in ("left", "top", "right", "low"))
    again = outline("left", 9, 9, 9, 0, 0, 0)  # the same, begun elsewhere and run the other way
    mine = [left, outline("top", 0, 0, 9, 0, 9.5, 9), outline("mine", 1, 1, 2, 1, 2, 2)]  # `right` and `low` removed
    theirs = [again, outline("top", 0, 0, 9, 0, 9, 9.25), right, outline("theirs", 3, 3, 4, 3, 4, 4)]  # `low` removed
    both = turn(mapped.address).page.evaluate(
        "async ([at, ...three]) => (await import(at)).together(...three)",
        [page_file(mapped, "merging.js"), [left, top, right, low], mine, theirs],
    )
    assert both == [again, theirs[1], theirs[3], mine[1], mine[2]]


def test_of_two_windows_the_second_keeps_its_own_as_a_copy(second, folder):
    second.page.locator("#draw-mine").click()
    second.page.wait_for_selector("#draw-conflict", state="hidden")
    assert second.page.inner_text("#draw-note") == "Yours are kept as A-copy.geojson; theirs are shown"
    assert [len(corners_of(region)) for region in drawn(folder)] == [4]
    assert [len(corners_of(region)) for region in read_annotation(folder / "slides" / "A-copy.geojson").regions] == [3]
    assert second.evaluate("hviskd.board.drawing.regions.map(({polygons}) => polygons[0][0].length)") == [8]
    is_refused(second)


def test_or_takes_theirs_and_goes_on(second, folder):
    second.page.locator("#draw-theirs").click()
    second.page.wait_for_selector("#draw-conflict", state="hidden")
    hand = Hand(second)
    hand.polygon((200, 200), (300, 200), (300, 300))
    hand.saved()
    assert [len(corners_of(region)) for region in drawn(folder)] == [4, 3]
    second.page.keyboard.press("Control+z")
    second.page.keyboard.press("Control+z")
    hand.saved()
    assert [len(corners_of(region)) for region in drawn(folder)] == [3]  # mine were one step away
    is_refused(second)


def test_another_slide_is_opened_only_when_all_is_saved(second):
    second.page.locator("#slide-list button", has_text="B.svs").click()
    second.page.wait_for_function("() => hviskd.board.tools.name === 'edit'")  # as where a slide cannot be left
    assert second.page.title().startswith("A.svs")
    second.page.evaluate("location.hash = 'views=2'")  # nor is a kept address, which would change the views
    second.page.wait_for_function("() => location.hash.includes('slide=')")
    assert second.evaluate("hviskd.panes.list.length") == 1
    second.page.locator("#draw-theirs").click()
    second.page.wait_for_selector("#draw-conflict", state="hidden")
    second.page.locator("#slide-list button", has_text="B.svs").click()
    second.page.wait_for_function("() => document.title.startsWith('B.svs')")
    second.page.wait_for_function(
        "() => document.getElementById('draw-note').textContent === 'Will be saved in B.geojson'"
    )
    assert second.evaluate("hviskd.board.drawing.regions.length") == 0
    is_refused(second)
