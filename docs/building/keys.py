"""Writes the keys of recipes, experiments and methods from the pydantic models that check them."""

import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from building import docstrings
from building.commands import escaped
from hviskd.distillation import METHODS
from hviskd.distillation.method import Options
from hviskd.distillation.registry import PRESETS
from hviskd.experiments.design import Arm, Design
from hviskd.training import Recipe


def recipe_keys() -> str:
    """Return a definition of every key of a recipe."""
    return _keys(Recipe)


def experiment_keys() -> str:
    """Return the keys of an experiment, and those of one of its arms."""
    return f"{_keys(Design)}\n\n### Keys of an arm\n\n{_keys(Arm)}"


def preset_table() -> str:
    """Return one row per preset: its methods with what differs from their defaults."""
    rows = ["| preset | methods |", "|---|---|"]
    for name, methods in PRESETS.items():
        told = [f"`{method}`{_options(options)}" for method, options in methods.items()]
        rows.append(f"| `{name}` | {' + '.join(told)} |")
    return "\n".join(rows)


def method_options() -> str:
    """Return one section per method: what its options are."""
    common = f"Every method takes:\n\n{_keys(Options)}"
    return "\n\n".join([common, *(_method(name, method.Options) for name, method in METHODS.items())])


def _method(name: str, options: type[Options]) -> str:
    own = {
        key: field
        for key, field in options.model_fields.items()
        if key not in Options.model_fields or field.default != Options.model_fields[key].default
    }
    lines = ["| option | default | values |", "|---|---|---|"]
    lines += [f"| `{key}` | {_code(default(field))} | {_cell(values(field))} |" for key, field in own.items()]
    return f"### {name}\n\n{chr(10).join(lines) if own else 'No options of its own.'}"


def _keys(model: type[BaseModel]) -> str:
    told = docstrings.read(model).sections.get("Attributes", {})
    lines = []
    for name, field in model.model_fields.items():
        text = told.get(name) or field.description or ""
        facts = f"{_first_upper(escaped(values(field)))}; default {_code(default(field))}."
        lines += [f"`{name}`", f": {escaped(text)} *{facts}*\n"]
    return "\n".join(lines)


def default(field: FieldInfo) -> str:
    """Return what stands where a key is left out, as YAML spells it."""
    value = field.default if field.default is not PydanticUndefined else None
    if field.default_factory is not None:
        value = field.default_factory()  # type: ignore[call-arg]
    if field.is_required():
        return ""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(list(value) if isinstance(value, tuple) else value)


def values(field: FieldInfo) -> str:
    """Return which values a key takes: its type in plain words, and its bounds."""
    told = _type(field.annotation)
    for bound in field.metadata:
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if getattr(bound, name, None) is not None:
                told += f", {sign} {getattr(bound, name)}"
    return told


def _type(kind: Any) -> str:
    plain = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null"}
    if kind in plain:
        return plain[kind]
    inner = get_args(kind)
    spelled = str(kind)
    if "Literal" in spelled.partition("[")[0]:
        return " or ".join(str(value) for value in inner)
    if "|" in spelled or "Union" in spelled.partition("[")[0]:
        return " or ".join(_type(part) for part in inner)
    if "dict" in spelled.lower().partition("[")[0] or (isinstance(kind, type) and issubclass(kind, Mapping)):
        return "mapping"
    if inner:
        return f"list of {_type(inner[0])}"
    return re.sub(r"^.*\.", "", getattr(kind, "__name__", spelled)).lower()


def _options(options: Mapping[str, Any]) -> str:
    changed = ", ".join(f"{key} {value}" for key, value in options.items())
    return f" ({escaped(changed)})" if changed else ""


def _code(text: str) -> str:
    return f"`{text}`" if text else "none: it must be given"


def _cell(text: str) -> str:
    return escaped(text)


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]
