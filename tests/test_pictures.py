"""Curves can be told apart."""

from itertools import pairwise

from hviskd.pictures import line_style


def test_36_curves_are_all_different_and_neighbours_in_colour_and_dashes():
    styles = [(style["color"], style["linestyle"]) for style in map(line_style, range(36))]
    assert len(set(styles)) == 36
    for (colour, dashes), (next_colour, next_dashes) in pairwise(styles):
        assert colour != next_colour
        assert dashes != next_dashes
