"""Views side by side move together, each with layers of its own; what is shown is saved as a picture."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from hviskd.segmentation import load_slide_map

from .mapped import CELL, COLUMNS, ROWS
from .pages import pixels

pytestmark = pytest.mark.slow


@pytest.fixture
def opened(mapped, turn, mapped_keys):
    return turn(f"{mapped.address}#slide={mapped_keys['A.svs']}&layers=classes:100&views=2")


def cells(opened, pane):
    """The colour of every cell in a view, at its middle; alpha 0 where it is not on the screen or has no class."""
    number = opened.evaluate(
        f"""(() => {{const {{view, layers}} = hviskd.panes.list[{pane}]; layers.overlay.draw();
        const {{x, y}} = view.centre, canvas = layers.overlay.canvas;
        return [x, y, view.scale, canvas.width, canvas.height]}})()"""
    )
    x, y, scale, width, height = number
    url = opened.evaluate(f"hviskd.panes.list[{pane}].layers.overlay.canvas.toDataURL()")
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGBA"))
    found = np.zeros((ROWS, COLUMNS, 4), int)
    for row in range(ROWS):
        for column in range(COLUMNS):
            left = round(width / 2 + ((column + 0.5) * CELL - x) * scale)
            top = round(height / 2 + ((row + 0.5) * CELL - y) * scale)
            if 0 <= left < width and 0 <= top < height:
                found[row, column] = seen[top, left]
    return found


def colours(slide_map):
    grid = slide_map.class_grid()
    palette = np.zeros((256, 4), int)
    palette[: len(slide_map.colours)] = [(*colour, 255) for colour in slide_map.colours]
    return palette[grid]


def places(opened):
    return opened.evaluate("hviskd.panes.list.map(({view}) => [view.centre.x, view.centre.y, view.power])")


def test_two_models_maps_lie_beside_each_other(opened, cohort):
    for pane, model in enumerate(("kd", "hviskd")):
        want = colours(load_slide_map(cohort / model / "A"))
        seen = cells(opened, pane)
        shown = (seen[..., 3] > 0) | (want[..., 3] == 0)
        np.testing.assert_array_equal(seen[shown], want[shown])
        assert shown.mean() > 0.5
    assert opened.page.locator(".pane-label").all_inner_texts() == ["kd", "hviskd"]


def test_whichever_view_is_moved_the_others_follow(opened):
    page = opened.page
    for pane in (1, 0):
        box = page.locator(".pane").nth(pane).bounding_box()
        page.mouse.move(box["x"] + 150, box["y"] + 350)
        page.mouse.wheel(0, -400)
        opened.settled()
        page.mouse.down()
        page.mouse.move(box["x"] + 90, box["y"] + 300, steps=6)
        page.mouse.up()
        opened.settled()
        first, second = places(opened)
        assert second == pytest.approx(first, rel=1e-4)
    opened.press("20×")
    first, second = places(opened)
    assert first[2] == pytest.approx(20, rel=1e-6)
    assert second == pytest.approx(first, rel=1e-4)


def test_the_panel_belongs_to_the_view_that_was_clicked(opened):
    page = opened.page
    assert page.inner_text("#legend-title") == "Map by kd"
    page.locator(".pane").nth(1).click(position={"x": 200, "y": 400})
    assert page.inner_text("#legend-title") == "Map by hviskd"
    page.get_by_role("checkbox", name="Classes").uncheck()
    states = opened.evaluate("hviskd.panes.list.map(({layers}) => layers.state.classes.on)")
    assert states == [True, False]
    assert page.locator(".pane-label").all_inner_texts() == ["kd", "slide"]


def test_a_power_stays_and_a_whole_slide_stays_whole_when_views_come_and_go(opened):
    opened.press("Whole")
    opened.press("1")
    whole = places(opened)[0][2]
    opened.press("3")
    assert places(opened)[0][2] < 0.5 * whole
    opened.press("20×")
    opened.press("1")
    assert places(opened)[0][2] == pytest.approx(20, rel=1e-6)


def test_views_beyond_the_last_map_show_the_slide_and_go_again(opened):
    opened.press("4")
    assert opened.page.locator(".pane-label").all_inner_texts() == ["kd", "hviskd", "slide", "slide"]
    assert len({tuple(np.round(place, 3)) for place in places(opened)}) == 1
    assert opened.page.get_attribute("#views [aria-pressed=true]", "title") == "4 side by side"
    opened.press("1")
    assert opened.page.locator(".pane").count() == 1
    opened.page.locator("#slide-list button", has_text="B.svs").click()
    opened.page.wait_for_function("() => document.title.startsWith('B.svs')")
    opened.settled()


def test_views_in_an_address_are_whole_and_bare_beyond_the_last_map(mapped, turn, mapped_keys):
    opened = turn(f"{mapped.address}#slide={mapped_keys['A.svs']}&views=3")
    assert opened.page.locator(".pane-label").all_inner_texts() == ["kd", "hviskd", "slide"]
    assert opened.evaluate("hviskd.panes.list.every(({view}) => view.isHome)")


def test_a_kept_address_brings_all_views_back(opened, look, mapped):
    opened.page.locator(".pane").nth(1).click(position={"x": 200, "y": 400})
    opened.set_layers("entropy")
    opened.evaluate("hviskd.view.lookAt(600, 500, 15)")
    opened.settled()
    opened.page.wait_for_function("() => location.hash.includes('power=15') && location.hash.includes('entropy')")
    again = look(f"{mapped.address}#{opened.page.url.partition('#')[2]}")
    states = "hviskd.panes.list.map(({layers}) => layers.state)"
    assert json.dumps(again.evaluate(states)) == json.dumps(opened.evaluate(states))
    assert places(again) == [pytest.approx([600, 500, 15], rel=1e-3)] * 2


def saved_picture(opened, folder):
    """Save the views, and return the file's name and px."""
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name="Save PNG").click()
    download.value.save_as(folder / "view.png")
    return download.value.suggested_filename, np.asarray(Image.open(folder / "view.png").convert("RGB")).astype(int)


def test_a_saved_picture_has_the_views_their_legends_and_the_notice(opened, tmp_path):
    name, saved = saved_picture(opened, tmp_path)
    assert name == "A-view.png"
    height = opened.evaluate("document.getElementById('panes').clientHeight")
    assert saved.shape[1] == opened.evaluate("document.getElementById('panes').clientWidth")
    assert saved.shape[0] > height + 60
    canvas = "hviskd.panes.list[0].view.osd.drawer.canvas"
    slide = pixels(opened.evaluate(f"{canvas}.toDataURL()")).astype(int)
    overlay = opened.evaluate("hviskd.panes.list[0].layers.overlay.canvas.toDataURL()")
    layer = np.asarray(Image.open(io.BytesIO(base64.b64decode(overlay.partition(",")[2]))).convert("RGBA"))
    opaque = layer[..., 3] == 255
    rows, columns = opaque.shape
    view = saved[:rows, :columns]
    assert np.abs(view[opaque] - layer[opaque][:, :3]).max() <= 1
    bare = (layer[..., 3] == 0) & (slide != 255).all(axis=-1)
    assert np.abs(view[bare] - slide[bare]).max() <= 1
    written = saved[height:].min(axis=(1, 2)) < 200
    assert written[-20:].any()  # the notice is the last line
    for colour in load_colours(opened):
        assert (np.abs(saved[height:] - colour).max(axis=-1) == 0).any()  # in the legend


def test_a_saved_picture_of_shares_has_their_scale_and_keys_of_lines(mapped, turn, mapped_keys, tmp_path):
    layers = "layers=entropy:100&views=2&layers-2=unsure:100,outlines:100"
    opened = turn(f"{mapped.address}#slide={mapped_keys['A.svs']}&{layers}")
    _, saved = saved_picture(opened, tmp_path)
    below = saved[opened.evaluate("document.getElementById('panes').clientHeight") :]
    first, second = np.split(below, [below.shape[1] // 2], axis=1)

    def columns_of(part, colour):
        return np.flatnonzero((part == colour).all(axis=-1).any(axis=0))

    scale = opened.evaluate("hviskd.panes.list[0].layers.scale")
    least, most = columns_of(first, scale[0]), columns_of(first, scale[-1])
    assert 100 < most.max() - least.min() < 200
    normal, rim, tumour = load_colours(opened)
    for colour in (scale[0], scale[-1], normal):
        assert not columns_of(second, colour).size
    for colour in (rim, tumour):  # of the outlines there are
        assert columns_of(second, colour).size
        assert not columns_of(first, colour).size
    assert (second == 150).all(axis=-1).sum() > 80  # the square of what is unsure


def load_colours(opened):
    return opened.evaluate("hviskd.panes.facts.maps[0].colours")
