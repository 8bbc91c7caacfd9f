"""The tiles that a map is least sure of come one after the other, each with its answer."""

import numpy as np
import pytest

from hviskd.segmentation import load_slide_map

from .asking import ask


@pytest.fixture
def kd(cohort):
    return load_slide_map(cohort / "kd" / "A")


def test_they_are_ordered_by_their_top_probability(mapped, mapped_keys, kd):
    tiles = ask(mapped, f"/slides/{mapped_keys['A.svs']}/least-sure/0").json["tiles"]
    top = np.sort(kd.probabilities.max(axis=1))[:200]
    assert [tile["top"] for tile in tiles] == pytest.approx(top.tolist(), abs=1e-4)
    for tile in tiles[:20]:
        (row,) = np.flatnonzero((kd.x_px + 32 == tile["x"]) & (kd.y_px + 32 == tile["y"]))
        assert kd.classes[kd.class_index[row]] == tile["class"]
    assert ask(mapped, f"/slides/{mapped_keys['A.svs']}/least-sure/7").status == 404
    assert ask(mapped, f"/slides/{mapped_keys['C.svs']}/least-sure/0").status == 404


@pytest.mark.slow
def test_next_shows_each_with_its_answer(mapped, turn, mapped_keys, kd):
    opened = turn(f"{mapped.address}#slide={mapped_keys['A.svs']}")
    page = opened.page
    order = np.argsort(kd.probabilities.max(axis=1), kind="stable")
    assert page.get_by_role("button", name="Previous", exact=True).is_disabled()
    for step, press in enumerate((lambda: opened.press("Next"), lambda: page.keyboard.press("n"))):
        press()
        page.wait_for_function(f"() => document.getElementById('least-told').textContent.startsWith('{step + 1} of')")
        row = order[step]
        place = f"x {kd.x_px[row] + 32:,}, y {kd.y_px[row] + 32:,} px"
        page.wait_for_function(f"() => document.getElementById('here-place').textContent === '{place}'")
        assert f"{kd.classes[kd.class_index[row]]}, " in page.inner_text("#least-told")
        opened.settled()
        centre = opened.evaluate("hviskd.view.centre")
        inside = 64 * 2 <= centre["x"] <= 1280 - 64  # at the slide's edge, it is not brought to the middle
        assert not inside or centre["x"] == pytest.approx(kd.x_px[row] + 32, abs=1)
    opened.press("Previous")
    assert page.inner_text("#least-told").startswith("1 of ")
    page.select_option("#map-choice", label="hviskd")
    assert page.inner_text("#least-told") == ""
    page.locator("#slide-list button", has_text="C.svs").click()
    page.wait_for_function("() => document.title.startsWith('C.svs')")
    opened.settled()
    assert not page.is_visible("#least-section")
