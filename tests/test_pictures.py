"""Curves can be told apart, and figures are written as Matplotlib would."""

from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from hviskd.pictures import line_style, new_figure, save_figure


def test_36_curves_are_all_different_and_neighbours_in_colour_and_dashes():
    styles = [(style["color"], style["linestyle"]) for style in map(line_style, range(36))]
    assert len(set(styles)) == 36
    for (colour, dashes), (next_colour, next_dashes) in pairwise(styles):
        assert colour != next_colour
        assert dashes != next_dashes


@pytest.mark.parametrize("arranged", [True, False])
def test_a_figure_has_the_px_that_matplotlib_draws_whatever_its_settings(tmp_path, arranged):
    def drawn():
        figure = new_figure(3, 2, arranged=arranged)
        axes = figure.subplots()
        axes.plot([0, 3, 1], **line_style(1))
        axes.set(title="a title", ylabel="a label")
        return figure

    drawn().savefig(tmp_path / "its.png", facecolor="white")
    with mpl.rc_context({"savefig.dpi": 40, "savefig.bbox": "tight", "savefig.facecolor": "black"}):
        assert save_figure(drawn(), tmp_path / "ours.png") == tmp_path / "ours.png"
    with Image.open(tmp_path / "its.png") as its, Image.open(tmp_path / "ours.png") as ours:
        np.testing.assert_array_equal(ours, np.asarray(its)[..., :3])
        assert ours.info["Software"].startswith("hviskd")
