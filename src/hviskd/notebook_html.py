"""Tables and images for displaying results in a notebook; every `_repr_html_` is made of them."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from hviskd.arrays import RGB, Colour
from hviskd.rgb_images import on_white

_UNBROKEN = 40  # letters: a name, or a number with its interval


def paragraph(*parts: str) -> str:
    """Return a line of text; parts that are empty are left out."""
    return f"<p>{escape(', '.join(part for part in parts if part))}</p>"


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, html: Sequence[int] = ()) -> str:
    """Return a table; numbers, and the names of columns with nothing but numbers, are right-aligned.

    Args:
        header: Names of the columns.
        rows: Their cells; None is a dash.
        html: Places of the columns that hold HTML already, such as pictures.
    """
    rows = [tuple(row) for row in rows]
    numeric = [bool(rows) and all(_is_number(row[at]) for row in rows) for at in range(len(header))]
    head = "".join(_head(name, right) for name, right in zip(header, numeric, strict=True))
    body = "".join(f"<tr>{''.join(_cell(value, at in html) for at, value in enumerate(row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def picture(pixels: RGB, told: str, *, lossless: bool = False) -> str:
    """Return a picture, uint8 (H, W, 3), with an alternative text; JPEG, or lossless PNG."""
    stream = io.BytesIO()
    kind = "png" if lossless else "jpeg"
    Image.fromarray(pixels).save(stream, kind, quality=85)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{escape(told)}" src="data:image/{kind};base64,{data}"/>'


def picture_file(path: Path, told: str, most_px: int) -> str:
    """Return the picture in a file, reduced to at most `most_px` px a side."""
    with Image.open(path) as image:
        image.thumbnail((most_px, most_px))
        return picture(np.asarray(on_white(image)), told)


def swatch(colour: Colour) -> str:
    """Return a square of a colour, for legends."""
    return f'<span style="display:inline-block;width:1em;height:1em;background:#{bytes(colour).hex()}"></span>'


def _head(name: str, right: bool) -> str:
    return f'<th style="text-align:{"right" if right else "left"}">{escape(name)}</th>'  # Jupyter's own is right


def _cell(value: object, is_html: bool) -> str:
    if is_html:
        return f'<td style="text-align:left">{value}</td>'
    if isinstance(value, int | float):
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
        return f'<td style="text-align:right">{shown}</td>'
    text = "–" if value is None else str(value)
    whole = ";white-space:nowrap" if len(text) <= _UNBROKEN else ""
    return f'<td style="text-align:left{whole}">{escape(text)}</td>'


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
