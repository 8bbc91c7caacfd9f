"""The page in a browser: the slide where it should be, the scale bar, powers, addresses that are kept, every screen."""

import numpy as np
import pytest
import tifffile

from hviskd.slides import open_slide
from hviskd.slides.slide_picture import round_length
from hviskd.viewer import open_viewer
from tests.slides.make import patterned
from tests.viewer.asking import ask
from tests.viewer.pages import expected


@pytest.mark.slow
def test_it_opens_with_the_first_good_slide_and_asks_nothing_of_others(viewer, look, keys):
    opened = look(f"{viewer.address}#slide={keys['one.svs']}")
    page = opened.page
    assert page.title() == "one.svs – hviskd"
    assert "token" not in page.url
    assert page.inner_text("#notice").startswith("Research software, not a medical device.")
    assert page.inner_text("#told") == "one.svs is open"
    assert "1,500 × 1,100 px" in page.inner_text("#facts")
    assert all(url.startswith(viewer.address.partition("?")[0]) for url in opened.requests)
    pictures = [url for url in opened.requests if "/tiles/" in url or "/thumbnail" in url]
    assert len(pictures) > 3
    start = ask(viewer, "/slides").json["slides"][0]["start"]
    assert all(url.endswith(f"?start={start}") for url in pictures)


@pytest.mark.slow
def test_the_picture_is_the_slide_at_that_place(viewer, turn, keys, slides):
    opened = turn(f"{viewer.address}#slide={keys['one.svs']}&x=700.5&y=500.5&power=20")
    seen = opened.picture().astype(int)
    with open_slide(slides / "one.svs") as slide:
        right = expected(slide, opened, seen.shape)
        off = expected(slide, opened, seen.shape, aside_px=4)
    assert np.abs(seen - right).mean() < 2.5  # what JPEG loses
    assert np.abs(seen - off).mean() > 6  # four px aside


@pytest.mark.slow
def test_the_file_s_own_tiles_have_their_colours(look, tmp_path):
    """JPEG itself does not say in what a TIFF's tiles hold colours; a browser that is not told shows green for red."""
    image = patterned(1500, 1100, seed=1, grain_px=60)
    said = "Aperio Image Library v12\r\n1500x1100 (256x256) of test|AppMag = 20|MPP = 0.5"
    told = {"tile": (256, 256), "compression": "jpeg", "description": said, "metadata": None}
    for colours in ("rgb", "ycbcr"):
        tifffile.imwrite(tmp_path / f"{colours}.svs", image, photometric=colours, **told)
    with open_viewer(tmp_path) as viewer:
        opened = look(viewer.address)
        for row in ask(viewer, "/slides").json["slides"]:
            opened.turn_to(f"slide={row['key']}&x=700&y=500&power=20")
            with open_slide(tmp_path / row["name"]) as slide:
                assert slide.jpeg_tile_px(0) == 256
                assert opened.page.inner_text("#title") == slide.path.name
                seen = opened.picture().astype(int)
                away = np.abs(seen - expected(slide, opened, seen.shape))
            assert away.mean() < 1.5  # edge tiles are compressed again


@pytest.mark.slow
def test_powers_are_those_of_a_microscope_and_the_scale_bar_is_right(viewer, turn, keys):
    opened = turn(f"{viewer.address}#slide={keys['one.svs']}")
    off = opened.page.locator("#powers button:disabled").all_inner_texts()
    assert off == ["1.25×", "2.5×", "5×"]  # at which a slide of less than a mm would be a stamp on the screen
    for number, power in ((4, 10), (5, 20), (6, 40)):
        if number % 2:
            opened.press(f"{power}×")
        else:
            opened.page.keyboard.press(str(number))
            opened.settled()
        assert opened.evaluate("hviskd.view.umPerPx") == pytest.approx(10 / power, rel=1e-6)
        assert opened.page.get_attribute("#powers [aria-pressed=true]", "title") == f"Key {number}"
        um = float(opened.page.get_attribute("#scale", "data-um"))
        width = opened.evaluate("document.getElementById('scale-line').getBoundingClientRect().width")
        assert um == round_length(160 * 10 / power)
        assert width == pytest.approx(um * power / 10, abs=0.6)
        assert opened.page.inner_text("#scale-text") == f"{um:g} µm"
    opened.press("Whole")
    assert opened.evaluate("hviskd.view.power") < 10


@pytest.mark.slow
def test_an_address_that_was_kept_reopens_the_view(viewer, look, turn, keys):
    opened = turn(f"{viewer.address}#slide={keys['two.svs']}")
    opened.evaluate("hviskd.view.lookAt(300, 400, 25)")
    opened.settled()
    opened.page.wait_for_function("() => location.hash.includes('power=25')")
    kept = opened.page.url
    again = look(f"{viewer.address}#{kept.partition('#')[2]}")
    assert again.page.title() == "two.svs – hviskd"
    assert again.evaluate("hviskd.view.centre") == pytest.approx({"x": 300, "y": 400}, abs=0.01)
    assert again.evaluate("hviskd.view.power") == pytest.approx(25, rel=1e-6)
    again.page.goto(f"{again.page.url.partition('#')[0]}#slide={keys['one.svs']}&x=700&y=500&power=20&views=2")
    again.page.wait_for_function("() => document.title.startsWith('one.svs')")  # in the same page
    again.settled()
    assert again.evaluate("hviskd.panes.list.map(({view}) => view.centre.x)") == [pytest.approx(700, abs=0.01)] * 2


@pytest.mark.slow
def test_a_damaged_slide_says_why_and_another_one_opens(viewer, turn, keys):
    opened = turn(f"{viewer.address}#slide={keys['broken.svs']}")
    assert opened.page.inner_text("#problem").startswith("broken.svs: damaged or not a slide")
    assert not opened.page.is_visible("#scale")
    assert opened.page.locator("#powers button:enabled").count() == 0
    opened.page.locator("#slide-list button", has_text="two.svs").click()
    opened.page.wait_for_selector("#problem", state="hidden")
    opened.settled()
    assert opened.page.inner_text("#title") == "two.svs"
    assert opened.page.get_attribute("#slide-list [aria-current=true]", "data-key") == keys["two.svs"]


@pytest.mark.slow
def test_an_address_with_nonsense_shows_the_first_slide(viewer, turn):
    opened = turn(f"{viewer.address}#slide=../../x&x=600&y=500&power=20")
    first = opened.page.locator("#slide-list button").first
    assert first.get_attribute("aria-current") == "true"
    assert opened.page.inner_text("#problem").startswith(f"{first.locator('.name').inner_text()}: ")


@pytest.mark.slow
def test_an_address_with_a_place_that_makes_no_sense_shows_the_whole_slide(viewer, turn, keys):
    opened = turn(f"{viewer.address}#slide={keys['one.svs']}&x=NaN&y=1e999&power=<b>&views=99&layers=<i>:-1")
    assert opened.page.inner_text("#title") == "one.svs"
    assert opened.evaluate("[hviskd.panes.list.length, hviskd.view.isHome]") == [1, True]


@pytest.mark.slow
def test_light_and_dark_follow_the_system_and_the_user(viewer, look, keys):
    address = f"{viewer.address}#slide={keys['one.svs']}"
    opened = look(address, color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = opened.evaluate(background)
    opened.press("Use light colours")
    assert opened.evaluate(background) != dark
    opened.page.reload()
    opened.settled()
    assert opened.evaluate(background) != dark
    opened.evaluate("localStorage.clear()")  # where others have chosen nothing
    opened.page.reload()
    opened.settled()
    assert opened.evaluate(background) == dark


@pytest.mark.slow
def test_on_a_tablet_nothing_is_cut_off_and_the_list_is_a_drawer(viewer, look, keys):
    landscape, portrait = {"width": 1024, "height": 768}, {"width": 820, "height": 1180}
    opened = look(f"{viewer.address}#slide={keys['one.svs']}", screen=landscape, touched=True)
    check_a_tablet(opened, landscape)
    opened.page.set_viewport_size(portrait)
    opened.turn_to(f"slide={keys['one.svs']}")
    check_a_tablet(opened, portrait)


def check_a_tablet(opened, tablet):
    page = opened.page
    assert opened.evaluate("navigator.maxTouchPoints > 0 && innerWidth") == tablet["width"]
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for selector in ("#title", "#powers", "#save", "#keys", "#panel", "#scale", "#notice"):
        box = page.locator(selector).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= tablet["width"]
        assert box["y"] + box["height"] <= tablet["height"]
    assert not page.is_visible("#slides")
    page.get_by_role("button", name="Slides").click()
    page.locator("#slide-list button", has_text="two.svs").click()
    page.wait_for_function("() => document.title.startsWith('two.svs')")
    opened.settled()
    assert not page.is_visible("#slides")


@pytest.mark.slow
def test_everything_can_be_reached_and_seen_with_the_keyboard(viewer, look, keys):
    opened = look(f"{viewer.address}#slide={keys['one.svs']}")
    reached = []
    for _ in range(20):
        opened.page.keyboard.press("Tab")
        reached.append(
            opened.evaluate(
                """(() => {const at = document.activeElement, style = getComputedStyle(at);
                return [at.getAttribute("aria-label") ?? at.textContent.trim(), style.outlineStyle,
                        parseFloat(style.outlineWidth)]})()"""
            )
        )
    names = [name for name, *_ in reached]
    for name in ("Whole", "10×", "40×", "Use dark colours", "one.svs", "two.svs"):
        assert name in names
    assert any(name.startswith("one.svs; arrow keys pan") for name in names)
    assert all(style == "solid" and width >= 2 for name, style, width in reached if name in ("10×", "two.svs"))
