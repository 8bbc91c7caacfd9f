"""Builds what timm calls a model, without its classifier: name, arguments and input size checked before."""

import importlib
import inspect
import warnings
from collections.abc import Mapping
from difflib import get_close_matches
from types import ModuleType
from typing import Any, get_args

import torch
from torch import nn

from hviskd.errors import RecipeError
from hviskd.networks.network_input import TIMM, Interpolation, NetworkInput

_SHORTEST_SIDE, _LONGEST_SIDE, _LARGEST = 8, 4096, 16384

# What an architecture may be built with, and the largest number; a card can come from anyone.
_WHOLE = {
    "img_size": _LONGEST_SIDE,
    "patch_size": 64,
    "embed_dim": _LARGEST,
    "embed_dims": _LARGEST,
    "dims": _LARGEST,
    "depth": 128,
    "depths": 128,
    "num_heads": 256,
    "reg_tokens": 64,
    "window_size": 64,
}
_MAY_BE_NONE = ("reg_tokens", "depth")  # CrossViT's fusions have a depth of 0
_FRACTIONS = {
    "mlp_ratio": 16.0,
    "init_values": 1.0,
    "drop_rate": 1.0,
    "proj_drop_rate": 1.0,
    "attn_drop_rate": 1.0,
    "drop_path_rate": 1.0,
}
_SWITCHES = ("class_token", "no_embed_class", "qkv_bias", "pre_norm")
_NAMES = {"mlp_layer": ("mlp", "swiglu", "swiglu_packed"), "act_layer": ("gelu", "silu", "relu", "gelu_tanh")}
_CLASSES = {"mlp": "Mlp", "swiglu": "SwiGLU", "swiglu_packed": "SwiGLUPacked"}
_LONGEST_LIST = 8
ARGUMENTS = (*_WHOLE, *_FRACTIONS, *_SWITCHES, *_NAMES)
_SETTLED: dict[tuple[str, str, int | None], tuple[dict[str, Any], NetworkInput]] = {}  # what was asked in this process


def import_timm() -> ModuleType:
    """Return the package timm.

    Raises:
        RecipeError: It, or torchvision which it needs, is missing or does not match torch.
    """
    try:
        import timm
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecipeError(
            f"networks of timm need timm and a torchvision that matches torch ({reason}); pip install 'hviskd[timm]', "
            "and torchvision from the package index of torch"
        ) from error
    return timm


def timm_names(pattern: str) -> list[str]:
    """Return the names of timm's architectures that match a pattern such as `vit_small*`, sorted.

    Raises:
        RecipeError: timm is missing.
    """
    return list(import_timm().list_models(pattern))


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check the arguments of an architecture.

    Raises:
        RecipeError: One is unknown, or its value is of another kind or too large.
    """
    for key, value in arguments.items():
        where = f"`network_arguments={{{key!r}: {value!r}}}`"
        if key not in ARGUMENTS:
            raise RecipeError(f"{where}: unknown; choose from {', '.join(ARGUMENTS)}")
        if key in _NAMES and value not in _NAMES[key]:
            raise RecipeError(f"{where}: must be one of {', '.join(_NAMES[key])}")
        if key in _SWITCHES and not isinstance(value, bool):
            raise RecipeError(f"{where}: must be true or false")
        if key == "img_size" and not (isinstance(value, int) and value >= _SHORTEST_SIDE):
            raise RecipeError(f"{where}: images are square; give one whole number from {_SHORTEST_SIDE}")
        if key in _WHOLE and not _all_within(value, int, 0 if key in _MAY_BE_NONE else 1, _WHOLE[key]):
            raise RecipeError(f"{where}: must be whole numbers up to {_WHOLE[key]:,}")
        if key in _FRACTIONS and not _all_within(value, (int, float), 0, _FRACTIONS[key]):
            raise RecipeError(f"{where}: must be from 0 to {_FRACTIONS[key]:g}")


def build_body(name: str, arguments: Mapping[str, Any]) -> Any:
    """Build an architecture of timm without classifier, with random weights: a module with attributes of its own.

    Args:
        name: timm's name, with or without the tag of its weights.
        arguments: What differs from the named architecture; see `ARGUMENTS`.

    Raises:
        RecipeError: timm is missing, has no such architecture, or cannot build it so.
    """
    timm = import_timm()
    check_arguments(arguments)
    if not timm.is_model(name):
        close = get_close_matches(name.lower(), timm.list_models(), n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise RecipeError(f"network '{TIMM}{name}': timm has no such architecture{hint}")
    given = {key: _of_timm(key, value) for key, value in arguments.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = timm.create_model(name, pretrained=False, num_classes=0, **given)
    except (TypeError, ValueError, AssertionError, RuntimeError, KeyError, IndexError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecipeError(f"network '{TIMM}{name}' with {dict(arguments)}: timm cannot build it ({reason})") from error
    return body


def settle_input(name: str, arguments: Mapping[str, Any], tile_px: int | None) -> tuple[dict[str, Any], NetworkInput]:
    """Return the complete arguments, and the input that an architecture has for tiles of a size.

    An architecture whose input size is fixed when it is built gets the nearest size to `tile_px` that it can divide;
    `img_size` among the arguments overrides that. One that takes any size keeps the tiles' own, or is given them in
    `img_size`: few px for one that shall be fast, many for one that halves its maps too often for small tiles.

    Raises:
        RecipeError: As `build_body`; or no size near `tile_px` fits.
    """
    kind = (name, repr(sorted(arguments.items())), tile_px)
    if kind not in _SETTLED:  # to look takes longer than to build it
        _SETTLED[kind] = _settle(name, arguments, tile_px)
    settled, own_input = _SETTLED[kind]
    return dict(settled), own_input


def _settle(name: str, arguments: Mapping[str, Any], tile_px: int | None) -> tuple[dict[str, Any], NetworkInput]:
    with torch.device("meta"):  # to look at its kind takes no weights
        kind = build_body(name, {key: value for key, value in arguments.items() if key != "img_size"})
        probe = build_body(name, arguments) if _has_fixed_size(kind) else kind
    check_arguments(arguments)
    known: Mapping[str, Any] = probe.pretrained_cfg
    interpolation = known["interpolation"] if known["interpolation"] in get_args(Interpolation) else "bicubic"
    settled = dict(arguments)
    if not _has_fixed_size(probe):
        px = settled.pop("img_size", None)
    else:
        settled.setdefault("img_size", _nearest_px(probe, tile_px or int(known["input_size"][-1]), name))
        px = settled["img_size"]
    return settled, NetworkInput(mean=known["mean"], deviation=known["std"], px=px, interpolation=interpolation)


def _has_fixed_size(body: Any) -> bool:
    """Return whether an architecture is built for one size of images."""
    return any("img_size" in inspect.signature(kind).parameters for kind in inspect.getmro(type(body)))


def _nearest_px(body: Any, tile_px: int, name: str) -> int:
    """Return the size nearest to `tile_px`, the larger of two, that an architecture divides into whole patches."""
    for distance in range(_LONGEST_SIDE):
        for px in (tile_px + distance, tile_px - distance):
            if px > 0 and _divides(body, px):
                return px
    raise RecipeError(f"network '{TIMM}{name}': no image size near {tile_px} px fits it; set `img_size`")


def _divides(body: Any, px: int) -> bool:
    patches = getattr(body, "patch_embed", None)
    if isinstance(patches, nn.ModuleList):  # CrossViT: two branches, each with a scale and a patch size of its own
        branches: Any = patches
        sides = [(branch.img_size[0] / body.img_size[0], branch.patch_size[0]) for branch in branches]
        return all(int(px * scale) % patch == 0 for scale, patch in sides)
    return px % int(body.feature_info[-1]["reduction"]) == 0


def _all_within(value: object, kind: type | tuple[type, ...], low: float, high: float) -> bool:
    """Return whether a number, or each of a short list (of lists), is of a kind and within bounds."""
    if isinstance(value, list | tuple):
        return 0 < len(value) <= _LONGEST_LIST and all(_all_within(each, kind, low, high) for each in value)
    return isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high  # type: ignore[operator]


def _of_timm(key: str, value: Any) -> Any:
    """Return an argument as timm wants it: a class for a name, tuples for lists."""
    if key in _NAMES:
        layers = importlib.import_module("timm.layers")
        return getattr(layers, _CLASSES[value]) if key == "mlp_layer" else layers.get_act_layer(value)
    return _tuples(value)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list | tuple) else value
