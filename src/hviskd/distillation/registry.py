"""All methods by name, and the presets, which are named combinations of methods."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from torch import nn

from hviskd.distillation.method import Method, Options, Setting
from hviskd.distillation.methods.ab import AB
from hviskd.distillation.methods.afd import AFD
from hviskd.distillation.methods.at import AT
from hviskd.distillation.methods.cat_kd import CATKD
from hviskd.distillation.methods.cc import CC
from hviskd.distillation.methods.crd import CRD
from hviskd.distillation.methods.cross_entropy import CrossEntropy
from hviskd.distillation.methods.dist import DIST
from hviskd.distillation.methods.dkd import DKD
from hviskd.distillation.methods.dml import DML
from hviskd.distillation.methods.fitnets import FitNets
from hviskd.distillation.methods.fsp import FSP
from hviskd.distillation.methods.ft import FT
from hviskd.distillation.methods.hviskd import HVisKD
from hviskd.distillation.methods.kd import KD
from hviskd.distillation.methods.kdsvd import KDSVD
from hviskd.distillation.methods.memory import Memory
from hviskd.distillation.methods.multi_level import MultiLevel
from hviskd.distillation.methods.nst import NST
from hviskd.distillation.methods.ofd import OFD
from hviskd.distillation.methods.pkt import PKT
from hviskd.distillation.methods.reviewkd import ReviewKD
from hviskd.distillation.methods.rkd import RKD
from hviskd.distillation.methods.rld import RLD
from hviskd.distillation.methods.simkd import SimKD
from hviskd.distillation.methods.sp import SP
from hviskd.distillation.methods.sskd import SSKD
from hviskd.distillation.methods.tofd import TOFD
from hviskd.distillation.methods.token_kl import TokenKL
from hviskd.distillation.methods.vid import VID
from hviskd.distillation.methods.vkd import VkD
from hviskd.distillation.methods.wcord import WCoRD
from hviskd.errors import RecipeError, first_problem

METHODS: Mapping[str, type[Method]] = {
    method.name: method
    for method in (
        CrossEntropy,
        KD,
        HVisKD,
        Memory,
        TokenKL,
        CRD,
        WCoRD,
        SSKD,
        MultiLevel,
        SimKD,
        FitNets,
        AT,
        VID,
        AB,
        FT,
        FSP,
        OFD,
        ReviewKD,
        AFD,
        TOFD,
        DKD,
        DIST,
        RLD,
        SP,
        RKD,
        PKT,
        VkD,
        CATKD,
        NST,
        CC,
        DML,
        KDSVD,
    )
}

PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "plain": {"cross_entropy": {}},
    "kd": {"cross_entropy": {}, "kd": {}},
    "hviskd": {"cross_entropy": {}, "kd": {}, "hviskd": {}},
    # What produced the authors' logs: on a GPU their scales were never learned, and KD was left out.
    "hviskd-authors": {"cross_entropy": {}, "hviskd": {"scale": "frozen", "region_adapter": "linear"}},
    "memory": {"cross_entropy": {}, "kd": {"temperature": 2.0}, "memory": {}},
    "token-kl": {"cross_entropy": {}, "token_kl": {}},
    "token-kl-kd": {"cross_entropy": {}, "kd": {}, "token_kl": {}},
    "token-kl-unlabelled": {"kd": {}, "token_kl": {}},  # reads no label at all
    "crd": {"cross_entropy": {}, "crd": {}},
    "crd-kd": {"cross_entropy": {}, "kd": {}, "crd": {}},
    "wcord": {"cross_entropy": {}, "wcord": {}},
    "wcord-kd": {"cross_entropy": {}, "kd": {}, "wcord": {}},
    "sskd": {"cross_entropy": {"weight": 0.1, "during": (0.2, 1)}, "sskd": {}},
    "multi-level": {"cross_entropy": {"weight": 0.1}, "multi_level": {}},
    "multi-level-ls": {"cross_entropy": {"weight": 0.1}, "multi_level": {"standardise": True}},
    "multi-level-public": {"cross_entropy": {"weight": 0.1}, "multi_level": {"variant": "public"}},
    "simkd": {"simkd": {}},
    "fitnets": {
        "fitnets": {"during": (0, 0.25)},
        "cross_entropy": {"during": (0.25, 1)},
        "kd": {"during": (0.25, 1)},
    },
    "fitnets-public": {"cross_entropy": {}, "fitnets": {"variant": "public"}},
    "at": {"cross_entropy": {}, "at": {}},
    "at-public": {"cross_entropy": {}, "at": {"variant": "public"}},
    "vid": {"cross_entropy": {}, "vid": {}},
    # The public code trains 30 epochs with the method alone before its 240 of the student.
    "ab": {"ab": {"during": (0, 0.125)}, "cross_entropy": {"during": (0.125, 1)}},
    "fsp": {"fsp": {"during": (0, 0.125)}, "cross_entropy": {"during": (0.125, 1)}},
    "ft": {"cross_entropy": {}, "ft": {}},
    "ft-public": {"cross_entropy": {}, "ft": {"factor": "spatial", "weight": 200.0}},
    "ofd": {"cross_entropy": {}, "ofd": {}},
    "reviewkd": {"cross_entropy": {}, "reviewkd": {}},
    "reviewkd-public": {"cross_entropy": {}, "reviewkd": {"narrowing": 1}},
    "afd": {"cross_entropy": {}, "kd": {"weight": 0.9}, "afd": {}},
    "tofd": {"cross_entropy": {}, "tofd": {}},
    # Logit standardisation with the weights and temperature of its authors' code.
    "kd-ls": {
        "cross_entropy": {"weight": 0.1},
        "kd": {"weight": 9.0, "temperature": 2.0, "standardise": True},
    },
    "dkd": {"cross_entropy": {}, "dkd": {}},
    "dkd-ls": {"cross_entropy": {}, "dkd": {"weight": 9.0, "temperature": 2.0, "standardise": True}},
    "dist": {"cross_entropy": {}, "dist": {}},
    "rld": {"cross_entropy": {}, "rld": {}},
    "sp": {"cross_entropy": {}, "sp": {}},
    "rkd": {"cross_entropy": {}, "rkd": {}},
    "pkt": {"cross_entropy": {}, "pkt": {}},
    "vkd": {"cross_entropy": {}, "kd": {}, "vkd": {}},
    "cat-kd": {"cross_entropy": {}, "cat_kd": {}},
    "nst": {"cross_entropy": {}, "nst": {}},
    "cc": {"cross_entropy": {}, "cc": {}},
    "cc-public": {"cross_entropy": {}, "cc": {"variant": "public", "weight": 0.02}},
    "dml": {"cross_entropy": {}, "dml": {}},
    "kdsvd": {"cross_entropy": {}, "kdsvd": {}},
    "kdsvd-md": {"cross_entropy": {}, "kdsvd": {"variant": "md"}},
}


def resolve_methods(wanted: str | Mapping[str, Mapping[str, Any] | None]) -> dict[str, Options]:
    """Turn a preset's name, or a mapping of method names to options, into complete, validated options.

    Raises:
        RecipeError: An unknown preset, method or option, or a value out of range.
    """
    if isinstance(wanted, str):
        if wanted not in PRESETS:
            raise RecipeError(f"method {wanted!r} is unknown{_hint(wanted, PRESETS)}")
        return resolve_methods(PRESETS[wanted])
    if not wanted:
        raise RecipeError("methods: at least one is needed, for example cross_entropy")
    resolved = {}
    for name, options in wanted.items():
        if name not in METHODS:
            raise RecipeError(f"methods.{name} is unknown{_hint(name, METHODS)}")
        try:
            resolved[name] = METHODS[name].Options.model_validate(options or {})
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
        kind = METHODS[name]
        if "teacher" in kind.needs and setting.teacher is None:
            raise RecipeError(f"methods.{name} needs a teacher; give `teacher`, the folder of a Model")
        methods[name] = kind(chosen, setting)
    return methods


def _hint(wanted: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(wanted, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; choose one of {', '.join(known)}"
