"""Spells the library's parameters as options: `tile_px=0` in an error or note is shown as --tile-px 0.

The library writes a parameter in backticks, as Python has it; `tissue.mpp` is a field of a settings object. Only what
the running verb has an option for is respelled. A function to call, such as `split_tiles()`, becomes its verb,
`hviskd tiles split`. All else, such as `hviskd recipes`, stays.
"""

import ast
import re
from collections.abc import Iterable
from typing import Any

import typer

_VERBS = {
    "attend": "attend",
    "built_in_recipes": "recipes",
    "collect_parts": "segment --collect",
    "compare": "compare",
    "cut_slides": "tiles cut",
    "gain_plot": "figures gain",
    "import_folder": "tiles import",
    "network_names": "networks",
    "predict": "predict",
    "quantize": "quantize",
    "save_evaluation": "evaluate",
    "segment_cohort": "segment",
    "split_tiles": "tiles split",
    "take_census": "annotations census",
    "train": "train",
    "tune": "tune",
}
_CALL = re.compile(r"`([a-z_]+)\(\)`")
_PARAMETER = re.compile(r"`([a-z_][a-z0-9_.]*)(?:=([^`]*))?`")


def as_options(message: str, parameters: Iterable[Any]) -> str:
    """Return a message of the library with its parameters spelled as the options of a verb.

    Args:
        message: One line or several, with parameters such as `` `overwrite=True` `` in backticks.
        parameters: Those of the verb: `name` is the library's, the longest of `opts` is shown.
    """
    options = {each.name: max(each.opts, key=len) for each in parameters if each.opts[0].startswith("-")}

    def spell(found: re.Match[str]) -> str:
        option, value = options.get(found[1].replace(".", "_")), found[2]
        if option is None:
            return found[0]
        return option if value in (None, "True") else f"{option} {_plain(value)}"

    message = _CALL.sub(lambda found: f"`hviskd {_VERBS[found[1]]}`" if found[1] in _VERBS else found[0], message)
    return _PARAMETER.sub(spell, message)


def _plain(value: str) -> str:
    """Return a value without the quotes that Python has round text and round the names in a list."""
    try:
        literal = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
    if isinstance(literal, str):
        return literal
    if isinstance(literal, list) and all(isinstance(name, str) for name in literal):
        return ",".join(literal)
    return value


def say(message: str, context: typer.Context, *, err: bool = False) -> None:
    """Print a message of the library with its parameters spelled as the options of the verb of `context`."""
    typer.echo(as_options(message, context.command.params), err=err)


def invoked(command: Any, words: Iterable[str]) -> Any:
    """Return the verb that the words of a command line select, starting at the group `command`."""
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    return command
