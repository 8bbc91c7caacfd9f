"""All networks by name.

The names stand here without torch, so that a recipe is checked and a name listed without waiting for it.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from hviskd.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hviskd.networks.base import Backbone, HeadKind, Network

_NARROW = (16, 16, 32, 64)
_FOURFOLD = (32, 64, 128, 256)

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
    """Return the names of all networks, family by family."""
    return tuple(_ZOO)


def create_network(
    name: str, num_classes: int, head: HeadKind = "gap", projector: tuple[int, int] | None = None
) -> Network:
    """Build a network with random weights, drawn from torch's global random generator.

    Args:
        name: One of `network_names()`.
        num_classes: K, at least 2.
        head: `gap` (global average) or `grid` (the paper's: a coarse grid of averages, flattened).
        projector: Channels and reduction of a projector before the average, in place of the
            network's own neck; for a classifier that was trained on another network's feature maps.

    Raises:
        RecipeError: The name or the head is unknown, there are fewer than 2 classes, or a projector is requested
            with a `grid` head.
    """
    if name not in _ZOO:
        close = get_close_matches(name.lower(), _ZOO, n=3)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        raise RecipeError(f"network {name!r}: unknown; {hint}choose one of {', '.join(_ZOO)}")
    from hviskd.networks.base import Network

    module, arguments = _ZOO[name]
    build: Callable[..., Backbone] = import_module(f"hviskd.networks.{module}").build
    network = Network(build(**arguments), num_classes, head)
    if projector is not None:
        network.put_projector(*projector)
    return network
