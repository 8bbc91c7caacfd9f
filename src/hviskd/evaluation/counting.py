"""The cost of one tile in a network, derived from shapes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hviskd.networks import Network

_PRODUCTS = (F.linear, torch.matmul, torch.bmm, Tensor.matmul, Tensor.__matmul__, Tensor.bmm)
_BYTES = 4  # of a number in float32
_NORMALISED_FLOPS = 2  # a learned normalisation, its constants folded, is one multiplication and one addition


@dataclass(frozen=True)
class Complexity:
    """Cost of inference on one tile, float32, batch size 1; additions and concatenations are not counted.

    Attributes:
        tile_px: Side of the tile.
        parameters: Learned numbers.
        weight_bytes: Of the parameters and the running statistics of the normalisations.
        multiply_adds: Pairs of one multiplication and one addition in convolutions, linear layers and attention.
        flops: Single operations: two a multiply-add, two an element of a batch normalisation, one an element of a
            ReLU, one an element that is pooled, one a bias.
        activation_bytes: Of the largest layer, input and output together; a branch around it comes on top.
        all_activation_bytes: Of the outputs of all layers; what a training has to keep.
        bytes_read: By all layers one after the other, none fused: inputs and weights.
        bytes_written: Likewise, outputs.
    """

    tile_px: int
    parameters: int
    weight_bytes: int
    multiply_adds: int
    flops: int
    activation_bytes: int
    all_activation_bytes: int
    bytes_read: int
    bytes_written: int

    @property
    def layer_operations(self) -> int:
        """Multiply-adds plus the single operations of all other layers, similar to torchstat's FLOPs."""
        return self.flops - self.multiply_adds


def complexity(network: Network, tile_px: int) -> Complexity:
    """Count the cost of a tile of `tile_px`; nothing is computed and the network is unchanged.

    Raises:
        RecipeError: `tile_px` is below what a network reads.
    """
    twin = network.hollow()
    count = _Count()
    hooks = [part.register_forward_hook(count) for part in twin.modules() if not any(part.children())]
    with torch.no_grad(), _Products(count):
        twin(torch.empty(1, 3, tile_px, tile_px, device="meta"))
    for hook in hooks:
        hook.remove()
    return Complexity(
        tile_px=tile_px,
        parameters=sum(weight.numel() for weight in network.parameters()),
        weight_bytes=sum(one.numel() * one.element_size() for one in network.state_dict().values()),
        multiply_adds=count.multiply_adds,
        flops=2 * count.multiply_adds + count.other_flops,
        activation_bytes=_BYTES * count.largest,
        all_activation_bytes=_BYTES * count.written,
        bytes_read=_BYTES * count.read,
        bytes_written=_BYTES * count.written,
    )


class _Count:
    """A forward hook that adds up the operations of every layer."""

    def __init__(self) -> None:
        self.multiply_adds = self.other_flops = self.largest = self.read = self.written = 0

    def __call__(self, layer: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
        if isinstance(layer, nn.Identity) or not inputs or not isinstance(output, Tensor):
            return
        taken, given = inputs[0].numel(), output.numel()
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if isinstance(layer, nn.Conv2d):  # the products of linear layers are counted as all products are
                self.multiply_adds += given * layer.weight[0].numel()  # each output is a sum over one filter
            self.other_flops += given if layer.bias is not None else 0
        elif isinstance(layer, nn.BatchNorm2d):
            self.other_flops += _NORMALISED_FLOPS * given
        elif isinstance(layer, nn.ReLU):
            self.other_flops += given
        elif isinstance(layer, nn.AdaptiveAvgPool2d | nn.AvgPool2d | nn.MaxPool2d):
            self.other_flops += taken
        self.largest = max(self.largest, taken + given)
        self.read += taken + sum(weight.numel() for weight in layer.state_dict().values())
        self.written += given


class _Products(TorchFunctionMode):
    """Adds up the products of matrices, whether a layer makes them or not, as in attention."""

    def __init__(self, count: _Count) -> None:
        super().__init__()
        self.count = count

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            query, key, value = args[:3]
            pairs = query.shape[:-1].numel() * key.shape[-2]
            self.count.multiply_adds += pairs * (query.shape[-1] + value.shape[-1])
        given = func(*args, **kwargs or {})
        if func in _PRODUCTS:
            self.count.multiply_adds += given.numel() * args[0].shape[-1]
        return given
