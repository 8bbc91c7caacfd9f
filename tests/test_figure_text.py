import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hviskd.figure_text import fit, with_note, wrap
from hviskd.letters import shorten, text_width_in
from hviskd.pictures import new_figure


def words(most):
    return st.text(st.characters(max_codepoint=0x24F, categories=["L", "N", "P", "S", "Zs"]), max_size=most)


def plain(text):
    return text.replace(r"\$", "$").split("\n")


@given(words(80), st.floats(0.3, 3))
def test_no_line_is_wider_than_asked_and_no_letter_lost(text, width_in):
    lines = plain(wrap(text, width_in, 8))
    assert all(len(line) == 1 or text_width_in(line, 8) <= width_in for line in lines)
    assert "".join("".join(lines).split()) == "".join(shorten(text).split())


@given(words(120), st.floats(0.5, 3), st.integers(1, 3))
def test_what_does_not_fit_is_cut_out_of_the_middle(text, width_in, lines):
    found = plain(fit(text, width_in, 8, lines=lines))
    assert 1 <= len(found) <= lines
    if plain(wrap(text, width_in, 8)) == found:
        return
    assert all(len(line) == 1 or text_width_in(line, 8) <= width_in for line in found)
    assert "…" in "".join(found)


def test_a_cut_name_keeps_both_its_ends():
    assert shorten("TCGA-02-0001-01C-01-TS1.svs", 11) == "TCGA-…1.svs"
    assert shorten("  two\nlines\x07 ", 40) == "two lines"
    assert shorten("fits", 4) == "fits"
    assert [shorten("letters", most) for most in (1, 2, 3)] == ["…", "l…", "l…s"]


def test_a_long_name_is_broken_after_its_hyphens_and_underscores_and_a_text_between_its_words():
    assert fit("resnet50_distilled-by-hviskd", 1.0, 8, lines=3).split("\n") == ["resnet50_", "distilled-by-", "hviskd"]
    assert wrap("told of well-known tiles", 1.0, 8).split("\n") == ["told of", "well-known tiles"]
    assert wrap("one\ntwo", 5, 8) == "one\ntwo"


def test_a_name_with_dollars_is_drawn_as_it_is():
    figure = new_figure(3, 1)
    figure.set_layout_engine("none")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named = figure.text(0, 0.5, fit("$x^2$", 3, 8), fontsize=8)
    figure.draw_without_rendering()
    spelled = figure.text(0, 0.2, "x^2", fontsize=8)
    assert named.get_window_extent().width > spelled.get_window_extent().width  # a formula would be narrower


@given(words(40))
def test_lines_are_as_wide_as_matplotlib_draws_them(text):
    line = shorten(text)
    drawn = new_figure(8, 1).text(0, 0, line.replace("$", r"\$"), fontsize=8).get_window_extent().width / 150
    assert text_width_in(line, 8) == pytest.approx(1.04 * drawn, rel=0.06, abs=0.04)


def test_letters_that_the_font_lacks_are_measured_without_a_word(recwarn):
    assert text_width_in("肿瘤", 8) > 0
    assert not list(recwarn)


def test_a_note_takes_five_lines_at_most_below_the_picture():
    figure = with_note(new_figure(4, 2), "Many words. " * 100)
    note = figure.get_supxlabel()
    assert len(note.split("\n")) == 5
    assert note.endswith(" …")
    assert figure.get_figheight() == pytest.approx(2.7)
    assert with_note(new_figure(4, 2), "").get_figheight() == 2
