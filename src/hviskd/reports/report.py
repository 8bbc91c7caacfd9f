"""Writes an HTML report from result folders."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from hviskd.errors import DataError
from hviskd.file_names import Paths, list_paths
from hviskd.progress import Progress, progress_bar
from hviskd.reports.section import Section, name_of
from hviskd.reports.sections import agreement, attention, comparisons, evaluations, maps, runs
from hviskd.storage import require_free_file, write_text
from hviskd.version import NOTICE, __version__

DEEPEST = 2  # folders below one that was named: a demo's runs
LIMITS = (
    "All numbers apply only to tissue like that measured here: the same scanners, stains, hospitals and classes.",
    NOTICE,
)
_IN_BRACKETS = re.compile(r"\([^()]{1,30}\)")


class _Kind(NamedTuple):
    """A kind of folder: how to recognise it, and how to make a report section from it."""

    matches: Callable[[Path], bool]
    describe: Callable[[Path], Section]


_KINDS = tuple(
    _Kind(module.matches, module.describe) for module in (evaluations, comparisons, maps, agreement, attention)
)


def write_report(
    folders: Paths, output: Path | str, *, title: str | None = None, progress: Progress | None = None
) -> list[Section]:
    """Write one self-contained HTML page, without scripts and with all images embedded.

    It contains the names of folders and slide files, but no paths and no patients.

    Args:
        folders: One or several folders of runs, evaluations, comparisons, maps, agreements, attention maps or a demo,
            or folders that contain them.
        output: The page, ending in `.html`; an existing one is replaced.
        title: Title of the page; by default the folders' names.
        progress: Called with done, total and what is being done; a bar by default.

    Returns:
        The sections of the page.

    Raises:
        DataError: A folder is damaged or none of these, or the output does not end in `.html`.
    """
    output, places = Path(output), list_paths(folders)
    if output.suffix.lower() not in {".html", ".htm"} or output.is_dir():
        raise DataError(f"{output}: the report is an HTML file; its name must end in .html")
    if not places:
        raise DataError("no folder given; give one that hviskd wrote")
    require_free_file(output, overwrite=True)
    parts = list(dict.fromkeys(part.resolve() for place in places for part in _parts(place)))
    trainings = [part for part in parts if runs.matches(part)]
    others = [(_kind_of(part), part) for part in parts if part not in trainings]
    sections = [runs.describe(trainings)] if trainings else []
    with progress_bar("report", len(parts), progress) as advance:
        advance(len(trainings))
        for kind in _KINDS:
            for own, part in others:
                if own is kind:
                    sections.append(kind.describe(part))
                    advance()
    named = ", ".join(dict.fromkeys(name_of(place) for place in places))
    write_text(output, render(sections, title or f"Report on {named}"))
    return sections


def render(sections: Sequence[Section], title: str) -> str:
    """Return the page of sections as HTML, with all text escaped."""
    environment = Environment(
        loader=PackageLoader("hviskd.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Tables, lists and headings alone: a foreign file can put neither HTML nor a link nor a picture into the page.
    reader = MarkdownIt("zero").enable(["table", "heading", "list", "escape", "backticks"])
    environment.filters["markdown"] = lambda text: _markup(reader, text)
    page = environment.get_template("report.html.j2")
    today = datetime.now(UTC).date().isoformat()
    return page.render(title=title, sections=sections, limits=LIMITS, version=__version__, today=today)


def _markup(reader: MarkdownIt, text: str) -> Markup:
    tokens = reader.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:  # below the section's own heading
            token.tag = f"h{min(6, int(token.tag[1:]) + 2)}"
        for word in token.children or ():  # an interval is broken before its bracket, not within
            word.content = _IN_BRACKETS.sub(lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), word.content)
    return Markup(reader.renderer.render(tokens, reader.options, {}))  # noqa: S704  # the reader escapes


def _kind_of(folder: Path) -> _Kind | None:
    return next((kind for kind in _KINDS if kind.matches(folder)), None)


def _parts(folder: Path) -> list[Path]:
    """Return a folder itself if it is of a known kind, or those that it contains.

    Raises:
        DataError: There is no such folder, or nothing in it is known.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give one that hviskd wrote")
    parts = list(_known(folder, DEEPEST))
    if not parts:
        raise DataError(f"{folder}: contains no run, evaluation, comparison, map, agreement or attention results")
    return parts


def _known(folder: Path, depth: int) -> Iterator[Path]:
    if runs.matches(folder) or _kind_of(folder) is not None:
        yield folder
    elif depth:
        for child in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
            yield from _known(child, depth - 1)
