"""The help with keys, and that every tool is named, reached and seen without a mouse."""

import pytest

from .pages import SETTINGS

pytestmark = pytest.mark.slow


@pytest.fixture
def opened(mapped, turn):
    return turn(mapped.address)


def test_the_question_mark_shows_the_keys_and_escape_hides_them(opened):
    page = opened.page
    page.keyboard.press("?")
    assert page.get_by_role("dialog", name="Keys").is_visible()
    page.keyboard.press("d")  # nothing of the page moves meanwhile
    assert opened.evaluate("hviskd.board.tools.name") == "look"
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()
    page.get_by_role("button", name="Keys", exact=True).click()
    page.get_by_role("button", name="Close", exact=True).click()
    assert not page.get_by_role("dialog").is_visible()
    page.fill("#slide-filter", "?")
    assert not page.get_by_role("dialog").is_visible()


def test_every_tool_has_a_name_and_a_key_that_the_help_tells(opened):
    page = opened.page
    told = {}
    page.keyboard.press("?")
    for row in page.locator("#key-help dt").all():
        told[row.inner_text()] = row.locator("xpath=following-sibling::dd[1]").inner_text()
    page.keyboard.press("Escape")
    for button in page.locator("#tools button").all():
        name, key = button.get_attribute("aria-label"), button.get_attribute("aria-keyshortcuts")
        assert told[name] == key
        assert button.get_attribute("title") == f"{name} ({key})"
        page.keyboard.press(key)
        assert button.get_attribute("aria-pressed") == "true"
        assert page.locator("#tools button[aria-pressed=true]").count() == 1


def test_a_key_in_a_field_is_a_letter(opened):
    page = opened.page
    page.locator("#slide-filter").press("d")
    assert opened.evaluate("hviskd.board.tools.name") == "look"
    assert page.input_value("#slide-filter") == "d"


@pytest.fixture
def screen(opened):
    """A function that gives the page another screen until the test ends."""

    def screen(size, scheme):
        opened.page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
        opened.page.emulate_media(color_scheme=scheme)
        opened.page.wait_for_function(f"() => document.documentElement.dataset.theme === '{scheme}'")
        opened.settled()

    yield screen
    screen(SETTINGS["viewport"].values(), "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (1024, 768), (820, 1180)])
def test_what_draws_is_on_the_screen_and_named(opened, screen, scheme, size):
    page = opened.page
    screen(size, scheme)
    page.keyboard.press("e")
    page.wait_for_selector("#draw-list button")
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    stage = page.locator("#stage").bounding_box()
    tools = page.locator("#tools").bounding_box()
    assert tools["y"] >= stage["y"]
    assert tools["y"] + tools["height"] <= page.locator("#scale").bounding_box()["y"]
    unnamed = page.evaluate(
        """() => {
          const named = (each) => each.ariaLabel || each.innerText?.trim() || each.labels?.length;
          const all = [...document.querySelectorAll("button, input, select")];
          return all.filter((each) => each.offsetParent && !named(each)).map((each) => each.id);
        }"""
    )
    assert unnamed == []


def test_arrows_go_from_tool_to_tool_and_choose_among_classes(opened):
    page = opened.page
    focused = "document.activeElement.ariaLabel ?? document.activeElement.innerText"
    page.locator("#tool-look").focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "Draw a polygon"
    assert opened.evaluate("hviskd.board.tools.name") == "look"  # until it is pressed
    page.keyboard.press("Enter")
    assert opened.evaluate("hviskd.board.tools.name") == "polygon"
    page.wait_for_selector("#draw-list button")
    before = opened.evaluate("hviskd.view.centre")
    page.locator("#draw-classes button").first.focus()
    for name in ("rim", "tumour"):
        page.keyboard.press("ArrowDown")
        assert page.evaluate(focused) == name
        assert opened.evaluate("hviskd.board.drawing.label") == name
    page.keyboard.press("ArrowUp")
    assert page.get_by_role("radio", name="rim").get_attribute("aria-checked") == "true"
    assert opened.evaluate("hviskd.view.centre") == before
    assert opened.evaluate("hviskd.board.drawing.past.length") == 0


def test_the_focus_is_seen_on_what_draws(opened):
    page = opened.page
    page.keyboard.press("e")
    page.wait_for_selector("#draw-list button")
    for selector in ("#tool-polygon", "#draw-classes button", "#draw-new-name", "#draw-list button", "#keys"):
        page.locator(selector).first.focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Shift+Tab")
        assert page.evaluate("document.activeElement.matches(':focus-visible')")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_slide_without_a_map_has_no_region_to_take(opened):
    page = opened.page
    page.locator("#slide-list button", has_text="C.svs").click()
    page.wait_for_function("() => document.title.startsWith('C.svs')")
    opened.settled()
    assert page.locator("#tool-region").is_disabled()
    page.keyboard.press("c")
    assert opened.evaluate("hviskd.board.tools.name") == "look"
