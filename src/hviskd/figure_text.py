"""Fits names and notes of any length into figures; used by the figures of all rooms.

Widths are measured with the letters of the figure. What `fit` and `wrap` give is for matplotlib: a `$` in it begins no
formula.
"""

import re
from functools import lru_cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from hviskd.pictures import boxes_for_letters

NOTE_PT, _NOTE_LINES, _NOTE_LINE_IN = 7.0, 5, 0.14
_HINTING = 1.04  # letters on whole px are a little wider than measured
_MOST_CHARACTERS = 400  # of a name; no picture has room for more
_PARTS = re.compile(r"[^_/-]*[_/-]+|[^_/-]+")  # what a word is broken into where it is too wide


def fit(text: str, width_in: float, size_pt: float, *, lines: int = 1) -> str:
    """Fit text into at most `lines` lines of `width_in` inches, cutting it in the middle if it is too long.

    The ends stay: of `TCGA-02-0001-01Z-00-DX1.svs` and of `resnet50-distilled-by-hviskd` these tell the most.
    """
    most = min(len(text), _MOST_CHARACTERS)
    while True:
        found = _lines(shorten(text, most), width_in, size_pt)
        if len(found) <= lines or most < 4:
            return _escaped(found[:lines])
        most = min(most, len(" ".join(found))) * 9 // 10


def wrap(text: str, width_in: float, size_pt: float) -> str:
    """Wrap text into lines of `width_in` inches; its own line breaks are kept."""
    return _escaped([line for part in text.split("\n") for line in _lines(shorten(part), width_in, size_pt)])


def shorten(text: str, most: int | None = None) -> str:
    """Return text on one line, cut in the middle if it is longer than `most` characters."""
    text = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    if most is None or len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[-end:] if end else ''}"


def with_note(figure: Figure, note: str) -> Figure:
    """Add a strip along the lower edge with a note in small print, five lines of it at most."""
    if note:
        lines = wrap(note, 0.96 * figure.get_figwidth(), NOTE_PT).split("\n")
        if len(lines) > _NOTE_LINES:
            lines = [*lines[: _NOTE_LINES - 1], f"{lines[_NOTE_LINES - 1]} …"]
        figure.set_figheight(figure.get_figheight() + _NOTE_LINE_IN * len(lines))
        figure.supxlabel("\n".join(lines), fontsize=NOTE_PT, color="0.3", x=0.01, ha="left")
    return figure


@lru_cache(maxsize=4096)
def text_width_in(text: str, size_pt: float) -> float:
    """Measure a line of text, in inches."""
    with boxes_for_letters():
        width_pt, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size_pt), ismath=False)
    return _HINTING * float(width_pt) / 72


def _lines(text: str, width_in: float, size_pt: float) -> list[str]:
    """Break text between words; a word that is wider than a line after its hyphens, slashes and underscores."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width_in(longer, size_pt) <= width_in:
            lines[-1] = longer
        elif text_width_in(word, size_pt) <= width_in:
            lines.append(word)
        else:
            lines += _broken(word, width_in, size_pt)
    return lines[1:] if len(lines) > 1 and not lines[0] else lines


def _broken(word: str, width_in: float, size_pt: float) -> list[str]:
    """Break a word that is wider than a line."""
    lines = [""]
    for part in _PARTS.findall(word):
        if text_width_in(lines[-1] + part, size_pt) <= width_in:
            lines[-1] += part
            continue
        if lines[-1]:
            lines.append("")
        for letter in part:
            if lines[-1] and text_width_in(lines[-1] + letter, size_pt) > width_in:
                lines.append("")
            lines[-1] += letter
    return lines


def _escaped(lines: list[str]) -> str:
    return "\n".join(lines).replace("$", r"\$")
