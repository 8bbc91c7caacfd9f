"""Layers on the screen lie where the map's own files have them; legend, outlines, disagreement and their controls."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from hviskd.agreement import agree_on_slide
from hviskd.annotations import read_annotation
from hviskd.models import Compute
from hviskd.progress import silent
from hviskd.segmentation import load_slide_map, save_slide_map, segment
from hviskd.segmentation.heat_colours import paint_heat_map
from hviskd.slides import open_slide, tissue_mask
from hviskd.synthesis import CohortSettings, draw_cohort
from hviskd.viewer import DrawnBy, OnSlides, open_viewer
from tests.segmentation.make import CLASSES, COLOURS, write_model

from .mapped import CELL, COLUMNS, ROWS
from .pages import expected

pytestmark = pytest.mark.slow


@pytest.fixture
def opened(mapped, turn, mapped_keys):
    return turn(f"{mapped.address}#slide={mapped_keys['A.svs']}")


@pytest.fixture(scope="module")
def kd(cohort):
    return load_slide_map(cohort / "kd" / "A")


def own_picture(slide_map):
    """The PNG that a map shows itself as, 480 px on its longer side."""
    url = re.search(r'src="data:image/png;base64,([^"]+)"', slide_map._repr_html_())
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url[1]))).convert("RGB")).astype(int)


def seen_on_white(opened):
    seen = opened.overlay().astype(float)
    return seen[..., :3] * seen[..., 3:] / 255 + 255 - seen[..., 3:]


def colours_on(opened):
    """The colours on the layers' canvas, each of four bytes."""
    found = np.unique(np.ascontiguousarray(opened.overlay()).view(np.uint32))
    return {tuple(colour) for colour in found.view(np.uint8).reshape(-1, 4).tolist()}


def like(picture, opened, slide_size, *, aside=(0, 0)):
    """The share of the slide's px on the screen that have the colour of a picture of the whole slide there."""
    x, y = opened.level0()
    across, down = ((axis >= 0) & (axis < side) for axis, side in zip((x, y), slide_size, strict=True))
    seen = seen_on_white(opened)[np.ix_(down, across)]
    row = ((y[down] + aside[1]) * picture.shape[0] / slide_size[1]).astype(int).clip(0, picture.shape[0] - 1)
    column = ((x[across] + aside[0]) * picture.shape[1] / slide_size[0]).astype(int).clip(0, picture.shape[1] - 1)
    return float((np.abs(seen - picture[np.ix_(row, column)]).max(axis=-1) < 3).mean())


@pytest.mark.parametrize("power", [None, 10, 35])
def test_classes_lie_where_the_map_s_own_picture_has_them(opened, kd, power):
    if power:
        opened.evaluate(f"hviskd.view.lookAt(500, 400, {power})")
    opened.set_layers("classes")
    picture = own_picture(kd)
    assert like(picture, opened, kd.card.slide_size) > 0.97  # the picture is coarser than the screen, at borders
    for aside in ((CELL, 0), (-CELL, 0), (0, CELL), (0, -CELL)):
        assert like(picture, opened, kd.card.slide_size, aside=aside) < 0.7  # one cell off is another map


def test_map_and_slide_of_a_drawn_section_lie_on_each_other(look, tmp_path):
    section = CohortSettings(patients=1, width_px=900, height_px=700)
    drawn = draw_cohort(tmp_path / "cohort", section, workers=1, progress=silent)
    path = drawn.folder / drawn.slides[0].file
    made = segment(write_model(tmp_path / "student"), path, compute=Compute(engine="torch", threads=1))
    save_slide_map(made, tmp_path / "maps" / "section")
    shown = OnSlides((tmp_path / "maps",), DrawnBy(drawn.folder / "annotations"))
    with open_viewer(path, shown) as viewer, open_slide(path) as slide:
        opened = look(f"{viewer.address}#x=400&y=300&power=20")
        seen = opened.picture().astype(int)
        here, aside = (np.abs(seen - expected(slide, opened, seen.shape, aside_px=px)).mean() for px in (0, 4))
        assert here < aside / 2  # OpenSeadragon draws each tile a px of the screen too wide, lest gaps are seen
        opened.set_layers("classes")
        picture = own_picture(made)
        assert like(picture, opened, slide.size) > 0.97
        for aside in ((CELL, 0), (-CELL, 0), (0, CELL), (0, -CELL)):
            assert like(picture, opened, slide.size, aside=aside) < 0.9
        opened.set_layers("outlines")
        assert opened.overlay()[..., 3].any()


def test_probabilities_have_the_colours_of_the_map_s_heat_maps_cell_by_cell(opened, kd):
    opened.set_layers("class", shownClass=2)
    want = paint_heat_map(kd.grid()[..., 2], opacity=1)
    x, y = opened.level0()
    seen = opened.overlay()
    for row in range(ROWS):
        for column in range(COLUMNS):
            at = np.abs(y - (row + 0.5) * CELL).argmin(), np.abs(x - (column + 0.5) * CELL).argmin()
            if np.isnan(kd.grid()[row, column, 2]):
                assert seen[at][3] == 0
            else:
                assert np.abs(seen[at].astype(int) - want[row, column]).max() <= 3  # of 255 steps, each has a colour


def test_unsure_and_entropy_are_those_of_the_map(opened, kd):
    opened.set_layers("unsure", unsureBelow=0.7)
    x, y = opened.level0()
    top = kd.grid().max(axis=-1)
    centres = [
        np.abs(axis - (place + 0.5) * CELL).argmin()
        for axis, count in ((y, ROWS), (x, COLUMNS))
        for place in range(count)
    ]
    at = np.ix_(centres[:ROWS], centres[ROWS:])
    grey = (opened.overlay()[at] == (150, 150, 150, 255)).all(axis=-1)
    near = np.abs(top - 0.7) < 0.004  # bytes have 255 steps
    assert (grey | near == (top < 0.7) | near).all()
    assert 20 < grey.sum() < 200
    opened.set_layers("entropy")
    entropy = np.full((ROWS, COLUMNS), np.nan, np.float32)
    entropy[kd.row, kd.column] = kd.entropy / np.log2(3)
    want = paint_heat_map(entropy, opacity=1).astype(int)
    there = ~np.isnan(entropy)
    assert np.abs(opened.overlay()[at].astype(int) - want)[there].max() <= 3


def test_a_smooth_layer_has_values_between_those_of_its_cells(opened):
    opened.set_layers("class", shownClass=1)
    edges = len(colours_on(opened))
    opened.set_layers("class", smooth=True)
    assert len(colours_on(opened)) > 4 * edges


def test_tissue_is_the_tissue(opened, cohort):
    opened.set_layers("tissue")
    with open_slide(cohort / "slides" / "A.svs") as slide:
        tissue = tissue_mask(slide)
    x, y = opened.level0()
    row, column = ((axis / tissue.cell_px).astype(int) for axis in (y, x))
    inside = [(axis >= 0) & (axis < side) for axis, side in ((y, 960), (x, 1280))]
    want = tissue.tissue[np.ix_(row[inside[0]], column[inside[1]])]
    seen = opened.overlay()[np.ix_(*inside)][..., 3] > 0
    assert (seen == want).mean() > 0.99


def test_disagreement_is_what_agree_counts(opened, cohort, kd):
    opened.set_layers("disagreement")
    drawn = read_annotation(cohort / "drawn" / "A.geojson", frame=kd.card.frame())
    compared = agree_on_slide(kd, drawn)
    wrong = (compared.samples.mapped != compared.samples.expert)[compared.samples.compared].mean()
    seen = opened.overlay().reshape(-1, 4)
    vermilion, sky = (
        (np.abs(seen - np.array(colour)).max(axis=-1) < 2).sum() for colour in ((213, 94, 0, 255), (86, 180, 233, 255))
    )
    assert vermilion / (vermilion + sky) == pytest.approx(wrong, abs=0.01)
    share = (vermilion + sky) * opened.place()[0] ** 2 / (1280 * 960)
    assert share == pytest.approx(compared.samples.compared.mean(), abs=0.005)


def test_outlines_lie_where_they_were_drawn(opened):
    opened.set_layers("outlines")
    x, y = opened.level0()
    seen = opened.overlay()[..., 3] > 0
    columns, rows = x[seen.any(axis=0)], y[seen.any(axis=1)]
    rim = 2.5 * opened.place()[0]  # half of a line
    assert columns.min() == pytest.approx(256 - rim, abs=2 * opened.place()[0])
    assert rows.max() == pytest.approx(256 + 320 + rim, abs=2 * opened.place()[0])
    inside = np.ix_((y > 300) & (y < 500), (x > 300) & (x < 500))
    assert not seen[inside].any()
    at = np.abs(y - 400).argmin(), np.abs(x - 256).argmin()
    assert tuple(opened.overlay()[at][:3]) == COLOURS[CLASSES.index("tumour")]  # whatever colour it was drawn in


def test_the_tile_grid_surrounds_the_tiles_that_were_classified(opened):
    opened.evaluate("hviskd.view.lookAt(8 * 64, 4 * 64, 40)")
    opened.set_layers("grid")
    x, y = opened.level0()
    seen = opened.overlay()[..., 3] > 0
    line = seen[np.abs(y - 2.5 * CELL).argmin()]
    crossed = x[line] / CELL
    assert np.abs(crossed - np.round(crossed)).max() < 0.05
    assert set(np.round(crossed)) >= {7, 8, 9}
    assert not seen[np.ix_((y > 3.1 * CELL) & (y < 4.9 * CELL), (x > 7.1 * CELL) & (x < 9 * CELL))].any()  # no tile


def test_the_legend_has_the_areas_of_the_map_and_hides_classes(opened, kd):
    page = opened.page
    areas = kd.areas_mm2()
    rows = [row.split("\n") for row in page.locator("#legend button").all_inner_texts()]
    total = sum(areas.values())
    assert rows == [[name, f"{areas[name]:.2f}", f"{100 * areas[name] / total:.1f} %"] for name in CLASSES]
    opened.set_layers("classes")
    asked = len(opened.requests)
    page.get_by_role("button", name=re.compile("^rim")).click()
    opened.drawn_anew()
    shown = {colour for colour in colours_on(opened) if colour[3]}
    assert shown == {(*COLOURS[0], 255), (*COLOURS[2], 255)}
    assert page.locator("#legend button").nth(1).get_attribute("aria-pressed") == "false"
    page.keyboard.press("Enter")  # it has kept the focus
    opened.drawn_anew()
    assert (*COLOURS[1], 255) in colours_on(opened)
    later = [address for address in opened.requests[asked:] if not address.endswith("/icon.svg")]  # when it likes
    assert later == []  # switches and opacity ask the viewer nothing


def test_another_model_s_map_can_be_chosen(opened, cohort):
    opened.set_layers("classes")
    opened.page.select_option("#map-choice", label="hviskd")
    opened.settled()
    other = load_slide_map(cohort / "hviskd" / "A")
    assert like(own_picture(other), opened, other.card.slide_size) > 0.97
    assert opened.page.inner_text("#legend-title") == "Map by hviskd"


def test_controls_are_named_and_work_with_the_keyboard(opened):
    page = opened.page
    for name in (
        "Classes",
        "Entropy",
        "Unsure",
        "Tissue",
        "Tile grid",
        "Expert's outlines",
        "Disagreement with the expert",
    ):
        assert page.get_by_role("checkbox", name=name, exact=True).count() == 1
    page.get_by_role("checkbox", name="Entropy").focus()
    page.keyboard.press("Space")
    assert page.get_by_role("checkbox", name="Entropy").is_checked()
    page.get_by_role("slider", name="Opacity of Entropy").focus()
    page.keyboard.press("ArrowLeft")
    opened.drawn_anew()
    assert opened.evaluate("hviskd.layers.state.entropy.opacity") == pytest.approx(0.65)
    assert "1.58 bits" in page.inner_text("#layer-list")


def test_every_layer_that_is_on_shows_what_its_colours_mean(opened):
    page = opened.page
    kinds = opened.evaluate("hviskd.layers.kinds.map(({id}) => id)")
    opened.set_layers(*kinds, unsureBelow=0.7)
    page.wait_for_selector("#layer-list .key:has-text('Tumour')")  # when the outlines have come
    keys = {}
    for line in page.locator("#layer-list li").all():
        key = line.locator(".key, .scale-key")
        keys[line.locator("label").first.inner_text()] = key.inner_text().split("\n") if key.count() else None
    assert keys.pop("Classes") is None  # the legend is its key
    assert page.is_visible("#legend")
    assert keys["Unsure"] == ["top probability below 0.7"]
    assert keys["Tile grid"] == ["borders of classified cells"]
    assert keys["Expert's outlines"] == ["Tumour", "rim"]
    assert page.locator(".swatch.hollow").evaluate_all("all => all.map((each) => each.style.borderColor)") == [
        f"rgb({', '.join(map(str, colour))})" for colour in ((0, 0, 0), COLOURS[2], COLOURS[1])
    ]
    assert len(keys) == len(kinds) - 1
    assert all(keys.values())


def test_the_focus_stays_when_a_layer_s_key_comes_later(opened):
    page = opened.page
    page.get_by_role("checkbox", name="Expert's outlines").focus()
    for _ in range(2):  # off and on again
        page.keyboard.press("Space")
    page.wait_for_selector("#layer-list .key:has-text('Tumour')")
    opened.settled()
    assert opened.evaluate("document.activeElement.id") == "layer-outlines"


def test_a_kept_address_brings_the_layers_back(opened, look, mapped):
    opened.set_layers("class", "grid", shownClass=2, map=1, smooth=True, unsureBelow=0.45)
    opened.page.wait_for_function("() => location.hash.includes('unsureBelow=0.45')")
    again = look(f"{mapped.address}#{opened.page.url.partition('#')[2]}")
    state = again.evaluate("hviskd.layers.state")
    assert state == opened.evaluate("hviskd.layers.state")
    assert [name for name, layer in state.items() if isinstance(layer, dict) and layer["on"]] == ["class", "grid"]
    assert again.page.input_value("#map-choice") == "1"


def test_a_slide_without_map_and_outlines_has_its_tissue(mapped, turn, mapped_keys):
    opened = turn(f"{mapped.address}#slide={mapped_keys['C.svs']}")
    assert opened.page.locator("#layer-list label").all_inner_texts() == ["Tissue"]
    assert not opened.page.is_visible("#legend-section")
