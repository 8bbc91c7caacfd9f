"""Reads a tutorial: text, and between it blocks that can be run, with what the comments below them say.

```sh
hviskd tiles split tiles --by patient
```

<!-- prints: No patient appears in more than one split -->
<!-- shows: tiles/contact-sheet.png -->

A block without such comments is text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_STEP = re.compile(
    r"^```(?P<kind>sh|yaml|python)\n(?P<text>(?:(?!```).*\n)*)```\n\n"
    r"(?P<notes>(?:<!-- (?:prints|saved as|shows|ends with|meanwhile): .*? -->\n)+)",
    re.MULTILINE,
)
_NOTE = re.compile(r"<!-- (.*?): (.*?) -->")


@dataclass(frozen=True)
class Step:
    """A block that can be run.

    Attributes:
        kind: sh, python, or yaml, which is saved.
        text: What stands in it.
        notes: What the comments say, by kind.
    """

    kind: str
    text: str
    notes: Mapping[str, tuple[str, ...]]

    def note(self, kind: str, default: str = "") -> str:
        """Return what the one comment of a kind says."""
        return self.notes.get(kind, (default,))[0]

    @property
    def commands(self) -> list[str]:
        """The lines of a block of commands, each of them whole."""
        return [line for line in self.text.replace("\\\n", " ").splitlines() if line.strip()]

    def pictures(self, page: str) -> dict[str, str]:
        """Return the files that are shown, by the names under which they are kept."""
        return {f"{page}-{shown.replace('/', '-')}": shown for shown in self.notes.get("shows", ())}


@dataclass(frozen=True)
class Done:
    """A step that was run: what it printed, and the pictures that it drew, as they are kept."""

    step: Step
    said: str
    pictures: tuple[Path, ...]


def parts(page: str) -> Iterator[str | Step]:
    """Give the text of a page and its steps, in order."""
    end = 0
    for found in _STEP.finditer(f"{page}\n"):
        notes: dict[str, tuple[str, ...]] = {}
        for kind, said in _NOTE.findall(found["notes"]):
            notes[kind] = (*notes.get(kind, ()), said)
        yield page[end : found.start()]
        yield Step(found["kind"], found["text"], notes)
        end = found.end()
    yield page[end:]
