"""Writes the reference of the Python interface from signatures and docstrings, as objects that Sphinx can link to."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from pydantic import BaseModel

import hviskd
from building import docstrings

ROOMS = {
    "Slides": ("slides", "synthesis"),
    "Annotations": ("annotations",),
    "Tiles": ("cutting", "tiles"),
    "Training": ("networks", "training", "models"),
    "Evaluation": ("evaluation", "attention", "agreement"),
    "Slide maps": ("segmentation", "viewer"),
    "Experiments and reports": ("experiments", "reports"),
    "Installation": ("installation",),
}
_PLAINER = (  # what Python makes of the types in a signature, and what its author wrote
    (r"<factory>|<[^<>]*>", "…"),
    (r"(?:\w+\.)+(?=[A-Za-z_])", ""),
    (r"(: |-> )'([^']*)'", r"\1\2"),
    (r"ndarray\[tuple\[[^]]*\], dtype\[(\w+)\]\]", r"ndarray[\1]"),
    (r"Callable\[\[int, int, str\], None\]", "Progress"),
)
_ERRORS = ("HviskdError", "DataError", "LeakError", "OutputError", "RecipeError", "ModelError", "TrainingError",
           "DivergedError", "RunningError")  # fmt: skip


def api_page() -> str:
    """Return every public name of `hviskd`, by subject, and its errors.

    Raises:
        ValueError: A public name belongs to no subject.
    """
    homes = hviskd._HOMES
    parts = []
    for subject, rooms in ROOMS.items():
        names = [name for room in rooms for name in sorted(homes) if homes[name] == room]
        parts += [f"## {subject}", *(_entry(f"hviskd.{name}", getattr(hviskd, name)) for name in names)]
    if missing := set(homes.values()) - {room for rooms in ROOMS.values() for room in rooms}:
        raise ValueError(f"no subject for {', '.join(sorted(missing))}")
    parts.append("## Errors")
    parts += [_entry(f"hviskd.errors.{name}", getattr(hviskd.errors, name)) for name in _ERRORS]
    return "\n\n".join(parts)


def _entry(name: str, thing: object) -> str:
    lines = _class(name, thing) if inspect.isclass(thing) else _function("function", name, thing)
    return "\n".join(lines)


def _function(kind: str, name: str, thing: object, *options: str) -> Iterator[str]:
    yield f":::{{py:{kind}}} {name}{_signature(thing)}"
    yield from options
    yield from _told(docstrings.read(thing))
    yield ":::\n"


def _class(name: str, thing: type) -> Iterator[str]:
    error = issubclass(thing, Exception)
    made = is_dataclass(thing) and any(field.init for field in fields(thing))
    yield f"::::{{py:{'exception' if error else 'class'}}} {name}{_signature(thing) if made else ''}"
    told = docstrings.read(thing)
    if issubclass(thing, BaseModel):
        told.sections.pop("Attributes", None)
        told.text += "\n\nIts keys: [Recipes and experiments](recipes.md)."
    yield from _told(told)
    yield "\n".join(line for member, value in _members(thing) for line in _member(thing, member, value))
    yield "::::\n"


def _members(thing: type) -> Iterator[tuple[str, object]]:
    if issubclass(thing, Exception):
        return
    for base in thing.__mro__:
        if not base.__module__.startswith("hviskd"):
            continue
        for name, value in vars(base).items():
            public = not name.startswith("_") and vars(thing).get(name, value) is value
            if public and inspect.getdoc(value) and not _is_validator(value):
                yield name, value


def _is_validator(value: object) -> bool:
    return type(value).__name__ == "PydanticDescriptorProxy"


def _member(owner: type, name: str, value: object) -> Iterator[str]:
    if isinstance(value, property) or type(value).__name__ == "cached_property":
        yield f":::{{py:property}} {name}"
        yield from _told(docstrings.read(value))
        yield ":::\n"
    elif isinstance(value, (classmethod, staticmethod)):
        yield from _function("method", name, getattr(owner, name), f":{type(value).__name__}:", "")
    elif inspect.isfunction(value):
        yield from _function("method", name, value)


def _told(told: docstrings.Docstring) -> Iterator[str]:
    yield f"\n{_plain(told.text)}\n"
    for section, title in (("Args", "Parameters"), ("Attributes", "Attributes")):
        if entries := told.sections.get(section):
            yield f"**{title}**\n"
            yield from (f"- `{name.lstrip('*')}`: {_plain(text)}" for name, text in entries.items())
            yield ""
    for section in ("Returns", "Yields"):
        if entries := told.sections.get(section):
            yield f"**{section}** {_plain(' '.join(entries.values()))}\n"
    if entries := told.sections.get("Raises"):
        yield "**Raises**\n"
        yield from (f"- {_errors(name)}: {_plain(text)}" for name, text in entries.items())
        yield ""


def _errors(names: str) -> str:
    linked = (
        f"{{py:exc}}`{name} <hviskd.errors.{name}>`" if name in _ERRORS else f"`{name}`" for name in names.split(", ")
    )
    return ", ".join(linked)


def _plain(text: str) -> str:
    return re.sub(r"(?<=\w)\*(?=\w)", r"\\*", text)  # a product is no emphasis


def _signature(thing: object) -> str:
    signature = inspect.signature(thing)  # type: ignore[arg-type]
    kept = [each for name, each in signature.parameters.items() if name not in ("self", "cls")]
    shown = str(signature.replace(parameters=kept))
    for pattern, plainer in _PLAINER:
        shown = re.sub(pattern, plainer, shown)
    return shown if inspect.isclass(thing) is False else re.sub(r" -> .*$", "", shown)
