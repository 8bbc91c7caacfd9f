"""The option `--set KEY=VALUE` of the verbs that take a recipe or an experiment."""

from collections.abc import Iterable
from typing import Any


def parse_changes(words: Iterable[str] | None, example: str) -> dict[str, Any]:
    """Read `KEY=VALUE` words, each value as YAML would be; of a key that is there twice the last counts.

    Raises:
        RecipeError: A word has no `=`, or its value is no YAML; `example` shows how.
    """
    from hviskd.errors import RecipeError
    from hviskd.training.recipe import parse_value

    changes = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not equals:
            raise RecipeError(f"--set {word}: write KEY=VALUE, for example {example}")
        changes[key] = parse_value(value)
    return changes
