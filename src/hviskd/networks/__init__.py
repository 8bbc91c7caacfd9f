"""Teacher and student networks, all of one shape: stem → stages → head.

`create_network` builds one by name; `Network` is what every other room holds in its hands. Asking only for
the names does not import torch.
"""

from typing import TYPE_CHECKING, Any

from hviskd.networks.zoo import create_network, network_names

if TYPE_CHECKING:
    from hviskd.networks.base import HeadKind, Network, Trace

__all__ = ["HeadKind", "Network", "Trace", "create_network", "network_names"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hviskd.networks import base

    return getattr(base, name)
