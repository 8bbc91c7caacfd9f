"""Fits names and notes of any length into matplotlib's figures: a `$` in them begins no formula."""

from typing import TYPE_CHECKING

from hviskd.letters import fit_lines, wrap_lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTE_PT, _NOTE_LINES, _NOTE_LINE_IN = 7.0, 5, 0.14


def fit(text: str, width_in: float, size_pt: float, *, lines: int = 1) -> str:
    """Fit text into at most `lines` lines of `width_in` inches, as `fit_lines` does."""
    return _escaped(fit_lines(text, width_in, size_pt, lines=lines))


def wrap(text: str, width_in: float, size_pt: float) -> str:
    """Wrap text into lines of `width_in` inches, as `wrap_lines` does."""
    return _escaped(wrap_lines(text, width_in, size_pt))


def with_note(figure: "Figure", note: str) -> "Figure":
    """Add a strip along the lower edge with a note in small print, five lines of it at most."""
    if note:
        lines = wrap(note, 0.96 * figure.get_figwidth(), NOTE_PT).split("\n")
        if len(lines) > _NOTE_LINES:
            lines = [*lines[: _NOTE_LINES - 1], f"{lines[_NOTE_LINES - 1]} …"]
        figure.set_figheight(figure.get_figheight() + _NOTE_LINE_IN * len(lines))
        figure.supxlabel("\n".join(lines), fontsize=NOTE_PT, color="0.3", x=0.01, ha="left")
    return figure


def _escaped(lines: list[str]) -> str:
    return "\n".join(lines).replace("$", r"\$")
