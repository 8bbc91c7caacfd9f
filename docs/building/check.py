"""Checks the built site: nothing is loaded from elsewhere, and every link within it leads to a page and a place there.

Run by `make docs` with the site's folder; prints what is wrong and ends with 1.
"""

import re
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADING = {"src", "srcset", "poster", "data", "xlink:href"}
_FETCHED = {
    "stylesheet",
    "icon",
    "preload",
    "preconnect",
    "dns-prefetch",
    "modulepreload",
    "manifest",
    "apple-touch-icon",
}
_IN_CSS = re.compile(r"""(?:url\(\s*|@import\s+)['"]?(?P<place>(?:https?:)?//[^'")\s]+)""")
_IN_SCRIPT = re.compile(r"""(?:fetch|import|importScripts)\(\s*['"](?P<place>(?:https?:)?//[^'"]+)""")


@dataclass
class Page(HTMLParser):
    """What a page of HTML loads, links to and can be linked at."""

    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    places: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what the attributes of an element say."""
        given = {name: value or "" for name, value in attrs}
        self.places.update(given[name] for name in ("id", "name") if name in given)
        self.loads += [given[name] for name in given if name in _LOADING]
        self.loads += _IN_CSS.findall(given.get("style", ""))
        if tag == "link" and _FETCHED & set(given.get("rel", "").split()):
            self.loads.append(given.get("href", ""))
        elif tag == "a" and "href" in given:
            self.links.append(given["href"])


def problems(site: Path) -> list[str]:
    """Return what is wrong with a built site, one line each."""
    pages = {path: _read(path) for path in site.rglob("*.html")}
    found = [f"{path.relative_to(site)}: {told}" for path, page in pages.items() for told in _wrong(path, page, pages)]
    for path in (*site.rglob("*.css"), *site.rglob("*.js")):
        pattern = _IN_CSS if path.suffix == ".css" else _IN_SCRIPT
        found += [f"{path.relative_to(site)}: loads {place}" for place in pattern.findall(path.read_text("utf-8"))]
    text = (site / "llms.txt").read_text("utf-8")
    found += [f"llms.txt: no {link}" for link in re.findall(r"\]\(([^)]+)\)", text) if not (site / link).is_file()]
    return sorted(set(found))


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text("utf-8"))
    return page


def _wrong(path: Path, page: Page, pages: dict[Path, Page]) -> list[str]:
    told = [f"loads {place}" for place in page.loads if urlsplit(place).netloc]
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file():
            told.append(f"leads to {link}, which is not there")
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places:
            told.append(f"leads to {link}, a place that the page has not")
    return told


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]).resolve())
    print("\n".join(wrong) or "site: every link leads somewhere, and nothing is loaded from elsewhere")
    sys.exit(bool(wrong))
