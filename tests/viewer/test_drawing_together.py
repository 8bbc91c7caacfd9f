"""Two windows on one slide: nothing that either drew is lost."""

import pytest

from hviskd.annotations import read_annotation

from .hand import CORNERS, Hand, corners_of, drawn

pytestmark = pytest.mark.slow


@pytest.fixture
def second(folder, to_draw_on, turn, look):
    """Of two windows on one slide the one that saves after the other."""
    first, second = turn(to_draw_on.address), look(to_draw_on.address)
    hands = Hand(first), Hand(second)
    for hand in hands:
        hand.page.keyboard.press("d")
        hand.page.wait_for_selector("#draw-section:not([hidden])")
    hands[0].polygon(*CORNERS)
    hands[0].saved()
    hands[1].polygon((200, 200), (300, 200), (300, 300))
    second.page.wait_for_selector("#draw-conflict:not([hidden])")
    assert second.page.inner_text("#draw-what") == "A.geojson: was changed by someone else meanwhile."
    return second


def is_refused(opened):
    """Take what the console says of the refused save out of its complaints."""
    (complaint,) = opened.complaints
    assert "409" in complaint
    opened.complaints.clear()


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
    second.page.locator("#draw-theirs").click()
    second.page.wait_for_selector("#draw-conflict", state="hidden")
    second.page.locator("#slide-list button", has_text="B.svs").click()
    second.page.wait_for_function("() => document.title.startsWith('B.svs')")
    second.page.wait_for_function(
        "() => document.getElementById('draw-note').textContent === 'Will be saved in B.geojson'"
    )
    assert second.evaluate("hviskd.board.drawing.regions.length") == 0
    is_refused(second)
