"""The parts of a report: sections with text, tables and images; one module per kind of folder makes them."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from hviskd.errors import DataError
from hviskd.storage import read_json, require_smaller
from hviskd.tiles.leaks import without_names
from hviskd.version import DISCLAIMER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDEST_PX = 1800  # sharp on paper 18 cm wide
LARGEST_PX = 10**8
DPI = 150  # of every picture of this project
TEXT_LIMIT_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Picture:
    """An image embedded in the page.

    Attributes:
        caption: What it shows.
        uri: The picture itself, as a `data:` address.
        width_px: Width at which its words have the size they were drawn for, in CSS px (96 an inch).
        height_px: Its height, in the same unit.
    """

    caption: str
    uri: str
    width_px: int
    height_px: int


@dataclass(frozen=True)
class Section:
    """One section of a report.

    Attributes:
        title: Its heading.
        lead: What was done on which data, a paragraph each.
        verdict: What was gained, in two or three sentences that the page begins with; empty if nothing was measured.
        pictures: In the order they are shown.
        tables: Markdown with tables in it.
        meaning: What the numbers are, in a sentence each.
        limits: Limitations.
        commands: How to repeat it.
        texts: Files that repeating needs, each a name and its content.
    """

    title: str
    lead: tuple[str, ...] = field(repr=False)  # in a notebook, the list of a page's sections is one of their titles
    verdict: tuple[str, ...] = field(default=(), repr=False)
    tables: tuple[str, ...] = field(default=(), repr=False)
    meaning: tuple[str, ...] = field(default=(), repr=False)
    pictures: tuple[Picture, ...] = field(default=(), repr=False)
    limits: tuple[str, ...] = field(default=(), repr=False)
    commands: tuple[str, ...] = field(default=(), repr=False)
    texts: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def name_of(folder: Path) -> str:
    """Return the name of a folder, without its parent folders."""
    return folder.resolve().name


def card_of(folder: Path, file: str) -> dict[str, Any]:
    """Return the JSON object in a folder's file; empty if the file does not exist or has other content.

    Raises:
        DataError: The file is no JSON, or larger than a card can be.
    """
    path = folder / file
    content = read_json(path) if path.is_file() else None
    return content if isinstance(content, dict) else {}


def verdict_in(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the sentences of the verdict on a card; none if it was written before there were verdicts."""
    verdict = card.get("verdict")
    sentences = verdict.get("sentences") if isinstance(verdict, Mapping) else None
    if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
        return ()
    return tuple(map(without_names, sentences))


def without_verdict(text: str, verdict: Sequence[str]) -> str:
    """Return Markdown without the paragraph of its verdict, which the page begins with."""
    return text.replace(f"{' '.join((*verdict, DISCLAIMER))}\n\n", "", 1) if verdict else text


def picture_of(source: "Path | Figure", caption: str) -> Picture:
    """Embed a PNG file or a figure in a report, at most 1,800 px wide and without metadata.

    Raises:
        DataError: The file is no PNG, damaged, or absurdly large.
    """
    stream: Path | io.BytesIO
    if isinstance(source, Path):
        stream = source
    else:
        stream = io.BytesIO()
        source.savefig(stream, format="png", facecolor="white")
    try:
        with Image.open(stream, formats=("PNG",)) as opened:
            if opened.width * opened.height > LARGEST_PX:
                raise DataError(f"{source}: {opened.width} × {opened.height} px; larger than any figure of hviskd")
            pixels = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{source}: cannot be read as an image ({str(error)[:120]}); make it again") from error
    shown = [round(side * 96 / DPI) for side in pixels.size]
    pixels.thumbnail((WIDEST_PX, 10 * WIDEST_PX), Image.Resampling.LANCZOS)
    bare = Image.new("RGB", pixels.size)
    bare.paste(pixels)
    written = io.BytesIO()
    bare.save(written, format="webp", quality=88, method=4)
    uri = f"data:image/webp;base64,{base64.b64encode(written.getvalue()).decode()}"
    return Picture(caption, uri, shown[0], shown[1])


def pictures_there(folder: Path, captions: dict[str, str]) -> tuple[Picture, ...]:
    """Embed those of a folder's images that exist, by file name and caption."""
    return tuple(picture_of(folder / name, text) for name, text in captions.items() if (folder / name).is_file())


def text_of(path: Path) -> str:
    """Return a text file that hviskd wrote, without the names of patients.

    Raises:
        DataError: The file is missing, too large, or no text.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; create the folder again")
    require_smaller(path, TEXT_LIMIT_BYTES, "; not a table of hviskd")
    try:
        return without_names(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file; create the folder again") from error
