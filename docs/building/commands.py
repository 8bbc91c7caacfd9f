"""Writes the reference of the command line from the commands themselves, as `--help` does."""

import re
from collections.abc import Iterator
from typing import Any

import typer

from hviskd.cli.app import app

_FIRST = ("slides", "annotations", "tiles")  # as in a person's work; the others are in the order of `hviskd --help`
_VALUE = re.compile(r"<([^<>]+)>")
_AFTER = re.compile(r"  \[(?P<extra>(?:default|required|x[<>]|\d)[^\n]*)\]$")


def commands_page() -> str:
    """Return one section per command: what it does, its arguments and options, examples."""
    ordered = sorted(walk(), key=lambda found: found[0][0] not in _FIRST)
    return "\n\n".join("\n".join(_section(path, command)) for path, command in ordered)


def walk(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give every command below a group, with the words that call it after `hviskd`."""
    group = typer.main.get_command(app) if group is None else group
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from walk(command, (*path, name))
        else:
            yield (*path, name), command


def _section(path: tuple[str, ...], command: Any) -> Iterator[str]:
    words = " ".join(path)
    context = command.make_context(words, [], resilient_parsing=True)
    said, _, examples = command.help.replace(r"\[", "[").partition("\n\nExamples:\n\n")
    yield f"## hviskd {words}\n"
    yield escaped(said) + "\n"
    yield "```sh"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"hviskd {words} {re.sub(r'[{}]', '', usage).replace('......', '...')}"
    yield "```\n"
    panels: dict[str | None, list[Any]] = {}
    for parameter in command.params:
        panels.setdefault(parameter.rich_help_panel, []).append(parameter)
    for title, parameters in panels.items():
        if title:
            yield f"**{title}**\n"
        for parameter in parameters:
            yield from _definition(parameter.get_help_record(context))
    yield "Examples:\n"
    yield "```sh"
    yield from (line.strip() for line in examples.splitlines() if line.strip())
    yield "```\n"


def _definition(record: tuple[str, str]) -> Iterator[str]:
    names, text = record
    if not names.startswith("-"):
        names = _VALUE.sub("", names).strip()  # of an argument, the name says what it is
    after = _AFTER.search(text)
    extra = after["extra"] if after else ""
    text = text[: after.start()] if after else text
    yield f"`{_VALUE.sub(_plain, names)}`{' (required)' if extra == 'required' else ''}"
    facts = "" if extra == "required" else _facts(extra)
    yield f": {escaped(text)}{f' *{escaped(facts)}.*' if facts else ''}\n"


def _plain(value: re.Match[str]) -> str:
    kind = re.sub(r"^list\[(.*)\]$", r"\1", value[1].removesuffix(" range"))
    return {"str": "TEXT", "int": "N", "float": "X"}.get(kind, kind if "|" in kind else kind.upper())


def _facts(extra: str) -> str:
    told = re.sub(r"^default: \((.*)\)$", r"default: \1", extra.replace("x>=", "at least "))
    return told[:1].upper() + told[1:]


def escaped(text: str) -> str:
    """Return plain text so that Markdown shows it as it is; backticks keep their meaning."""
    parts = text.split("`")
    for number in range(0, len(parts), 2):
        parts[number] = re.sub(r"([\\*_<>\[\]|$])", r"\\\1", parts[number])
    return "`".join(parts)
