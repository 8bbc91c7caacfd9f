"""One running viewer for the tests that only look: a slide with levels, a slide of another size, and a damaged one.

Opening a page costs a second of a processor. Tests that leave nothing behind but what a page forgets with its address
share one page per module: `turn` turns it to an address. All others open one of their own with `look`.
"""

import shutil

import pytest

from hviskd.viewer import DrawnBy, OnSlides, open_viewer
from tests.slides.make import patterned, write_svs
from tests.viewer.asking import ask
from tests.viewer.mapped import write_cohort
from tests.viewer.pages import SETTINGS, Opened

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
    context = browser.new_context(**SETTINGS)
    page = context.new_page()
    page.route("**", lambda route: route.fulfill(body=""))
    page.goto("http://127.0.0.1")
    return context


@pytest.fixture
def look(browser, window):
    """A function that opens an address in a page of its own; a complaint in the console fails the test.

    Another device than the window's takes a process of its own, two seconds.
    """
    opened = []

    def look(address, device=None, **emulated):
        own = browser.new_context(**SETTINGS | device) if device else window
        opened.append(one := Opened(own, address, **emulated))
        return one

    yield look
    complaints = [complaint for one in opened for complaint in one.complaints]
    for one in opened:
        if not one.page.is_closed():
            one.evaluate("localStorage.clear()")
            one.page.close()
        if one.context is not window:
            one.context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def shared_pages():
    """The pages that the tests of a module share, by viewer."""
    pages = {}
    yield pages
    for one in pages.values():
        one.page.close()


@pytest.fixture
def turn(window, shared_pages):
    """A function that turns a shared page to an address, as if it was opened there; else like `look`."""
    turned = []

    def turn(address):
        viewer, _, words = address.partition("#")
        if viewer in shared_pages:
            shared_pages[viewer].turn_to(words)
        else:
            shared_pages[viewer] = Opened(window, address)
        turned.append(shared_pages[viewer])
        return turned[-1]

    yield turn
    complaints = [complaint for one in turned for complaint in one.complaints]
    for one in turned:
        one.forget()
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


@pytest.fixture(scope="module")
def own_cohort(cohort, tmp_path_factory):
    """A module's own copy of slides with maps and outlines."""
    return shutil.copytree(cohort, tmp_path_factory.mktemp("own") / "place")


@pytest.fixture
def folder(own_cohort, cohort):
    """The module's slides with maps and outlines, on which nothing is drawn yet."""
    yield own_cohort
    for part in ("slides", "drawn"):
        for path in (own_cohort / part).rglob("*.geojson"):
            path.unlink()
    shutil.copytree(cohort / "drawn", own_cohort / "drawn", dirs_exist_ok=True)


@pytest.fixture(scope="module")
def to_draw_on(own_cohort):
    """A viewer on the slides of `folder`, with one map each."""
    with open_viewer(own_cohort / "slides", OnSlides((own_cohort / "kd",))) as viewer:
        yield viewer


@pytest.fixture(scope="session")
def mapped_keys(mapped):
    return {slide["name"]: slide["key"] for slide in ask(mapped, "/slides").json["slides"]}
