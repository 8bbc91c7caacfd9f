"""One running viewer for the tests that only look: a slide with levels, a slide of another size, and a damaged one."""

import pytest

from hviskd.viewer import DrawnBy, OnSlides, open_viewer
from tests.slides.make import patterned, write_svs
from tests.viewer.asking import ask
from tests.viewer.mapped import write_cohort
from tests.viewer.pages import WINDOW, Opened

from ..browser import chromium


@pytest.fixture(scope="session")
def slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secret-place") / "slides"
    write_svs(folder / "one.svs", patterned(1500, 1100, seed=1, grain_px=24), mpp=0.5, quality=None)
    write_svs(folder / "two.svs", patterned(700, 900, seed=2, grain_px=24), mpp=0.25, quality=None, levels=2)
    (folder / "broken.svs").write_text("no slide")
    return folder


@pytest.fixture(scope="session")
def viewer(slides):
    with open_viewer(slides) as viewer:
        yield viewer


@pytest.fixture(scope="session")
def keys(viewer):
    """The key of each slide by its name."""
    return {slide["name"]: slide["key"] for slide in ask(viewer, "/slides").json["slides"]}


@pytest.fixture(scope="session")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def window(browser):
    """Where viewers are opened; its empty page of their site keeps the process that has compiled their code."""
    context = browser.new_context(viewport=WINDOW)
    page = context.new_page()
    page.route("**", lambda route: route.fulfill(body=""))
    page.goto("http://127.0.0.1")
    return context


@pytest.fixture
def look(browser, window):
    """A function that opens an address in a page of its own; a complaint in the console fails the test."""
    opened = []

    def look(address, **context):
        own = browser.new_context(**{"viewport": WINDOW, **context}) if context else window
        opened.append(one := Opened(own, address))
        return one

    yield look
    complaints = [complaint for one in opened for complaint in one.complaints]
    for one in opened:
        if not one.page.is_closed():
            one.evaluate("localStorage.clear()")
            one.page.close()
        if one.context is not window:
            one.context.close()
    window.clear_cookies()
    assert complaints == []


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("secret-place"))


@pytest.fixture(scope="session")
def mapped(cohort):
    """A viewer on slides with maps and outlines."""
    shown = OnSlides((cohort / "kd", cohort / "hviskd"), DrawnBy(cohort / "drawn"))
    with open_viewer(cohort / "slides", shown) as viewer:
        yield viewer


@pytest.fixture
def folder(tmp_path):
    """A test's own slides, with maps and outlines."""
    return write_cohort(tmp_path / "place")


@pytest.fixture
def to_draw_on(folder):
    """A viewer on a test's own slides with maps, where nothing is drawn yet."""
    with open_viewer(folder / "slides", OnSlides((folder / "kd",))) as viewer:
        yield viewer


@pytest.fixture(scope="session")
def mapped_keys(mapped):
    return {slide["name"]: slide["key"] for slide in ask(mapped, "/slides").json["slides"]}
