"""Reads the project's pages of Markdown: their blocks of code, the commands in them, their links and headings."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted(path for folder in (".", "docs", "docs/*", "benchmarks") for path in ROOT.glob(f"{folder}/*.md"))
_BLOCK = re.compile(r"^(?P<indent> *)```(?P<kind>[^\n`]*)\n(?P<text>.*?)^ *```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"(?<![\w./'-])hviskd +[a-z-].*")
_ENDS = ("|", "||", "&&", ";", ">", ">>", "2>")


def blocks(page: Path, *kinds: str) -> Iterator[str]:
    """Give the fenced blocks of a page that have one of these words after the fence."""
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if block["kind"] in kinds:
            yield block["text"].replace(f"\n{block['indent']}", "\n").removeprefix(block["indent"])


def commands(page: Path) -> Iterator[list[str]]:
    """Give the words after `hviskd` of every command in a block, without comment, redirection and quoting."""
    for block in blocks(page, "", "sh", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            if found := _COMMAND.search(re.sub(r'^.*(?:shell|script): "(.*)"$', r"\1", line)):
                words = shlex.split(found[0], comments=True)[1:]
                end = min((words.index(sign) for sign in _ENDS if sign in words), default=len(words))
                yield words[:end]


def mentions(page: Path) -> Iterator[list[str]]:
    """Give the words after `hviskd` of every command that a sentence names in backticks."""
    for found in re.findall(r"`hviskd ([a-z][^`]*)`", _BLOCK.sub("", page.read_text(encoding="utf-8"))):
        yield found.replace("\n", " ").split()


def links(page: Path) -> Iterator[str]:
    """Give what a page's links lead to, without those of other sites."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    yield from (link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link)


def anchors(page: Path) -> set[str]:
    """Return the names under which code hosts and the site know a page's headings."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
