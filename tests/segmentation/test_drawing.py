import numpy as np
import pytest

from hviskd.pictures import new_figure
from hviskd.segmentation.drawing import (
    draw_scale_bar,
    fit_panel,
    round_length,
    show_slide,
)

from .make import map_card


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


def test_a_faded_slide_is_pale_and_grey():
    figure = new_figure(2, 2)
    axes = figure.subplots()
    show_slide(axes, np.array([[[0, 0, 0], [255, 0, 0]]], np.uint8), map_card(), faded=True)
    shown = np.asarray(axes.images[0].get_array())
    assert shown.min() > 150
    assert (np.ptp(shown.astype(int), axis=-1) == 0).all()
