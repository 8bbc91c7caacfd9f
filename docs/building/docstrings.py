"""Reads docstrings of Google's form: the text, and the entries of each section."""

import inspect
import re
from dataclasses import dataclass, field

_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):$")
_ENTRY = re.compile(r"^(?P<name>[*\w., ]+?)(?: \([^)]*\))?:(?: (?P<text>.*))?$")


@dataclass
class Docstring:
    """The text of a docstring, and its sections: name → text, in order; `Returns` has the one name ''."""

    text: str = ""
    sections: dict[str, dict[str, str]] = field(default_factory=dict)


def read(thing: object) -> Docstring:
    """Read the docstring of a function, class or property."""
    found = Docstring()
    said: list[str] = []
    section = ""
    for line in inspect.cleandoc(getattr(thing, "__doc__", None) or "").splitlines():
        if heading := _SECTION.match(line):
            section = heading[1]
            found.sections[section] = {}
        elif section and (line.startswith("    ") or not line):
            _add(found.sections[section], line[4:], named=section not in ("Returns", "Yields"))
        else:
            section = ""
            said.append(line)
    found.text = "\n".join(said).strip()
    return found


def _add(entries: dict[str, str], line: str, *, named: bool) -> None:
    entry = _ENTRY.match(line) if named and not line.startswith(" ") else None
    if entry:
        entries[entry["name"]] = entry["text"] or ""
    elif line.strip():
        last = next(reversed(entries), "")
        entries[last] = f"{entries.get(last, '')} {line.strip()}".strip()
