"""Reads a recipe or an experiment from YAML, by built-in name or by path, and checks what it says."""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from hviskd.errors import RecipeError, first_problem
from hviskd.plain_yaml import parse_yaml

_LIMIT_BYTES = 2**20  # what people write is a page of text
_Model = TypeVar("_Model", bound=BaseModel)


def built_in_texts(room: str, folder: str) -> dict[str, str]:
    """Return the YAML files that a package contains, by name without `.yaml`."""
    texts = {entry.name: entry.read_text(encoding="utf-8") for entry in (files(room) / folder).iterdir()}
    return {name.removesuffix(".yaml"): text for name, text in sorted(texts.items()) if name.endswith(".yaml")}


def read_mapping(source: str | Path, built_in: Mapping[str, str], what: str) -> dict[str, Any]:
    """Read a YAML mapping with text keys.

    Args:
        source: A file, or else a name in `built_in`.
        built_in: YAML by name.
        what: What it should be, for messages: "a recipe".

    Raises:
        RecipeError: No such file and name, too large, not UTF-8, not YAML, or no such mapping.
    """
    path = Path(source)
    if path.is_file():
        if path.stat().st_size > _LIMIT_BYTES:
            raise RecipeError(f"{path}: larger than 1 MiB, so not {what}")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise RecipeError(f"{path}: not a text file in UTF-8") from error
    else:
        if str(source) not in built_in:
            close = get_close_matches(str(source), built_in, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"built-in names are {', '.join(built_in)}"
            raise RecipeError(f"{source}: no such file and no built-in {what.split()[-1]}; {hint}")
        text = built_in[str(source)]
    try:
        content = parse_yaml(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise RecipeError(f"{source}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise RecipeError(f"{source}: {what} must be a mapping of keys to values")
    return content


def validated(kind: type[_Model], content: Mapping[str, Any], where: str) -> _Model:
    """Return what a mapping describes.

    Args:
        kind: What it should be.
        content: Its keys and values.
        where: Where they come from, for messages.

    Raises:
        RecipeError: An unknown key, which the message answers with those that are known, or an invalid value.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        unknown = error.errors()[0]["type"] == "extra_forbidden"
        hint = f"; the keys are {', '.join(kind.model_fields)}" if unknown else ""
        raise RecipeError(f"{where}: {first_problem(error)}{hint}") from error
