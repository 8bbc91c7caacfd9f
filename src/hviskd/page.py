"""A page drawn with Pillow, in the look of the figures: for pictures of which there is one a slide.

Matplotlib takes half a second for such a picture, and another one to be loaded; this takes a tenth of that. Places are
inches from the upper left corner, sizes of letters and lines points.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from hviskd.arrays import RGB, Colour
from hviskd.letters import font
from hviskd.png_file import DPI, write_png

BLACK, WHITE, GREY = (0, 0, 0), (255, 255, 255), (89, 89, 89)
_LINE = 1.2  # from one line of a text to the next, in sizes of its letters

Side = Literal["left", "middle", "right"]


class Words(NamedTuple):
    """A line of text on a page, and what it covers: left, top, right and bottom in px."""

    text: str
    box: tuple[float, float, float, float]


class Page:
    """A white page of a size in inches.

    Attributes:
        picture: What is drawn so far, RGB.
        words: The lines of text on it, without marks.
    """

    def __init__(self, width_in: float, height_in: float) -> None:
        self.picture = Image.new("RGB", (round(width_in * DPI), round(height_in * DPI)), "white")
        self.words: list[Words] = []
        self._draw = ImageDraw.Draw(self.picture)

    def text(
        self, x: float, y: float, lines: list[str], *, size_pt: float, colour: Colour = BLACK, side: Side = "left"
    ) -> None:
        """Write lines of text, whose block is centred on y, and begins, ends or is centred at x."""
        letters, step = font(size_pt * DPI / 72), _LINE * size_pt * DPI / 72
        for number, line in enumerate(lines):
            place = x * DPI, y * DPI + (number - (len(lines) - 1) / 2) * step
            anchor = f"{side[0]}m"
            self._draw.text(place, line, fill=colour, font=letters, anchor=anchor)
            if line.strip():
                self.words.append(Words(line, self._draw.textbbox(place, line, font=letters, anchor=anchor)))

    def mark(self, x: float, y: float, mark: str, ink: Colour, rim: Colour, *, size_pt: float) -> None:
        """Write a bold mark, centred, with a rim that sets it off from what is below."""
        letters = font(size_pt * DPI / 72, bold=True)
        self._draw.text(
            (x * DPI, y * DPI), mark, fill=ink, font=letters, anchor="mm", stroke_width=1.5, stroke_fill=rim
        )

    def image(self, x: float, y: float, pixels: RGB) -> None:
        """Place pixels, uint8 (H, W, 3), at their own size."""
        self.picture.paste(Image.fromarray(pixels), (round(x * DPI), round(y * DPI)))

    def box(
        self,
        box: tuple[float, float, float, float],
        *,
        fill: Colour | None = None,
        edge: Colour | None = None,
        stripes: Colour | None = None,
    ) -> None:
        """Draw a rectangle (left, top, right, bottom), filled, striped from lower left to upper right, and edged."""
        left, top, right, bottom = (round(place * DPI) for place in box)
        self._draw.rectangle((left, top, right, bottom), fill=fill)
        if stripes is not None:
            y, x = np.ogrid[: bottom - top + 1, : right - left + 1]
            mask = Image.fromarray(((x + y) % 8 < 3).astype(np.uint8) * 255)
            self.picture.paste(stripes, (left, top), mask)
        self._draw.rectangle((left, top, right, bottom), outline=edge)

    def line(self, x0: float, x1: float, y: float, *, width_pt: float, colour: Colour = BLACK) -> None:
        """Draw a line from left to right."""
        width = max(1, round(width_pt * DPI / 72))
        top = round(y * DPI - width / 2)
        self._draw.rectangle((round(x0 * DPI), top, round(x1 * DPI) - 1, top + width - 1), fill=colour)

    def save(self, path: Path) -> Path:
        """Write the page as PNG in one step and return its path."""
        return write_png(path, np.asarray(self.picture))

    def _repr_png_(self) -> bytes:
        return self.picture._repr_png_()  # type: ignore[return-value]
