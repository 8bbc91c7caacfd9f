"""Teacher and student networks, all with the same structure: stem → stages → head.

`create_network` builds one by name; `Network` is what every other room holds in its hands. Asking only for
the names does not import torch.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use
from hviskd.networks.network_input import HeadKind, NetworkInput
from hviskd.networks.zoo import create_network, is_network, network_names

if TYPE_CHECKING:
    from hviskd.networks.base import Network, Trace

__all__ = ["HeadKind", "Network", "NetworkInput", "Trace", "create_network", "is_network", "network_names"]

__getattr__ = load_on_use(__name__, {"Network": "base", "Trace": "base"})
