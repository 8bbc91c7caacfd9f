import numpy as np
import pytest

from hviskd.pictures import new_figure
from hviskd.slides.slide_picture import draw_scale_bar, round_length, show_slide


@pytest.mark.parametrize(("length", "rounded"), [(999, 500), (1000, 1000), (19.9, 10), (4.99, 2), (0.21, 0.2), (1, 1)])
def test_a_scale_bar_has_a_round_length(length, rounded):
    assert round_length(length) == pytest.approx(rounded)


def test_the_bar_is_as_long_as_it_says():
    figure = new_figure(3, 3)
    axes = figure.subplots()
    show_slide(axes, np.zeros((7, 10, 3), np.uint8), (640, 448))
    draw_scale_bar(axes, 640, 0.25)  # a quarter is 40 µm
    (bar,) = axes.lines
    assert np.ptp(bar.get_xdata()) * 0.25 == pytest.approx(20)
    assert [text.get_text() for text in axes.texts] == ["20 µm"]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 640), (448, 0))


def test_a_faded_slide_is_pale_and_grey():
    figure = new_figure(2, 2)
    axes = figure.subplots()
    show_slide(axes, np.array([[[0, 0, 0], [255, 0, 0]]], np.uint8), (640, 448), faded=True)
    shown = np.asarray(axes.images[0].get_array())
    assert shown.min() > 150
    assert (np.ptp(shown.astype(int), axis=-1) == 0).all()
