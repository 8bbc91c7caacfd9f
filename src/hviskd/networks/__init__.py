"""Teacher and student networks, all with the same structure: stem → stages → head.

`create_network` builds one by name; `Network` is what every other room holds in its hands. Asking only for
the names does not import torch.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use
from hviskd.networks.zoo import create_network, network_names

if TYPE_CHECKING:
    from hviskd.networks.base import HeadKind, Network, Trace

__all__ = ["HeadKind", "Network", "Trace", "create_network", "network_names"]

__getattr__ = load_on_use(__name__, {"HeadKind": "base", "Network": "base", "Trace": "base"})
