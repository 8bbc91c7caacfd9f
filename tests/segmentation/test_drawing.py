import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hviskd.pictures import new_figure
from hviskd.segmentation.drawing import (
    draw_scale_bar,
    fit_panel,
    fitted,
    round_length,
    short,
    show_slide,
    text_width_in,
    wrapped,
)

from .make import map_card


def words(most):
    return st.text(st.characters(max_codepoint=0x24F, categories=["L", "N", "P", "Zs"]), max_size=most)


@pytest.mark.parametrize(("length", "rounded"), [(999, 500), (1000, 1000), (19.9, 10), (4.99, 2), (0.21, 0.2), (1, 1)])
def test_a_scale_bar_has_a_round_length(length, rounded):
    assert round_length(length) == pytest.approx(rounded)


def test_the_bar_is_as_long_as_it_says():
    card = map_card()  # 640 px of 0.25 µm: a quarter is 40 µm
    figure = new_figure(3, 3)
    axes = figure.subplots()
    show_slide(axes, np.zeros((7, 10, 3), np.uint8), card)
    draw_scale_bar(figure, axes, card)
    (bar,) = axes.lines
    assert np.ptp(bar.get_xdata()) * 0.25 == pytest.approx(20)
    assert [text.get_text() for text in axes.texts] == ["20 µm"]
    assert axes.get_xlim() == (0, 640)


@pytest.mark.parametrize("box", [(4, 1), (1, 4)])
def test_a_panel_has_the_slides_proportions(box):
    width, height = fit_panel(map_card(), *box)
    assert width / height == pytest.approx(640 / 448)
    assert width <= box[0]
    assert height <= box[1]


@given(words(80), st.floats(0.3, 3))
def test_no_line_is_wider_than_asked_and_no_letter_lost(text, width_in):
    lines = wrapped(text, width_in, 8)
    assert all(len(line) == 1 or text_width_in(line, 8) <= width_in for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(words(120), st.floats(0.5, 3), st.integers(1, 3))
def test_what_does_not_fit_is_cut_out_of_the_middle(text, width_in, lines):
    found = fitted(text, width_in, 8, lines=lines)
    assert 1 <= len(found) <= lines
    if wrapped(short(text, 1000), width_in, 8) == found:
        return
    assert all(len(line) == 1 or text_width_in(line, 8) <= width_in for line in found)
    assert "…" in "".join(found)


def test_a_cut_name_keeps_both_its_ends():
    assert short("TCGA-02-0001-01C-01-TS1.svs", 11) == "TCGA-…1.svs"
    assert short("  two\nlines\x07 ", 40) == "two lines"
    assert short("fits", 4) == "fits"


def test_a_faded_slide_is_pale_and_grey():
    figure = new_figure(2, 2)
    axes = figure.subplots()
    show_slide(axes, np.array([[[0, 0, 0], [255, 0, 0]]], np.uint8), map_card(), faded=True)
    shown = np.asarray(axes.images[0].get_array())
    assert shown.min() > 150
    assert (np.ptp(shown.astype(int), axis=-1) == 0).all()
