"""The letters of all figures, and how text of any length is fitted among them.

The font is the one that matplotlib brings along and draws with; here it is measured without loading matplotlib.
"""

import re
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

_FONTS = Path("mpl-data", "fonts", "ttf")
_MEASURED_PX = 256  # size at which letters are measured: rounding them to whole px is nothing there
_HINTING = 1.04  # letters on whole px are a little wider than measured
_MOST_CHARACTERS = 400  # of a name; no picture has room for more
_PARTS = re.compile(r"[^_/-]*[_/-]+|[^_/-]+")  # what a word is broken into where it is too wide


@cache
def font(size_px: float, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans; letters that it lacks are boxes."""
    found = find_spec("matplotlib")
    assert found is not None and found.origin is not None  # noqa: PT018 - hviskd requires it
    path = Path(found.origin).parent / _FONTS / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")
    return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def text_width_in(text: str, size_pt: float) -> float:
    """Measure a line of text, in inches."""
    return _HINTING * font(_MEASURED_PX).getlength(text) / _MEASURED_PX * size_pt / 72


def fit_lines(text: str, width_in: float, size_pt: float, *, lines: int = 1) -> list[str]:
    """Fit text into at most `lines` lines of `width_in` inches, cutting it in the middle if it is too long.

    The ends stay: of `TCGA-02-0001-01Z-00-DX1.svs` and of `resnet50-distilled-by-hviskd` these tell the most.
    """
    most = min(len(text), _MOST_CHARACTERS)
    while True:
        found = _lines(shorten(text, most), width_in, size_pt)
        if len(found) <= lines or most < 4:
            return found[:lines]
        most = min(most, len(" ".join(found))) * 9 // 10


def wrap_lines(text: str, width_in: float, size_pt: float) -> list[str]:
    """Wrap text into lines of `width_in` inches; its own line breaks are kept."""
    return [line for part in text.split("\n") for line in _lines(shorten(part), width_in, size_pt)]


def shorten(text: str, most: int | None = None) -> str:
    """Return text on one line, cut in the middle if it is longer than `most` characters."""
    text = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    if most is None or len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[-end:] if end else ''}"


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
