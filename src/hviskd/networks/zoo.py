"""All networks by name.

The names stand here without torch, so that a recipe is checked and a name listed without waiting for it.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hviskd.errors import RecipeError
from hviskd.networks.network_input import TIMM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hviskd.networks.base import Backbone, Network
    from hviskd.networks.network_input import HeadKind, NetworkInput

_NARROW = (16, 16, 32, 64)
_FOURFOLD = (32, 64, 128, 256)

# module in this room → the arguments that its `build` takes from a user, and their values, the usual one first
_ARGUMENTS: dict[str, dict[str, tuple[object, ...]]] = {"resnet": {"stem_stride": (1, 2, 4)}}

# name → the module in this room whose `build` makes the parts, and its arguments
_ZOO: dict[str, tuple[str, dict[str, object]]] = {
    **{f"resnet{n}": ("resnet", {"depth": n, "widths": _NARROW}) for n in (8, 14, 20, 32, 44, 56, 110)},
    **{f"resnet{n}x4": ("resnet", {"depth": n, "widths": _FOURFOLD}) for n in (8, 32)},
    **{f"wrn_{n}_{k}": ("wide_resnet", {"depth": n, "factor": k}) for n in (16, 40) for k in (1, 2)},
    "vgg8": ("vgg", {"convs": (1, 1, 1, 1, 1)}),
    "vgg11": ("vgg", {"convs": (1, 1, 2, 2, 2)}),
    "vgg13": ("vgg", {"convs": (2, 2, 2, 2, 2)}),
    "vgg16": ("vgg", {"convs": (2, 2, 3, 3, 3)}),
    "vgg19": ("vgg", {"convs": (2, 2, 4, 4, 4)}),
    "mobilenet_v2": ("mobilenet_v2", {}),
    "shufflenet_v1": ("shufflenet_v1", {}),
    "shufflenet_v2": ("shufflenet_v2", {}),
}


def network_names() -> tuple[str, ...]:
    """Return the names of the zoo's networks, family by family; those of timm are `timm:` and timm's own name."""
    return tuple(_ZOO)


def is_network(name: object) -> bool:
    """Return whether this names a network of the zoo, or has the form of a name of timm's."""
    return isinstance(name, str) and (name in _ZOO or name.startswith(TIMM))


def create_network(
    name: str,
    num_classes: int,
    head: HeadKind = "gap",
    projector: tuple[int, int] | None = None,
    *,
    tile_px: int | None = None,
    arguments: Mapping[str, Any] | None = None,
    own_input: NetworkInput | None = None,
) -> Network:
    """Build a network with random weights, drawn from torch's global random generator.

    Args:
        name: One of `network_names()`, or `timm:` followed by a name of timm's, which the extra `hviskd[timm]` brings.
        num_classes: K, at least 2.
        head: `gap` (global average), `grid` (the paper's: a coarse grid of averages, flattened; the zoo's networks
            only) or `token` (the class token of a transformer).
        projector: Channels and reduction of a projector before the average, in place of the
            network's own neck; for a classifier that was trained on another network's feature maps.
        tile_px: Side of the tiles it is meant for. One of timm's whose input size is fixed resizes them to the nearest
            size that it can divide; its usual size if None. Other networks take tiles of any size.
        arguments: What differs from the named architecture: `{"stem_stride": 4}` for a residual network of the zoo,
            and for one of timm's for example `{"img_size": 224, "reg_tokens": 4}`.
        own_input: The input of a network of timm that was built before, in place of what `tile_px` and timm say.

    Raises:
        RecipeError: The name, an argument or the head is unknown, there are fewer than 2 classes, a projector is
            requested with another head than `gap`, or timm is missing.
    """
    if name.startswith(TIMM):
        from hviskd.networks.timm_body import settle_input
        from hviskd.networks.timm_network import TimmNetwork

        known, given = name.removeprefix(TIMM), dict(arguments or {})
        if own_input is None:
            given, own_input = settle_input(known, given, tile_px)
        network: Network = TimmNetwork(known, num_classes, head, given, own_input)
    else:
        network = _of_zoo(name, num_classes, head, arguments)
    if projector is not None:
        network.put_projector(*projector)
    return network


def _of_zoo(name: str, num_classes: int, head: HeadKind, arguments: Mapping[str, Any] | None) -> Network:
    if name not in _ZOO:
        close = get_close_matches(name.lower(), _ZOO, n=3)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        raise RecipeError(
            f"network {name!r}: unknown; {hint}choose one of {', '.join(_ZOO)}, or `timm:` and a name of timm's"
        )
    from hviskd.networks.base import StagedNetwork

    module, fixed = _ZOO[name]
    given = {} if arguments is None else _checked(name, arguments, _ARGUMENTS.get(module, {}))
    build: Callable[..., Backbone] = import_module(f"hviskd.networks.{module}").build
    network = StagedNetwork(build(**fixed, **given), num_classes, head)
    network.arguments = given
    return network


def _checked(name: str, arguments: Mapping[str, Any], allowed: Mapping[str, tuple[object, ...]]) -> dict[str, Any]:
    """Return the arguments that differ from what is usual.

    Raises:
        RecipeError: The network takes no such argument, or not with this value.
    """
    for key, value in arguments.items():
        where = f"network {name!r}: `network_arguments={{{key!r}: {value!r}}}`"
        if key not in allowed:
            raise RecipeError(f"{where}: takes " + (f"only {', '.join(allowed)}" if allowed else "no arguments"))
        if type(value) is not int or value not in allowed[key]:
            raise RecipeError(f"{where}: must be one of {', '.join(map(str, allowed[key]))}")
    return {key: value for key, value in arguments.items() if value != allowed[key][0]}
