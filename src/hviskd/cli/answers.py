"""The option --json of the verbs: the result as one JSON object on stdout, and every other word on stderr."""

import inspect
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import wraps
from pathlib import PurePath
from typing import Annotated, Any

import typer

from hviskd.cli.status import Status

_Json = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object; all other output goes to stderr.")
]


@dataclass(frozen=True)
class Answer:
    """What a verb has done, for the program that called it.

    Attributes:
        content: The JSON object that --json prints: keys in snake_case, paths as given, null for what is undefined;
            empty in all but one of the processes that share a training.
        status: The exit status.
    """

    content: Mapping[str, Any]
    status: Status = Status.DONE


def answering(verb: Callable[..., Answer]) -> Callable[..., None]:
    """Give a verb that returns an Answer the option --json, and end it with the Answer's exit status."""
    signature = inspect.signature(verb)
    option = inspect.Parameter("json_", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Json)

    @wraps(verb)
    def answer(*, json_: bool = False, **given: Any) -> None:
        with redirect_stdout(sys.stderr) if json_ else nullcontext():
            found = verb(**given)
        if json_ and found.content:
            typer.echo(json_text(found.content))
        if found.status:
            raise typer.Exit(found.status)

    del answer.__wrapped__  # typer would look at it
    answer.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    answer.__annotations__ = {**verb.__annotations__, "json_": _Json, "return": None}
    return answer


def json_text(content: Mapping[str, Any]) -> str:
    """Return JSON as every program reads it: NaN and infinity are null, paths and names of an enumeration are text.

    Bytes of a file's name that are no UTF-8 become JSON's escapes, by which Python's `json` gives the same path again.
    """
    text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace").decode()


def _plain(value: Any) -> Any:
    """Return a value of hviskd's as JSON has it; a dataclass or settings object becomes an object of its fields.

    Raises:
        TypeError: There is no such form.
    """
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    for way in ("_asdict", "model_dump", "tolist"):  # of named tuples, pydantic's models, NumPy's arrays and numbers
        if hasattr(value, way):
            return _plain(getattr(value, way)())
    if isinstance(value, Iterable):
        return [_plain(each) for each in value]
    raise TypeError(f"{value!r}: has no form in JSON")
