"""Every method by its name, and the presets: complete mixtures of methods under one name."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from torch import nn

from hviskd.distillation.method import Method, Options, Setting
from hviskd.distillation.methods.crd import CRD, CRDOptions
from hviskd.distillation.methods.cross_entropy import CrossEntropy, CrossEntropyOptions
from hviskd.distillation.methods.hviskd import HVisKD, HVisKDOptions
from hviskd.distillation.methods.kd import KD, KDOptions
from hviskd.distillation.methods.multi_level import MultiLevel, MultiLevelOptions
from hviskd.distillation.methods.simkd import SimKD, SimKDOptions
from hviskd.distillation.methods.sskd import SSKD, SSKDOptions
from hviskd.distillation.methods.wcord import WCoRD, WCoRDOptions
from hviskd.errors import RecipeError, first_problem

METHODS: Mapping[str, tuple[type[Method], type[Options]]] = {
    "cross_entropy": (CrossEntropy, CrossEntropyOptions),
    "kd": (KD, KDOptions),
    "hviskd": (HVisKD, HVisKDOptions),
    "crd": (CRD, CRDOptions),
    "wcord": (WCoRD, WCoRDOptions),
    "sskd": (SSKD, SSKDOptions),
    "multi_level": (MultiLevel, MultiLevelOptions),
    "simkd": (SimKD, SimKDOptions),
}

PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "plain": {"cross_entropy": {}},
    "kd": {"cross_entropy": {}, "kd": {}},
    "hviskd": {"cross_entropy": {}, "kd": {}, "hviskd": {}},
    # What produced the authors' logs: on a GPU their scales were never learned, and KD was left out.
    "hviskd-authors": {"cross_entropy": {}, "hviskd": {"scale": "frozen", "region_adapter": "linear"}},
    "crd": {"cross_entropy": {}, "crd": {}},
    "crd-kd": {"cross_entropy": {}, "kd": {}, "crd": {}},
    "wcord": {"cross_entropy": {}, "wcord": {}},
    "wcord-kd": {"cross_entropy": {}, "kd": {}, "wcord": {}},
    "sskd": {"cross_entropy": {"weight": 0.1, "during": (0.2, 1)}, "sskd": {}},
    "multi-level": {"cross_entropy": {"weight": 0.1}, "multi_level": {}},
    "multi-level-ls": {"cross_entropy": {"weight": 0.1}, "multi_level": {"standardise": True}},
    "multi-level-public": {"cross_entropy": {"weight": 0.1}, "multi_level": {"variant": "public"}},
    "simkd": {"simkd": {}},
}


def resolve_methods(wanted: str | Mapping[str, Mapping[str, Any] | None]) -> dict[str, Options]:
    """Turn a preset's name, or a mapping of method names to options, into complete, validated options.

    Raises:
        RecipeError: An unknown preset, method or option, or a value out of range.
    """
    if isinstance(wanted, str):
        if wanted not in PRESETS:
            raise RecipeError(f"method {wanted!r} is not known{_hint(wanted, PRESETS)}")
        return resolve_methods(PRESETS[wanted])
    if not wanted:
        raise RecipeError("methods: at least one is needed, such as cross_entropy")
    resolved = {}
    for name, options in wanted.items():
        if name not in METHODS:
            raise RecipeError(f"methods.{name} is not known{_hint(name, METHODS)}")
        try:
            resolved[name] = METHODS[name][1].model_validate(options or {})
        except ValidationError as error:
            raise RecipeError(first_problem(error, "methods", name)) from error
    return resolved


def build_methods(options: Mapping[str, Options], setting: Setting) -> nn.ModuleDict:
    """Build every method of a recipe for one pair of networks.

    Raises:
        RecipeError: A method needs a teacher and there is none, or cannot serve this pair.
    """
    methods = nn.ModuleDict()
    for name, chosen in options.items():
        kind = METHODS[name][0]
        if "teacher" in kind.needs and setting.teacher is None:
            raise RecipeError(f"methods.{name} needs a teacher; pass --teacher MODEL to `hviskd distill`")
        methods[name] = kind(chosen, setting)
    return methods


def _hint(wanted: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(wanted, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
